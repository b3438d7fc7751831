//! Conformance tests that every store passes: the key of the deployment.
use crate::testing::fixture::Check;
use crate::tx::Tx;

pub(crate) const CHECKS: &[Check] = &[("the deployment keeps its first key", key)];

fn key(tx: &mut dyn Tx) {
    assert_eq!(tx.cluster_key("first").expect("makes one"), "first");
    assert_eq!(tx.cluster_key("second").expect("keeps it"), "first");
}
