//! Conformance tests that every store passes: the catalogue.
use crate::testing::fixture::{Check, add_job, asset, page};
use crate::tx::Tx;
use protocol::media::asset::{Asset, AssetFact};
use protocol::time::Timestamp;

pub(crate) const CHECKS: &[Check] = &[
    ("a new hash makes an old verdict void", facts),
    ("known hashes are found by asset", hashes),
];

fn facts(tx: &mut dyn Tx) {
    let job = add_job(tx);
    tx.append_listing(job, true, &page(&[(1, "t", "a")]))
        .expect("appends");
    let fact = |hash: Option<&str>, verdict: Option<&str>| AssetFact {
        asset: "a".into(),
        hash: hash.map(str::to_owned),
        verdict: verdict.map(str::to_owned),
        report: verdict.map(|_| "{}".to_owned()),
        ..AssetFact::default()
    };
    let copied = AssetFact {
        location: Some("file:/copy".into()),
        bytes: Some(12),
        ..fact(Some("md5:1"), None)
    };
    tx.put_facts(job, &[copied], Timestamp(1)).expect("learns");
    tx.put_facts(job, &[fact(Some("md5:1"), Some("pass"))], Timestamp(2))
        .expect("learns");
    let judged = tx.catalogue_entry("a").expect("reads").expect("exists");
    assert_eq!(judged.fact.verdict.as_deref(), Some("pass"));
    assert_eq!(
        (judged.fact.location.as_deref(), judged.asset.bytes),
        (Some("file:/copy"), Some(12))
    );
    tx.put_facts(job, &[fact(Some("md5:2"), None)], Timestamp(3))
        .expect("learns");
    let renewed = tx.catalogue_entry("a").expect("reads").expect("exists");
    assert_eq!(
        (renewed.fact.verdict, renewed.fact.report),
        (None, None),
        "QC-1"
    );
    assert_eq!(
        (renewed.asset.hash.as_deref(), renewed.updated_at),
        (Some("md5:2"), Timestamp(3))
    );
    tx.import_assets(&[asset("v", "b")], Timestamp(4))
        .expect("imports");
    let titles = tx.catalogue(Some("v"), None, 9).expect("lists");
    assert_eq!(titles.len(), 1);
    assert_eq!(tx.catalogue(None, Some("a"), 9).expect("lists"), titles);
}

fn hashes(tx: &mut dyn Tx) {
    let declared = Asset {
        hash: Some("xxh128:7".into()),
        ..asset("t", "known")
    };
    tx.import_assets(&[declared, asset("t", "bare")], Timestamp(1))
        .expect("imports");
    let known = tx
        .catalogue_hashes(&["bare", "absent", "known"])
        .expect("reads");
    assert_eq!(known, [("known".to_owned(), "xxh128:7".to_owned())]);
    assert_eq!(tx.catalogue_hashes(&[]).expect("reads"), []);
}
