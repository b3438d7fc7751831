//! What every store must answer alike about executions.
use super::AttemptRow;
use crate::testing::fixture::{Check, job};
use crate::tx::Tx;
use protocol::failure::Failure;
use protocol::id::{StepNo, UnitId};
use protocol::time::Timestamp;

pub(crate) const CHECKS: &[Check] = &[("executions are kept once and read by epoch", attempts)];

fn attempts(tx: &mut dyn Tx) {
    let no = tx.insert_job(&job("a")).expect("inserts");
    let unit = |part| UnitId::new(no, StepNo(2), part);
    let attempt = |part, epoch: u32, failure| AttemptRow {
        unit: unit(part),
        epoch,
        worker: "w".into(),
        ended_at: Timestamp(epoch.into()),
        duration_us: 5,
        assets_failed: 3,
        failure,
    };
    let failed = |epoch| {
        attempt(
            7,
            epoch,
            Some(Failure::transient("timeout", "it took too long")),
        )
    };
    let all = [failed(0), failed(2), attempt(7, 3, None)];
    tx.put_attempts(&[
        all[1].clone(),
        all[0].clone(),
        attempt(8, 1, None),
        all[2].clone(),
    ])
    .expect("writes");
    tx.put_attempts(&[AttemptRow {
        worker: "other".into(),
        ..failed(2)
    }])
    .expect("a repeated one is ignored");
    tx.put_attempts(&[]).expect("none is no error");
    assert_eq!(tx.attempts(unit(7), None, 9).expect("reads"), all);
    assert_eq!(tx.attempts(unit(7), Some(0), 1).expect("reads"), all[1..2]);
    assert_eq!(tx.attempts(unit(7), Some(u32::MAX), 9).expect("reads"), []);
    assert_eq!(tx.attempts(unit(9), None, 9).expect("reads"), []);
    while !tx.remove_job(no, 9).expect("removes").gone {}
    let left = tx.attempts(unit(7), None, 9).expect("reads");
    assert_eq!(left, [], "they are removed with their job");
}
