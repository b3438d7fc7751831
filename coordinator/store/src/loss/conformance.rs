//! Conformance tests that every store passes: losses.
use super::LossRow;
use crate::testing::fixture::{Check, job};
use crate::tx::Tx;
use protocol::id::{JobNo, StepNo, UnitId};
use protocol::time::Timestamp;

pub(crate) const CHECKS: &[Check] = &[("losses count workers and are forgotten", losses)];

fn at(n: i64) -> Timestamp {
    Timestamp(n)
}

fn unit(job: JobNo, part: i64) -> UnitId {
    UnitId::new(job, StepNo(0), part)
}

fn losses(tx: &mut dyn Tx) {
    let no = tx.insert_job(&job("a")).expect("inserts");
    let loss = |part: i64, epoch: u32, worker: &str, alone: bool| LossRow {
        unit: unit(no, part),
        epoch,
        worker: worker.into(),
        alone,
        at: at(epoch.into()),
    };
    let all = [
        loss(1, 1, "v", false),
        loss(1, 2, "w", true),
        loss(2, 1, "v", false),
        loss(2, 3, "v", false),
    ];
    tx.put_losses(&all).expect("writes");
    tx.put_losses(&[loss(1, 1, "other", true)])
        .expect("a repeated one is ignored");
    let asked = [unit(no, 2), unit(no, 1), unit(no, 9)];
    assert_eq!(tx.losses(&asked).expect("reads"), all);
    assert_eq!(
        tx.suspects(2, 9).expect("reads"),
        [unit(no, 1)],
        "one worker lost twice is one worker"
    );
    assert_eq!(tx.suspects(1, 1).expect("reads"), [unit(no, 1)]);
    tx.forget_losses(&[unit(no, 1)]).expect("forgets");
    assert_eq!(tx.losses(&asked).expect("reads"), all[2..]);
    assert_eq!(
        tx.suspects(1, 9).expect("reads"),
        [unit(no, 2)],
        "what is forgotten is not counted"
    );
    tx.put_losses(&[loss(2, 4, "w", false), loss(3, 1, "w", false)])
        .expect("writes");
    assert_eq!(tx.suspects(2, 9).expect("reads"), [unit(no, 2)]);
}
