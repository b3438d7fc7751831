//! Details of a wait: since when, and how many slots could take the unit.
use crate::store::{JobRow, StoreResult, Tx, WorkerRow};
use protocol::id::Kind;
use protocol::model::slot_count::SlotCount;
use protocol::rules::schedule::wait_reason::WaitReason;
use protocol::rules::unit::lease::LeaseLimits;
use protocol::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

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

/// How old the heartbeat of a live worker may be in the list of workers, which is a few seconds old itself.
fn silence_max() -> Duration {
    LeaseLimits::default().silence_max * 2
}

/// Slots by kind in workers that live and take work.
pub fn slots_by_kind(workers: &[WorkerRow], now: Timestamp) -> BTreeMap<Kind, SlotCount> {
    let mut slots: BTreeMap<Kind, SlotCount> = BTreeMap::new();
    let taking = workers
        .iter()
        .filter(|worker| worker.takes_units(silence_max(), now));
    for SlotCount { kind, total, free } in taking.flat_map(WorkerRow::slot_counts) {
        let sum = slots.entry(kind).or_insert(SlotCount {
            kind,
            total: 0,
            free: 0,
        });
        sum.total = sum.total.saturating_add(total);
        sum.free = sum.free.saturating_add(free);
    }
    slots
}

/// Slots of a kind in workers that live and take work; `None` when no coordinator has listed workers yet.
pub fn slots(tx: &mut dyn Tx, kind: Kind, now: Timestamp) -> StoreResult<Option<u32>> {
    let workers = tx.workers()?;
    if workers.is_empty() {
        return Ok(None);
    }
    let slots = slots_by_kind(&workers, now);
    Ok(Some(slots.get(&kind).map_or(0, |of| of.total)))
}
