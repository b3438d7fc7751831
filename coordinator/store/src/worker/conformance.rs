//! Conformance tests that every store passes: workers.
use super::{OrderKind, WorkerOrder, WorkerRow, WorkerState};
use crate::testing::fixture::Check;
use crate::tx::Tx;
use protocol::time::Timestamp;

pub(crate) const CHECKS: &[Check] = &[("workers keep their orders", workers)];

fn at(n: i64) -> Timestamp {
    Timestamp(n)
}

fn workers(tx: &mut dyn Tx) {
    let row = |name: &str, heard: i64| WorkerRow {
        name: name.into(),
        slots: "qc=1/2".into(),
        held: 1,
        heard_at: at(heard),
        state: WorkerState::Working,
        order: None,
    };
    tx.put_workers(&[row("b", 1), row("a", 5)]).expect("writes");
    let order_of = |kind| WorkerOrder {
        kind,
        actor: "me".into(),
        reason: "it is hot".into(),
        at: at(2),
    };
    let order = order_of(OrderKind::Drain);
    assert!(tx.put_order("a", Some(&order)).expect("writes"));
    assert!(!tx.put_order("absent", Some(&order)).expect("writes"));
    tx.put_workers(&[row("a", 6)]).expect("writes");
    let ordered = WorkerRow {
        order: Some(order),
        ..row("a", 6)
    };
    assert_eq!(tx.workers().expect("reads"), [ordered, row("b", 1)]);
    for (kind, state) in OrderKind::ALL
        .into_iter()
        .zip(WorkerState::ALL.into_iter().cycle())
    {
        let row = WorkerRow {
            state,
            ..row("a", 6)
        };
        tx.put_workers(std::slice::from_ref(&row)).expect("writes");
        let order = Some(order_of(kind));
        tx.put_order("a", order.as_ref()).expect("writes");
        assert_eq!(tx.workers().expect("reads")[0], WorkerRow { order, ..row });
    }
    assert!(tx.put_order("a", None).expect("writes"));
    tx.forget_workers(at(2)).expect("forgets");
    assert_eq!(tx.workers().expect("reads"), [row("a", 6)]);
}
