//! Conformance tests that every store passes: fact sheets and verdicts.
use super::{SheetRow, VerdictRow};
use crate::testing::fixture::{Check, job};
use crate::tx::Tx;
use protocol::id::JobNo;
use protocol::media::asset::{Asset, AssetFact, Role};
use protocol::model::qc::Verdict;
use protocol::time::Timestamp;
use protocol::wire::report::ListedAsset;

pub(crate) const CHECKS: &[Check] = &[
    ("fact sheets are found by the bytes they are of", sheets),
    ("a verdict belongs to bytes, policy and asset", verdicts),
    ("candidate hashes of assets", candidate_hashes),
];

fn at(n: i64) -> Timestamp {
    Timestamp(n)
}

fn sheet(hash: &str, text: &str, time: i64) -> SheetRow {
    SheetRow {
        hash: hash.into(),
        sheet: text.into(),
        measured_at: at(time),
    }
}

fn verdict(asset: &str, hash: &str, digest: &str, time: i64) -> VerdictRow {
    VerdictRow {
        hash: hash.into(),
        digest: digest.into(),
        asset: asset.into(),
        policy: "p".into(),
        verdict: Verdict::Fail,
        report: "{\"a\":\"ü\"}".into(),
        job: JobNo(1),
        judged_at: at(time),
    }
}

fn sheets(tx: &mut dyn Tx) {
    tx.put_sheets(&[
        sheet("h2", "{}", 1),
        sheet("h1", "{\"x\":1}", 2),
        sheet("h2", "{\"y\":2}", 3),
    ])
    .expect("writes");
    tx.put_sheets(&[]).expect("nothing is nothing");
    let asked = ["h2", "h9", "h1", "h2"].map(str::to_owned);
    assert_eq!(
        tx.sheets(&asked).expect("reads"),
        [sheet("h1", "{\"x\":1}", 2), sheet("h2", "{\"y\":2}", 3)]
    );
    assert_eq!(tx.sheets(&[]).expect("reads"), []);
    tx.put_sheets(&[sheet("h1", "{}", 5)]).expect("writes");
    assert_eq!(
        tx.sheets(&asked[2..3]).expect("reads"),
        [sheet("h1", "{}", 5)]
    );
}

fn verdicts(tx: &mut dyn Tx) {
    tx.put_verdicts(&[
        verdict("a", "h1", "d1", 1),
        verdict("a", "h2", "d1", 3),
        verdict("b", "h1", "d1", 9),
    ])
    .expect("writes");
    let again = VerdictRow {
        verdict: Verdict::Pass,
        ..verdict("a", "h1", "d1", 2)
    };
    tx.put_verdicts(&[verdict("a", "h1", "d1", 2), again.clone()])
        .expect("the last one counts");
    assert_eq!(
        tx.verdicts("a", 9).expect("reads"),
        [verdict("a", "h2", "d1", 3), again]
    );
    assert_eq!(tx.verdicts("a", 1).expect("reads").len(), 1);
    assert_eq!(tx.verdicts("c", 9).expect("reads"), []);
}

fn asset(id: &str) -> Asset {
    Asset {
        id: id.into(),
        title: "t".into(),
        role: Role::Audio,
        location: "file:/m".into(),
        path: "m".into(),
        bytes: None,
        hash: None,
        declared: None,
    }
}

fn candidate_hashes(tx: &mut dyn Tx) {
    let no = tx.insert_job(&job("a")).expect("inserts");
    tx.append_listing(
        no,
        true,
        &[
            ListedAsset {
                line: 1,
                asset: asset("a"),
            },
            ListedAsset {
                line: 2,
                asset: asset("b"),
            },
        ],
    )
    .expect("appends");
    let fact = |id: &str| AssetFact {
        asset: id.into(),
        hash: Some("landed".into()),
        ..AssetFact::default()
    };
    tx.put_facts(no, &[fact("a")], at(1)).expect("writes");
    tx.put_verdicts(&[
        verdict("a", "older", "d", 1),
        verdict("a", "judged", "d", 2),
        verdict("c", "judged", "d", 1),
    ])
    .expect("writes");
    let pair = |asset: &str, hash: &str| (asset.to_owned(), hash.to_owned());
    let asked = ["c", "a", "absent", "b"].map(str::to_owned);
    let known = [
        pair("a", "judged"),
        pair("a", "landed"),
        pair("c", "judged"),
    ];
    assert_eq!(tx.candidate_hashes(&asked).expect("reads"), known);
    tx.put_verdicts(&[verdict("a", "landed", "d", 3)])
        .expect("writes");
    assert_eq!(
        tx.candidate_hashes(&asked[1..2]).expect("reads"),
        [pair("a", "landed")]
    );
    assert_eq!(tx.candidate_hashes(&[]).expect("reads"), []);
}
