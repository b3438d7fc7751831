//! Since when something waits, and what the workers in the store say about who could take it.
use crate::store::{JobRow, StoreResult, Tx};
use protocol::id::Kind;
use protocol::rules::schedule::wait_reason::WaitReason;
use protocol::rules::unit::lease::LeaseLimits;
use protocol::time::Timestamp;

/// Operations of a job that are looked through.
const OPERATIONS_MAX: u32 = 200;

/// Since when a unit of a job waits for this reason, where that is known.
pub fn since(tx: &mut dyn Tx, job: &JobRow, reason: WaitReason) -> StoreResult<Option<Timestamp>> {
    let action = match reason {
        WaitReason::JobPaused => "pause",
        WaitReason::JobCancelled => "cancel",
        WaitReason::Scanning => return Ok(Some(job.submitted_at)),
        _ => return Ok(None),
    };
    let operations = tx.operations(Some(job.no), OPERATIONS_MAX)?;
    Ok(operations.into_iter().find(|operation| operation.action == action && operation.done > 0).map(|o| o.at))
}

/// Slots of a kind in workers that live and take work; `None` when no coordinator has listed workers yet.
pub fn slots(tx: &mut dyn Tx, kind: Kind, now: Timestamp) -> StoreResult<Option<u32>> {
    let workers = tx.workers()?;
    if workers.is_empty() {
        return Ok(None);
    }
    // The list is a few seconds old.
    let silence = LeaseLimits::default().silence_max * 2;
    let taking = workers.iter().filter(|w| now.since(w.heard_at) <= silence && w.state == "working");
    let free_of_orders = taking.filter(|w| w.order.as_ref().is_none_or(|order| order.what == "release"));
    let of_kind = free_of_orders.flat_map(|w| w.slots.split(',')).filter_map(|slots| {
        let (name, counts) = slots.split_once('=')?;
        (name == kind.as_str()).then(|| counts.split_once('/').and_then(|(_, total)| total.parse::<u32>().ok()))?
    });
    Ok(Some(of_kind.sum()))
}

/// What will change a reason, for whoever waits.
pub fn next(reason: WaitReason, job: &str) -> String {
    match reason {
        WaitReason::JobPaused => format!("showrunner job resume {job}"),
        WaitReason::JobCancelled => "nothing: submit the job again".into(),
        WaitReason::Scanning => "the end of the listing".into(),
        WaitReason::Planning => "the next turns of the coordinator".into(),
        WaitReason::NeedsStep => "the end of that step for these assets".into(),
        WaitReason::BarrierWaiting => "the end of the barrier's other members, or its time".into(),
        WaitReason::BarrierHeld | WaitReason::NeedsFailed => {
            format!("mend the cause, then: showrunner job retry {job}; showrunner failure list --job {job}")
        }
        WaitReason::Restoring => "the archive, which is looked at again then".into(),
        WaitReason::TaskOpen => format!("a decision: showrunner task list --job {job}"),
        WaitReason::Backoff => "the end of the pause".into(),
        WaitReason::NoWorker => "a worker with slots of this kind; showrunner worker list".into(),
        WaitReason::EndpointBackoff => "the end of the pause the endpoint asked for".into(),
        WaitReason::EndpointLimit => "the end of another unit at that endpoint, or a higher limit".into(),
        WaitReason::TenantShare => "the end of units of the same tenant".into(),
        WaitReason::ClassShare => format!("the end of others, or: showrunner job priority {job} urgent"),
        WaitReason::WorkersLeave => "a worker that stays".into(),
        WaitReason::SlicesOpen => "the end of its slices".into(),
        WaitReason::NoSlot => "the next free slot, or more workers".into(),
        WaitReason::Running => "its end, or the end of its worker".into(),
        WaitReason::Ended => format!("nothing; to run again what failed: showrunner job retry {job} --all"),
    }
}
