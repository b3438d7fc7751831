//! Details of a wait: since when, and how many slots could take the unit.
use crate::store::{JobRow, OrderKind, StoreResult, Tx, WorkerState};
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
    Ok(operations
        .into_iter()
        .find(|operation| operation.action == action && operation.done > 0)
        .map(|o| o.at))
}

/// Slots of a kind in workers that live and take work; `None` when no coordinator has listed workers yet.
pub fn slots(tx: &mut dyn Tx, kind: Kind, now: Timestamp) -> StoreResult<Option<u32>> {
    let workers = tx.workers()?;
    if workers.is_empty() {
        return Ok(None);
    }
    // The list is a few seconds old.
    let silence = LeaseLimits::default().silence_max * 2;
    let taking = workers
        .iter()
        .filter(|w| now.since(w.heard_at) <= silence && w.state == WorkerState::Working);
    let free_of_orders = taking.filter(|w| {
        w.order
            .as_ref()
            .is_none_or(|order| order.kind == OrderKind::Release)
    });
    let of_kind = free_of_orders
        .flat_map(|w| w.slots.split(','))
        .filter_map(|slots| {
            let (name, counts) = slots.split_once('=')?;
            (name == kind.as_str()).then(|| {
                counts
                    .split_once('/')
                    .and_then(|(_, total)| total.parse::<u32>().ok())
            })?
        });
    Ok(Some(of_kind.sum()))
}
