//! Conformance tests that every store passes: corrections of a listing.
use super::AssetCorrection;
use crate::testing::fixture::{Check, job, partition};
use crate::tx::Tx;
use protocol::media::asset::{Asset, Role};
use protocol::wire::report::ListedAsset;

pub(crate) const CHECKS: &[Check] = &[("a corrected listing reads as corrected", corrections)];

fn asset(n: i64) -> Asset {
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

fn corrections(tx: &mut dyn Tx) {
    let no = tx.insert_job(&job("a")).expect("inserts");
    tx.append_listing(
        no,
        true,
        &[
            ListedAsset {
                line: 1,
                asset: asset(1),
            },
            ListedAsset {
                line: 2,
                asset: asset(2),
            },
        ],
    )
    .expect("appends");
    let parts = [partition(1, "t", "a1", "a2", 2)];
    tx.insert_partitions(no, &parts).expect("inserts");
    let moved = AssetCorrection {
        asset: "a1".into(),
        location: Some("file:/new".into()),
        ..AssetCorrection::default()
    };
    let known = AssetCorrection {
        asset: "a2".into(),
        hash: Some("md5:x".into()),
        bytes: Some(9),
        location: None,
    };
    let unknown = AssetCorrection {
        asset: "nothing".into(),
        ..AssetCorrection::default()
    };
    tx.correct_assets(no, &[moved, known, unknown])
        .expect("writes");
    let members = tx.members(no, &parts).expect("reads").remove(0);
    let first = Asset {
        location: "file:/new".into(),
        ..asset(1)
    };
    assert_eq!(
        members,
        [
            first,
            Asset {
                hash: Some("md5:x".into()),
                bytes: Some(9),
                ..asset(2)
            }
        ]
    );
}
