//! Conformance tests that every store passes: operations.
use super::{OperationRow, OperationState};
use crate::testing::fixture::{Check, job};
use crate::tx::Tx;
use protocol::id::{JobNo, StepNo, UnitId};
use protocol::time::Timestamp;

pub(crate) const CHECKS: &[Check] = &[(
    "operations read back and are found while they run",
    operations,
)];

fn at(n: i64) -> Timestamp {
    Timestamp(n)
}

fn unit(job: JobNo, part: i64) -> UnitId {
    UnitId::new(job, StepNo(0), part)
}

fn operations(tx: &mut dyn Tx) {
    let no = tx.insert_job(&job("a")).expect("inserts");
    let row = OperationRow {
        no: 0,
        at: at(7),
        actor: "me".into(),
        action: "redrive".into(),
        job: Some(no),
        filter: "step=a\nreason=b".into(),
        plan: Some("{}".into()),
        progress: None,
        message: None,
        reason: "because".into(),
        matched: 3,
        eligible: 2,
        done: 0,
        state: OperationState::Running,
        rate: Some(0.5),
        after: None,
        paced_at: at(8),
        ended_at: None,
    };
    let first = tx.insert_operation(&row).expect("inserts");
    let second = tx
        .insert_operation(&OperationRow {
            job: None,
            ..row.clone()
        })
        .expect("inserts");
    assert!(second > first);
    assert_eq!(
        tx.operation(first).expect("reads"),
        Some(OperationRow {
            no: first,
            ..row.clone()
        })
    );
    assert_eq!(tx.operation(99).expect("reads"), None);
    let numbers = |rows: Vec<OperationRow>| rows.into_iter().map(|row| row.no).collect::<Vec<_>>();
    assert_eq!(
        numbers(tx.operations(None, 9).expect("reads")),
        [second, first]
    );
    assert_eq!(numbers(tx.operations(Some(no), 9).expect("reads")), [first]);
    assert_eq!(
        numbers(tx.running_operations(9).expect("reads")),
        [first, second]
    );
    let done = OperationRow {
        no: first,
        done: 2,
        state: OperationState::Done,
        progress: Some("[1]".into()),
        message: Some("why\nnot".into()),
        after: Some(unit(no, 5)),
        ended_at: Some(at(9)),
        ..row
    };
    tx.update_operation(&done).expect("writes");
    for input in [Some("[1]"), Some("[2]"), None] {
        tx.put_operation_input(first, input).expect("writes");
        assert_eq!(tx.operation_input(first).expect("reads").as_deref(), input);
    }
    assert_eq!(tx.operation(first).expect("reads"), Some(done));
    assert_eq!(numbers(tx.running_operations(9).expect("reads")), [second]);
}
