//! Conformance tests that every store passes: retention.
use crate::testing::fixture::{Check, STEP, job, page, partition};
use crate::tx::Tx;
use crate::unit::UnitRow;
use protocol::failure::Failure;
use protocol::id::UnitId;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;

pub(crate) const CHECKS: &[Check] = &[
    ("ended jobs are forgotten a few rows at a time", forgetting),
    ("the time by which jobs age reads back", aging),
];

fn aging(tx: &mut dyn Tx) {
    assert_eq!(tx.aging_time().expect("reads"), None);
    for at in [Timestamp(9), Timestamp(7)] {
        tx.put_aging_time(at).expect("writes");
        assert_eq!(tx.aging_time().expect("reads"), Some(at));
    }
}

fn forgetting(tx: &mut dyn Tx) {
    let (old, open) = (
        tx.insert_job(&job("old")).expect("inserts"),
        tx.insert_job(&job("open")).expect("inserts"),
    );
    let newest = tx.insert_job(&job("newest")).expect("inserts");
    for no in [old, newest] {
        let mut row = tx.job(no).expect("reads").expect("there");
        (row.state, row.ended_at) = (crate::JobState::Succeeded, Some(Timestamp(5)));
        tx.update_job(&row).expect("writes");
    }
    for no in [old, open] {
        tx.append_listing(
            no,
            false,
            &page(&[(1, "t", "a"), (2, "t", "b"), (3, "t", "c")]),
        )
        .expect("appends");
        tx.insert_partitions(
            no,
            &[
                partition(1, "t", "a", "b", 2),
                partition(2, "t", "c", "c", 1),
            ],
        )
        .expect("inserts");
        let done = UnitRow {
            state: UnitState::Succeeded,
            epoch: 1,
            attempt: 0,
            due_at: None,
            duration_us: 5,
        };
        tx.put_units(no, STEP, &[(1, done), (2, done)])
            .expect("writes");
        let broken = Failure::permanent("r", "m");
        tx.put_failures(UnitId::new(no, STEP, 1), &[("a".into(), broken)])
            .expect("writes");
    }
    assert_eq!(
        tx.ended_before(Timestamp(5), 9).expect("reads"),
        [],
        "it ended at that moment, not before"
    );
    assert_eq!(
        tx.ended_before(Timestamp(6), 9).expect("reads"),
        [old],
        "the newest number is not given away again"
    );
    let mut rounds = 0;
    loop {
        rounds += 1;
        let removed = tx.remove_job(old, 3).expect("removes");
        assert!(removed.gone || removed.rows == 3, "{removed:?}");
        if removed.gone {
            break;
        }
        assert!(rounds < 20, "it comes to an end");
    }
    assert_eq!(tx.job(old).expect("reads"), None);
    assert_eq!(tx.steps(old).expect("reads"), []);
    assert_eq!(
        tx.listing_after(old, false, false, None, 9)
            .expect("reads")
            .len(),
        0
    );
    assert_eq!(
        tx.units(open, STEP, &[1, 2])
            .expect("reads")
            .iter()
            .flatten()
            .count(),
        2,
        "others stay"
    );
    assert_eq!(tx.failures(open, 9).expect("reads").len(), 1);
    assert_eq!(
        tx.job_by_id("newest").expect("reads").map(|row| row.no),
        Some(newest)
    );
}
