//! Conformance tests that every store passes: transfer rates.
use super::{Pace, UnitPace};
use crate::testing::fixture::Check;
use crate::tx::Tx;
use protocol::id::JobNo;
use protocol::time::Timestamp;

pub(crate) const CHECKS: &[Check] = &[("transfer rates are replaced as a whole", paces)];

fn paces(tx: &mut dyn Tx) {
    let pace = |bytes| Pace {
        bytes_moved: bytes,
        bytes_per_second: 1.5,
        at: Some(Timestamp(4)),
        ..Pace::default()
    };
    let unit = UnitPace {
        step: "land".into(),
        part: 3,
        worker: "w".into(),
        total: Some(9),
        ..UnitPace::default()
    };
    let with_unit = Pace {
        units: vec![unit],
        ..pace(2)
    };
    tx.put_paces(&[(JobNo(1), pace(1)), (JobNo(2), with_unit.clone())])
        .expect("writes");
    assert_eq!(tx.pace(JobNo(2)).expect("reads"), Some(with_unit));
    tx.put_paces(&[(JobNo(1), pace(5))]).expect("replaces");
    assert_eq!(
        (
            tx.pace(JobNo(1)).expect("reads"),
            tx.pace(JobNo(2)).expect("reads")
        ),
        (Some(pace(5)), None)
    );
    tx.put_paces(&[]).expect("clears");
    assert_eq!(tx.pace(JobNo(1)).expect("reads"), None);
}
