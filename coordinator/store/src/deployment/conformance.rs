//! Conformance tests that every store passes: the deployment.
use crate::testing::fixture::Check;
use crate::tx::Tx;

pub(crate) const CHECKS: &[Check] = &[("a deployment has one id", deployment)];

fn deployment(tx: &mut dyn Tx) {
    let id = tx.deployment().expect("reads");
    assert!(!id.is_empty() && id.is_ascii() && id == tx.deployment().expect("reads"));
}
