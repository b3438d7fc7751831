//! Planning and splitting while a library is cut into partitions, over a database file.
use coordinator::reconcile::{planner, settlement};
use coordinator::store::handle::Backend;
use coordinator::store::sqlite::Sqlite;
use coordinator::store::testing::job;
use coordinator::store::{Phase, Tx};
use coordinator::workflows::Workflows;
use protocol::failure::Failure;
use protocol::id::{JobNo, StepNo, UnitId, WorkerId};
use protocol::media::asset::{Asset, Role};
use protocol::rules::library::partition::PartitionLimits;
use protocol::time::Timestamp;
use protocol::wire::report::{ListedAsset, Outcome, UnitResult};

/// A job over so many assets of one title whose listing is done.
fn listed(tx: &mut dyn Tx, assets: u64, assets_max: u32) -> JobNo {
    let mut new = job("j");
    new.workflow.partition = PartitionLimits {
        by_title: true,
        assets_max,
        bytes_max: u64::MAX,
    };
    let no = tx.insert_job(&new).expect("inserts");
    let asset = |n: u64| Asset {
        id: format!("a{n:06}"),
        title: "t".into(),
        role: Role::Master,
        location: format!("file:/m/{n}"),
        path: n.to_string(),
        bytes: None,
        hash: None,
        declared: None,
    };
    let page: Vec<ListedAsset> = (0..assets)
        .map(|n| ListedAsset {
            line: n,
            asset: asset(n),
        })
        .collect();
    tx.append_listing(no, true, &page).expect("appends");
    let mut row = tx.job(no).expect("reads").expect("inserted");
    (row.phase, row.assets) = (Phase::Planning, assets);
    tx.update_job(&row).expect("writes");
    no
}

fn in_a_file(work: impl FnOnce(&mut dyn Tx)) {
    let dir = tempfile::tempdir().expect("temp dir");
    let mut sqlite = Backend::Sqlite(Box::new(
        Sqlite::open(&dir.path().join("x.db")).expect("opens"),
    ));
    let done = sqlite.write(|tx| {
        work(tx);
        Ok(())
    });
    done.expect("commits");
}

/// Units go out while the rest of the library is still cut: a split of one must not take the number of a partition to come.
#[test]
fn split_while_partitions_are_cut_takes_no_number_of_theirs() {
    in_a_file(|tx| {
        let (no, workflows) = (listed(tx, 10_000, 2), Workflows::default());
        assert!(planner::plan(tx, &workflows, no).expect("plans"));
        tx.set_cursor(no, StepNo(0), 1).expect("moves");
        let failures = vec![(
            "a000000".to_owned(),
            Failure::permanent("missing", "it is not there"),
        )];
        let result = UnitResult::Finished {
            facts: vec![],
            failures,
        };
        let unit = UnitId::new(no, StepNo(0), 1);
        let outcome = Outcome {
            unit,
            epoch: 1,
            worker: WorkerId("w".into()),
            result,
            duration_us: 1,
        };
        let settled = settlement::settle(tx, &workflows, vec![outcome], Timestamp(1), &mut || 0.5)
            .expect("settles");
        assert_eq!(settled.accepted, 1);
        while planner::plan(tx, &workflows, no).expect("no number is taken twice") {}
        let row = tx.job(no).expect("reads").expect("there");
        assert_eq!((row.phase, row.parts_planned), (Phase::Sealed, 5_000));
        let child = tx.children(no, 1, 1).expect("reads");
        assert_eq!(child, [row.parts]);
        let parted = tx.partitions(no, &[1, child[0]]).expect("reads");
        let members = tx.members(no, &parted).expect("reads");
        let members: Vec<&str> = members
            .iter()
            .flatten()
            .map(|asset| asset.id.as_str())
            .collect();
        assert_eq!(members, ["a000001", "a000000"]);
    });
}

/// A partition that is longer than the pages of a listing is cut as any other.
#[test]
fn partitions_longer_than_a_page_of_the_listing_are_cut_as_any() {
    in_a_file(|tx| {
        let no = listed(tx, 25_000, 9_000);
        while planner::plan(tx, &Workflows::default(), no).expect("plans") {}
        let sizes: Vec<u32> = tx
            .partitions_after(no, 0, 9)
            .expect("reads")
            .iter()
            .map(|p| p.assets)
            .collect();
        assert_eq!(sizes, [9_000, 9_000, 7_000]);
    });
}
