//! Conformance tests that every store passes: tombstones.
use super::TombstoneRow;
use crate::testing::fixture::{Check, add_job};
use crate::tx::Tx;
use protocol::time::Timestamp;

pub(crate) const CHECKS: &[Check] =
    &[("tombstones are kept once and outlive their job", tombstones)];

fn tombstones(tx: &mut dyn Tx) {
    let row = |asset: &str, job: &str, at| TombstoneRow {
        asset: asset.into(),
        location: format!("s3://b/{asset}"),
        job: job.into(),
        step: "free".into(),
        version: "v".into(),
        bytes: 12,
        hash: "xxh128:00".into(),
        copy: "file:/c".into(),
        proof: "content".into(),
        ordered_by: "ana".into(),
        reason: "space".into(),
        found_gone: false,
        dry_run: job == "dry",
        at: Timestamp(at),
    };
    tx.put_tombstones(&[]).expect("nothing to keep");
    tx.put_tombstones(&[row("a", "dry", 1), row("b", "dry", 1)])
        .expect("keeps");
    tx.put_tombstones(&[row("a", "wet", 2)]).expect("keeps");
    let again = TombstoneRow {
        found_gone: true,
        ..row("a", "wet", 3)
    };
    tx.put_tombstones(&[again, row("c", "wet", 3)])
        .expect("the first counts");
    assert_eq!(
        tx.tombstones("a").expect("reads"),
        [row("a", "dry", 1), row("a", "wet", 2)]
    );
    assert_eq!(tx.tombstones("c").expect("reads"), [row("c", "wet", 3)]);
    let job = add_job(tx);
    while !tx.remove_job(job, 100).expect("removes").gone {}
    assert_eq!(tx.tombstones("b").expect("reads").len(), 1);
}
