//! Conformance tests that every store passes: units.
use super::UnitRow;
use crate::partition::Partition;
use crate::testing::fixture::{Check, STEP, add_job, partition, unit_row};
use crate::tx::Tx;
use protocol::id::UnitId;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;

pub(crate) const CHECKS: &[Check] = &[
    ("units are found by state and by need", units),
    (
        "computed units that are out are those without a row",
        computed_out,
    ),
    (
        "neighbours that end well read back one by one",
        successes_in_a_row,
    ),
];

fn units(tx: &mut dyn Tx) {
    let job = add_job(tx);
    let due = |at| UnitRow {
        due_at: Some(Timestamp(at)),
        ..unit_row(UnitState::Retrying)
    };
    let rows = [
        (1, unit_row(UnitState::Ready)),
        (2, due(20)),
        (3, due(10)),
        (4, unit_row(UnitState::Leased)),
        (5, unit_row(UnitState::Ready)),
    ];
    tx.put_units(job, STEP, &rows).expect("writes");
    assert_eq!(
        tx.units(job, STEP, &[2, 9]).expect("reads"),
        [Some(due(20)), None]
    );
    assert_eq!(
        tx.ready_units(job, STEP, 1).expect("lists"),
        [(1, unit_row(UnitState::Ready))]
    );
    let found: Vec<i64> = tx
        .due_units(Timestamp(20), 9)
        .expect("lists")
        .iter()
        .map(|(id, _)| id.part)
        .collect();
    assert_eq!(found, [3, 2], "the longest due first");
    assert_eq!(tx.due_units(Timestamp(9), 9).expect("lists"), []);
    assert_eq!(tx.next_due().expect("asks"), Some(Timestamp(10)));
    let ready = tx
        .units_in(job, UnitState::Ready, Some((STEP, 1)), 9)
        .expect("lists");
    assert_eq!(
        ready,
        [(UnitId::new(job, STEP, 5), unit_row(UnitState::Ready))]
    );
    tx.put_units(
        job,
        STEP,
        &[
            (2, unit_row(UnitState::Dead)),
            (3, unit_row(UnitState::Dead)),
        ],
    )
    .expect("writes");
    assert_eq!(tx.next_due().expect("asks"), None);
}

fn computed_out(tx: &mut dyn Tx) {
    let job = add_job(tx);
    let cut: Vec<Partition> = (1..=4).map(|n| partition(n, "t", "a", "a", 1)).collect();
    tx.insert_partitions(job, &cut).expect("inserts");
    tx.set_cursor(job, STEP, 3).expect("moves");
    tx.put_units(job, STEP, &[(2, unit_row(UnitState::Succeeded))])
        .expect("writes");
    assert_eq!(tx.computed_out(job, STEP, 0, 9).expect("lists"), [1, 3]);
    assert_eq!(tx.computed_out(job, STEP, 1, 9).expect("lists"), [3]);
}

fn successes_in_a_row(tx: &mut dyn Tx) {
    let job = add_job(tx);
    let cut: Vec<Partition> = (1..=5_000)
        .map(|n| partition(n, "t", "a", "a", 1))
        .collect();
    tx.insert_partitions(job, &cut).expect("inserts");
    tx.set_cursor(job, STEP, 4_990).expect("moves");
    let parts: Vec<i64> = (1..=4_980).filter(|part| *part != 2_000).collect();
    assert!(
        tx.units(job, STEP, &parts)
            .expect("reads")
            .iter()
            .all(Option::is_none)
    );
    let done = unit_row(UnitState::Succeeded);
    tx.put_units(
        job,
        STEP,
        &parts.iter().map(|part| (*part, done)).collect::<Vec<_>>(),
    )
    .expect("writes");
    assert_eq!(
        tx.units(job, STEP, &[1, 2_000, 4_980, 4_981])
            .expect("reads"),
        [Some(done), None, Some(done), None]
    );
    assert!(
        tx.units(job, STEP, &parts)
            .expect("reads")
            .iter()
            .all(|row| *row == Some(done))
    );
    let out: Vec<i64> = std::iter::once(2_000).chain(4_981..=4_990).collect();
    assert_eq!(tx.computed_out(job, STEP, 0, 99).expect("lists"), out);
    assert!(
        !tx.close_block(job, STEP, 0).expect("looks"),
        "one unit has no history"
    );
    assert_eq!(tx.computed_out(job, STEP, 0, 99).expect("lists"), out);
    tx.put_units(job, STEP, &[(2_000, done)]).expect("writes");
    for _ in 0..2 {
        assert!(tx.close_block(job, STEP, 0).expect("closes"));
        assert_eq!(tx.computed_out(job, STEP, 0, 99).expect("lists"), out[1..]);
        assert_eq!(
            tx.computed_out(job, STEP, 4_985, 2).expect("lists"),
            [4_986, 4_987]
        );
    }
    // What happens to one of them later is its own.
    tx.put_units(job, STEP, &[(17, unit_row(UnitState::Dead))])
        .expect("writes");
    let found = tx.units(job, STEP, &[16, 17, 18]).expect("reads");
    assert_eq!(
        found,
        [Some(done), Some(unit_row(UnitState::Dead)), Some(done)]
    );
    let listed = tx.units_in(job, UnitState::Dead, None, 9).expect("lists");
    assert_eq!(
        listed,
        [(UnitId::new(job, STEP, 17), unit_row(UnitState::Dead))]
    );
}
