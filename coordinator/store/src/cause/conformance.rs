//! Conformance tests that every store passes: causes and waivers.
use super::{CauseRow, WaiverRow};
use crate::testing::fixture::{Check, job};
use crate::tx::Tx;
use protocol::id::StepNo;
use protocol::rules::review::waiver::Scope;
use protocol::time::Timestamp;

pub(crate) const CHECKS: &[Check] = &[("causes count and are gone with their last unit", causes)];

fn at(n: i64) -> Timestamp {
    Timestamp(n)
}

fn causes(tx: &mut dyn Tx) {
    let no = tx.insert_job(&job("a")).expect("inserts");
    let row = |cause: &str, units: i64, time: i64| CauseRow {
        cause: cause.into(),
        job: no,
        step: StepNo(0),
        reason: "r".into(),
        class: "transient".into(),
        example: "it failed".into(),
        units,
        assets: units * 2,
        first_at: at(time),
        last_at: at(time),
    };
    tx.add_to_causes(&[row("x", 1, 5), row("y", 1, 6), row("x", 1, 9)])
        .expect("adds");
    let both = tx.causes(Some(no), None, 9).expect("reads");
    assert_eq!(
        both,
        [
            CauseRow {
                first_at: at(5),
                ..row("x", 2, 9)
            },
            row("y", 1, 6)
        ]
    );
    tx.add_to_causes(&[row("y", -1, 50), row("x", -1, 50)])
        .expect("adds");
    assert_eq!(
        tx.causes(None, None, 9).expect("reads"),
        [CauseRow {
            first_at: at(5),
            ..row("x", 1, 9)
        }]
    );
    assert_eq!(tx.causes(None, Some("y"), 9).expect("reads"), []);
    tx.add_to_causes(&[]).expect("nothing is nothing");

    let waiver = |reason: &str| WaiverRow {
        scope: Scope::of_cause("x"),
        at: at(1),
        actor: "me".into(),
        reason: reason.into(),
        until: Some(at(3)),
    };
    tx.put_waiver(&waiver("first")).expect("writes");
    tx.put_waiver(&waiver("second")).expect("writes");
    assert_eq!(tx.waivers(9).expect("reads"), [waiver("second")]);
    let scope = Scope {
        check: Some("black".into()),
        asset: Some("a\nb=c".into()),
        ..Scope::default()
    };
    let of_check = WaiverRow {
        scope,
        until: None,
        ..waiver("creative intent")
    };
    tx.put_waiver(&of_check).expect("writes");
    assert_eq!(
        tx.waivers(9).expect("reads"),
        [of_check.clone(), waiver("second")]
    );
    assert_eq!(
        tx.waivers(1).expect("reads"),
        std::slice::from_ref(&of_check)
    );
    let keys = [
        waiver("second").scope.key(),
        "none".to_owned(),
        of_check.scope.key(),
        of_check.scope.key(),
    ];
    assert_eq!(
        tx.waivers_of(&keys).expect("reads"),
        [of_check, waiver("second")]
    );
    assert_eq!(tx.waivers_of(&[]).expect("reads"), []);
}
