//! The record of an execution that failed, or that ended a unit which had failed before.
use crate::store::AttemptRow;
use protocol::failure::Failure;
use protocol::rules::unit::settle::Settlement;
use protocol::time::Timestamp;
use protocol::wire::report::Outcome;

/// The record of an execution before it is settled: unit, epoch, worker and time from its report.
pub(super) fn of_report(outcome: &Outcome, duration_us: u64, now: Timestamp) -> AttemptRow {
    AttemptRow {
        unit: outcome.unit,
        epoch: outcome.epoch,
        worker: outcome.worker.0.clone(),
        ended_at: now,
        duration_us,
        assets_failed: 0,
        failure: None,
    }
}

/// The record with its end. `None` where no row is kept: the unit succeeded and had not failed before, or the execution
/// used no attempt. `attempt` counts the failed executions before this one.
pub(super) fn settled(
    record: AttemptRow,
    settlement: &Settlement,
    attempt: u32,
) -> Option<AttemptRow> {
    let failed = |failures: &[(String, Failure)]| AttemptRow {
        assets_failed: failures
            .iter()
            .filter(|(asset, _)| !asset.is_empty())
            .count() as u32,
        failure: failures.first().map(|(_, failure)| summary(failure)),
        ..record.clone()
    };
    match settlement {
        Settlement::Succeed => (attempt > 0).then_some(record),
        Settlement::Retry(_, failure) => Some(AttemptRow {
            failure: Some(summary(failure)),
            ..record
        }),
        Settlement::Die(failures) => Some(failed(failures)),
        Settlement::Split { dead, .. } => Some(failed(dead)),
        Settlement::Wait(..) | Settlement::Release | Settlement::Reject(_) => None,
    }
}

/// A failure without checks and findings: those are kept with the failure of the asset.
fn summary(failure: &Failure) -> Failure {
    Failure {
        class: failure.class,
        reason: failure.reason.clone(),
        message: failure.message.clone(),
        checks: Vec::new(),
        findings: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::{JobNo, StepNo, UnitId};

    #[test]
    fn executions_are_recorded_when_they_fail_or_end_a_unit_that_failed() {
        let record = AttemptRow {
            unit: UnitId::new(JobNo(1), StepNo(0), 1),
            epoch: 4,
            worker: "w".into(),
            ended_at: Timestamp(9),
            duration_us: 1,
            assets_failed: 0,
            failure: None,
        };
        let row = |settlement, attempt| settled(record.clone(), &settlement, attempt);
        assert_eq!(row(Settlement::Succeed, 0), None);
        assert_eq!(row(Settlement::Succeed, 1), Some(record.clone()));
        assert_eq!(row(Settlement::Release, 1), None);
        assert_eq!(
            row(Settlement::Wait(Timestamp(1), "archive".into()), 1),
            None
        );
        let failure = Failure {
            findings: Some("[]".into()),
            ..Failure::transient("timeout", "m")
        };
        let retried = row(Settlement::Retry(Timestamp(1), failure.clone()), 0).expect("recorded");
        assert_eq!(
            (retried.assets_failed, retried.failure),
            (0, Some(Failure::transient("timeout", "m")))
        );
        let dead = vec![
            ("a".to_owned(), failure.clone()),
            ("b".to_owned(), failure.clone()),
        ];
        assert_eq!(
            row(Settlement::Die(dead.clone()), 0)
                .expect("recorded")
                .assets_failed,
            2
        );
        let whole = vec![(String::new(), failure)];
        assert_eq!(
            row(Settlement::Die(whole), 0)
                .expect("recorded")
                .assets_failed,
            0
        );
        assert_eq!(
            row(Settlement::Split { dead, retry: None }, 0)
                .expect("recorded")
                .assets_failed,
            2
        );
    }
}
