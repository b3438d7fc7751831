//! The end of a scan: the library is listed, or the scan continues.
use crate::reconcile::settlement::Settled;
use crate::store::{JobState, Phase, StoreResult, Tx};
use protocol::id::JobNo;
use protocol::rules::unit::retry::{RetryDecision, RetryPolicy, decide as decide_retry};
use protocol::time::Timestamp;
use protocol::wire::report::{Outcome, UnitResult};

/// Settles it. The row is read for each end: of several in one batch the first has changed it.
pub(super) fn settle(
    tx: &mut dyn Tx,
    job: JobNo,
    outcome: Outcome,
    now: Timestamp,
    jitter: f64,
    done: &mut Settled,
) -> StoreResult<()> {
    let Some(mut row) = tx.job(job)? else {
        done.rejected += 1;
        return Ok(());
    };
    if row.phase != Phase::Scanning || row.scan_epoch != outcome.epoch || row.state.has_ended() {
        done.rejected += 1;
        return Ok(());
    }
    done.accepted += 1;
    // From here on, late or repeated reports of this scan have an old epoch and change nothing (FEN-1).
    row.scan_epoch += 1;
    match outcome.result {
        UnitResult::Listed { pages } if pages == row.scan.page => row.phase = Phase::Planning,
        // Pages are missing (or its worker does not say): the library is listed again from the first missing one.
        UnitResult::Listed { .. } | UnitResult::Finished { .. } => {
            done.scan_retries.push((row.no, now))
        }
        UnitResult::Returned
        | UnitResult::Cancelled
        | UnitResult::Waiting { .. }
        | UnitResult::UploadsBegun(_)
        | UnitResult::Sliced(_) => done.scan_retries.push((row.no, now)),
        UnitResult::Failed(failure) => {
            row.scan_attempt += 1;
            match decide_retry(
                &RetryPolicy::default(),
                row.scan_attempt,
                failure.class,
                now,
                jitter,
            ) {
                RetryDecision::At(at) => done.scan_retries.push((row.no, at)),
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
