//! Conformance tests that every store passes: transfer rates.
use super::{TransferRate, UnitTransferRate};
use crate::testing::fixture::Check;
use crate::tx::Tx;
use protocol::id::JobNo;
use protocol::time::Timestamp;

pub(crate) const CHECKS: &[Check] = &[("transfer rates are replaced as a whole", rates)];

fn rates(tx: &mut dyn Tx) {
    let rate = |bytes| TransferRate {
        bytes_moved: bytes,
        bytes_per_second: 1.5,
        at: Some(Timestamp(4)),
        ..TransferRate::default()
    };
    let unit = UnitTransferRate {
        step: "land".into(),
        part: 3,
        worker: "w".into(),
        total: Some(9),
        ..UnitTransferRate::default()
    };
    let with_unit = TransferRate {
        units: vec![unit],
        ..rate(2)
    };
    tx.put_rates(&[(JobNo(1), rate(1)), (JobNo(2), with_unit.clone())])
        .expect("writes");
    assert_eq!(tx.rate(JobNo(2)).expect("reads"), Some(with_unit));
    tx.put_rates(&[(JobNo(1), rate(5))]).expect("replaces");
    assert_eq!(
        (
            tx.rate(JobNo(1)).expect("reads"),
            tx.rate(JobNo(2)).expect("reads")
        ),
        (Some(rate(5)), None)
    );
    tx.put_rates(&[]).expect("clears");
    assert_eq!(tx.rate(JobNo(1)).expect("reads"), None);
}
