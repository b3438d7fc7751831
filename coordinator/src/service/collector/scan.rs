//! The end of a scan: the library is listed, or it is listed on.
use super::Settled;
use crate::store::{JobRow, JobState, Phase, StoreResult, Tx};
use protocol::rules::retry::{RetryDecision, RetryPolicy, decide as decide_retry};
use protocol::time::Timestamp;
use protocol::wire::report::{Outcome, UnitResult};

/// Settles it.
pub(super) fn settle(
    tx: &mut dyn Tx,
    mut row: JobRow,
    outcome: Outcome,
    now: Timestamp,
    jitter: f64,
    done: &mut Settled,
) -> StoreResult<()> {
    if row.phase != Phase::Scanning || row.scan_epoch != outcome.epoch || row.state.has_ended() {
        done.rejected += 1;
        return Ok(());
    }
    done.accepted += 1;
    match outcome.result {
        UnitResult::Listed { pages } if pages == row.scan.page => row.phase = Phase::Planning,
        // Pages are missing (or its worker does not say): the library is listed again from the first missing one.
        UnitResult::Listed { .. } | UnitResult::Finished { .. } => done.scan_retry = Some((row.no, now)),
        UnitResult::Returned
        | UnitResult::Cancelled
        | UnitResult::Waiting { .. }
        | UnitResult::Cut(_)
        | UnitResult::Sliced(_) => done.scan_retry = Some((row.no, now)),
        UnitResult::Failed(failure) => {
            row.scan_attempt += 1;
            match decide_retry(&RetryPolicy::default(), row.scan_attempt, failure.class, now, jitter) {
                RetryDecision::At(at) => done.scan_retry = Some((row.no, at)),
                RetryDecision::GiveUp => {
                    row.state = JobState::Failed;
                    row.ended_at = Some(now);
                    row.message = Some(failure.message);
                }
            }
        }
    }
    tx.update_job(&row)
}
