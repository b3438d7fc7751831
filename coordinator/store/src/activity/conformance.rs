//! Conformance tests that every store passes: what runs in the cluster.
use super::{Activity, RunningUnit};
use crate::testing::fixture::Check;
use crate::tx::Tx;
use protocol::id::{JobNo, Kind, StepNo};
use protocol::time::Timestamp;

pub(crate) const CHECKS: &[Check] = &[("what runs is replaced as a whole", replaced)];

fn replaced(tx: &mut dyn Tx) {
    assert_eq!(tx.activity().expect("reads"), None);
    let running = RunningUnit {
        job: JobNo(1),
        step: StepNo(2),
        part: 3,
        kind: Kind::Qc,
        size: 4,
        worker: "w".into(),
        since: Timestamp(5),
    };
    let first = Activity {
        at: Timestamp(6),
        running: vec![running],
        rates: vec![(JobNo(1), 0.5)],
        out: vec![(JobNo(1), StepNo(2), 3)],
    };
    let second = Activity {
        at: Timestamp(7),
        running: Vec::new(),
        rates: Vec::new(),
        out: Vec::new(),
    };
    for activity in [first, second] {
        tx.put_activity(&activity).expect("writes");
        assert_eq!(tx.activity().expect("reads"), Some(activity));
    }
}
