//! Conformance tests that every store passes: failures.
use super::FailureRow;
use crate::testing::fixture::{Check, STEP, add_job, job, page, partition, unit_row};
use crate::tx::Tx;
use crate::unit::UnitRow;
use protocol::failure::Failure;
use protocol::id::{JobNo, StepNo, UnitId};
use protocol::media::asset::{Asset, Role};
use protocol::rules::unit::fingerprint::fingerprint;
use protocol::rules::unit::transition::UnitState;
use protocol::wire::report::ListedAsset;

pub(crate) const CHECKS: &[Check] = &[
    ("failures replace those of the same unit", failures),
    ("failures are walked by job, cause and unit", failures_after),
];

fn failures(tx: &mut dyn Tx) {
    let job = add_job(tx);
    tx.append_listing(job, true, &page(&[(1, "t", "a")]))
        .expect("appends");
    tx.put_units(job, STEP, &[(1, unit_row(UnitState::Dead))])
        .expect("writes");
    let unit = UnitId::new(job, STEP, 1);
    let failure = |message: &str| Failure {
        checks: vec!["black".into(), "loudness".into()],
        ..Failure::permanent("qc_failed", message)
    };
    tx.put_failures(
        unit,
        &[("a".into(), failure("old")), ("b".into(), failure("old"))],
    )
    .expect("writes");
    tx.put_failures(unit, &[("a".into(), failure("new"))])
        .expect("writes");
    let found = tx.failures(job, 9).expect("lists");
    assert_eq!(found.len(), 1);
    assert_eq!(
        (
            found[0].asset.as_str(),
            found[0].title.as_str(),
            found[0].state
        ),
        ("a", "t", UnitState::Dead)
    );
    assert_eq!(found[0].failure, failure("new"));
    assert_eq!(
        tx.failures_of(unit).expect("reads"),
        [("a".to_owned(), failure("new"))]
    );
    assert_eq!(
        tx.failures_of(UnitId { part: 2, ..unit }).expect("reads"),
        []
    );
    tx.put_failures(unit, &[]).expect("clears");
    assert_eq!(tx.failures(job, 9).expect("lists"), []);
}

fn numbered(n: i64) -> Asset {
    Asset {
        id: format!("a{n}"),
        title: "t".into(),
        role: Role::Audio,
        location: format!("file:/m/{n}"),
        path: n.to_string(),
        bytes: Some(1),
        hash: None,
        declared: None,
    }
}

fn unit(job: JobNo, part: i64) -> UnitId {
    UnitId::new(job, StepNo(0), part)
}

fn failures_after(tx: &mut dyn Tx) {
    let jobs = [
        tx.insert_job(&job("a")).expect("inserts"),
        tx.insert_job(&job("b")).expect("inserts"),
    ];
    for no in jobs {
        let page: Vec<ListedAsset> = (0..3)
            .map(|n| ListedAsset {
                line: n as u64,
                asset: numbered(n),
            })
            .collect();
        tx.append_listing(no, true, &page).expect("appends");
        tx.insert_partitions(
            no,
            &[
                partition(1, "t", "a0", "a1", 2),
                partition(2, "t", "a2", "a2", 1),
            ],
        )
        .expect("inserts");
        let dead = UnitRow {
            state: UnitState::Dead,
            epoch: 1,
            attempt: 1,
            due_at: None,
            duration_us: 0,
        };
        tx.put_units(no, StepNo(0), &[(1, dead), (2, dead)])
            .expect("writes");
        let failed = |n: i64, message: &str| (format!("a{n}"), Failure::permanent("r", message));
        tx.put_failures(
            unit(no, 1),
            &[failed(0, "a/0 is missing"), failed(1, "a/1 is missing")],
        )
        .expect("writes");
        tx.put_failures(
            unit(no, 2),
            &[(String::new(), Failure::permanent("r", "the tool broke"))],
        )
        .expect("writes");
    }
    let names = |rows: &[FailureRow]| {
        rows.iter()
            .map(|row| (row.unit.job.0, row.unit.part, row.asset.clone()))
            .collect::<Vec<_>>()
    };
    let of_first = tx
        .failures_after(Some(jobs[0]), None, None, 9)
        .expect("reads");
    let first = jobs[0].0;
    assert_eq!(
        names(&of_first),
        [
            (first, 1, "a0".into()),
            (first, 1, "a1".into()),
            (first, 2, String::new())
        ]
    );
    assert_eq!(
        (
            of_first[0].role.as_str(),
            of_first[0].title.as_str(),
            of_first[2].role.as_str()
        ),
        ("audio", "t", "")
    );
    assert_eq!(of_first[0].state, UnitState::Dead);
    let cause = fingerprint(&of_first[0].failure);
    assert_eq!(
        cause,
        fingerprint(&of_first[1].failure),
        "only the path differs"
    );
    let missing = tx
        .failures_after(None, Some(&cause), None, 9)
        .expect("reads");
    assert_eq!(missing.len(), 4);
    let after = Some((missing[1].unit, missing[1].asset.as_str()));
    assert_eq!(
        names(
            &tx.failures_after(None, Some(&cause), after, 1)
                .expect("reads")
        ),
        [(jobs[1].0, 1, "a0".into())]
    );
    let within = Some((unit(jobs[1], 1), "a0"));
    assert_eq!(
        names(&tx.failures_after(None, None, within, 9).expect("reads")).len(),
        2
    );
}
