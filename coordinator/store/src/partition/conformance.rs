//! Conformance tests that every store passes: partitions.
use super::Partition;
use crate::testing::fixture::{Check, add_job, page, partition};
use crate::tx::Tx;
use protocol::media::asset::Asset;

pub(crate) const CHECKS: &[Check] = &[
    ("a partition's members are its run of the order", members),
    ("split assets leave their partition", split_members),
];

fn ids(members: &[Vec<Asset>]) -> Vec<Vec<String>> {
    members
        .iter()
        .map(|assets| assets.iter().map(|a| a.id.clone()).collect())
        .collect()
}

fn members(tx: &mut dyn Tx) {
    let job = add_job(tx);
    tx.append_listing(
        job,
        true,
        &page(&[(1, "t", "a"), (2, "u", "b"), (3, "t", "c"), (4, "t", "d")]),
    )
    .expect("appends");
    let cut = [
        partition(1, "t", "a", "c", 2),
        partition(2, "t", "d", "d", 1),
        partition(3, "u", "b", "b", 1),
    ];
    tx.insert_partitions(job, &cut).expect("inserts");
    assert_eq!(tx.partitions_after(job, 1, 10).expect("lists"), cut[1..]);
    assert_eq!(
        tx.partitions(job, &[3, 1]).expect("finds"),
        [cut[2].clone(), cut[0].clone()]
    );
    assert!(tx.partitions(job, &[4]).is_err());
    assert_eq!(
        ids(&tx.members(job, &cut).expect("finds")),
        [vec!["a", "c"], vec!["d"], vec!["b"]]
    );
    let backwards: Vec<Partition> = cut.iter().rev().cloned().collect();
    assert_eq!(
        ids(&tx.members(job, &backwards).expect("finds")),
        [vec!["b"], vec!["d"], vec!["a", "c"]]
    );
    let whole = partition(9, "", "a", "c", 3);
    assert_eq!(
        ids(&tx.members(job, &[whole]).expect("finds")),
        [["a", "b", "c"]]
    );
}

fn split_members(tx: &mut dyn Tx) {
    let job = add_job(tx);
    tx.append_listing(
        job,
        true,
        &page(&[(1, "t", "a"), (2, "t", "b"), (3, "t", "c")]),
    )
    .expect("appends");
    let child = Partition {
        parent: 1,
        ..partition(2, "t", "b", "b", 1)
    };
    tx.insert_partitions(job, &[partition(1, "t", "a", "c", 3), child])
        .expect("inserts");
    tx.move_assets(job, 2, &["b".into()]).expect("moves");
    tx.shrink_partition(job, 1, 1).expect("shrinks");
    let both = tx.partitions(job, &[1, 2]).expect("finds");
    assert_eq!((both[0].assets, both[0].split), (2, true));
    assert_eq!(
        ids(&tx.members(job, &both).expect("finds")),
        [vec!["a", "c"], vec!["b"]]
    );
    assert_eq!(
        tx.moved_away(job, 1, &["a".into(), "b".into()])
            .expect("asks"),
        ["b"]
    );
    assert_eq!(tx.moved_away(job, 2, &["b".into()]).expect("asks"), [""; 0]);
    assert_eq!(tx.children(job, 1, 1).expect("lists"), [2]);
    assert_eq!(
        tx.partitions_after(job, 0, 10).expect("lists").len(),
        1,
        "children are not planned partitions"
    );
}
