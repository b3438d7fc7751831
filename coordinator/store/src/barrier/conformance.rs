//! Conformance tests that every store passes: barriers.
use super::{BarrierCounts, BarrierGrowth, BarrierState};
use crate::testing::fixture::{Check, add_job};
use crate::tx::Tx;
use protocol::id::StepNo;
use protocol::time::Timestamp;

pub(crate) const CHECKS: &[Check] = &[("barriers grow, count and spread", barriers)];

fn barriers(tx: &mut dyn Tx) {
    let job = add_job(tx);
    let step = StepNo(1);
    let grow = |key: &str, members, first, last| BarrierGrowth {
        key: key.into(),
        members,
        failed: 0,
        first,
        last,
    };
    tx.add_to_barrier(job, step, &grow("t", 2, 3, 4))
        .expect("grows");
    tx.add_to_barrier(job, step, &grow("t", 1, 5, 5))
        .expect("grows");
    tx.add_to_barrier(job, step, &grow("u", 1, 6, 6))
        .expect("grows");
    let rejected = |key: &str| BarrierGrowth {
        key: key.into(),
        members: 2,
        failed: 2,
        first: 1,
        last: 0,
    };
    for key in ["e", "v", "w"] {
        tx.add_to_barrier(job, StepNo(2), &rejected(key))
            .expect("grows");
    }
    tx.add_to_barrier(job, StepNo(2), &grow("v", 1, 8, 9))
        .expect("grows");
    tx.barrier(job, StepNo(2), "w")
        .expect("reads")
        .expect("written");
    tx.add_to_barrier(job, StepNo(2), &grow("w", 1, 8, 9))
        .expect("grows");
    tx.add_to_barrier(job, StepNo(2), &rejected("w"))
        .expect("grows");
    for (key, total, failed, first, last) in
        [("e", 2, 2, 1, 0), ("v", 3, 2, 8, 9), ("w", 5, 4, 8, 9)]
    {
        let row = tx
            .barrier(job, StepNo(2), key)
            .expect("reads")
            .expect("exists");
        assert_eq!(
            (row.total, row.failed, row.first, row.last),
            (total, failed, first, last),
            "{key}"
        );
    }
    let mut found = tx.barrier(job, step, "t").expect("reads").expect("exists");
    assert_eq!(
        (found.total, found.first, found.last, found.state),
        (3, 3, 5, BarrierState::Waiting)
    );
    found.state = BarrierState::Released;
    found.released_at = Some(Timestamp(8));
    (found.succeeded, found.spread) = (3, 4);
    tx.put_barrier(job, &found).expect("writes");
    let counts = tx.barrier_counts(job, step).expect("counts");
    assert_eq!(
        counts,
        BarrierCounts {
            total: 2,
            released: 1,
            held: 0,
            spreading: 1
        }
    );
    assert_eq!(
        tx.barriers_spreading(job, step, 9).expect("lists"),
        [found.clone()]
    );
    assert_eq!(
        tx.barriers(job, step, Some(BarrierState::Released), None, 9)
            .expect("lists"),
        [found]
    );
    let after: Vec<String> = tx
        .barriers(job, step, None, Some("t"), 9)
        .expect("lists")
        .into_iter()
        .map(|b| b.key)
        .collect();
    assert_eq!(after, ["u"]);
}
