//! The suite every store passes: each check gets a fresh store and asks it the same questions.
//!
//! A new backend calls [`checks`] from its tests; nothing else has to be written for it.
use super::handle::Backend;
use super::*;
use protocol::failure::Failure;
use protocol::id::{JobNo, Kind, StepNo, UnitId};
use protocol::media::asset::{Asset, AssetFact, Declared, Role};
use protocol::model::priority::Priority;
use protocol::rules::library::partition::PartitionLimits;
use protocol::rules::unit::retry::RetryPolicy;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::wire::unit::{NoopTask, ScanSource, ScanTask, TaskSpec};
use protocol::workflow::file::OnFailure;
use protocol::workflow::{Action, Step, Workflow};
use std::sync::Arc;

/// One check: its name and what it does.
pub type Check = (&'static str, fn(&mut dyn Tx));

/// Every check.
pub fn checks() -> Vec<Check> {
    vec![
        ("jobs read back as written, newest first", jobs),
        ("a listing ignores replays and reports duplicates", listing_replays),
        ("rows that cannot be used are counted once", rejected_rows),
        ("a listing pages in canonical order", listing_order),
        ("a partition's members are its run of the order", members),
        ("split assets leave their partition", split_members),
        ("units are found by state and by need", units),
        ("computed units that are out are those without a row", computed_out),
        ("neighbours that end well read back one by one", successes_in_a_row),
        ("failures replace those of the same unit", failures),
        ("barriers grow, count and spread", barriers),
        ("a new hash makes an old verdict void", facts),
        ("counters add up", counters),
        ("an asset's partition is found", find_asset),
        ("ended jobs are forgotten a few rows at a time", forgetting),
        ("a job that a person has to decide about is not forgotten", super::rework::conformance::forgetting),
        ("operations read back and are found while they run", super::control::conformance::operations),
        ("causes count and are gone with their last unit", super::control::conformance::causes),
        ("failures are walked by job, cause and unit", super::control::conformance::failures_after),
        ("losses count workers and are forgotten", super::control::conformance::losses),
        ("a deployment has one id", deployment),
        ("workers keep their orders", super::control::conformance::workers),
        ("a corrected listing says what it was told", super::control::conformance::corrections),
        ("tombstones are kept once and outlive their job", tombstones),
        ("paces are replaced as a whole", paces),
        ("the deployment keeps its first key", key),
        ("fact sheets are found by the bytes they are of", super::rework::conformance::sheets),
        ("a verdict belongs to bytes, policy and asset", super::rework::conformance::verdicts),
        ("what an asset is believed to hash to", super::rework::conformance::believed),
        ("one task of a kind is pending about a subject", super::rework::conformance::tasks),
        ("tasks open and end together", super::rework::conformance::tasks_together),
        ("costs, withheld steps and speculative copies read back", schedule),
    ]
}

/// A transaction that fails leaves nothing behind.
pub fn atomicity(backend: &mut Backend) {
    let failed: StoreResult<()> = backend.write(|tx| {
        tx.insert_job(&job("gone"))?;
        Err(StoreError::Busy("on purpose".into()))
    });
    assert!(failed.is_err());
    let found = backend.write(|tx| tx.job_by_id("gone")).expect("reads");
    assert_eq!(found, None);
}

const STEP: StepNo = StepNo(0);

/// A job of two steps, the second after the first, whose units do nothing.
pub fn job(id: &str) -> NewJob {
    let units = |task| Action::Units { kind: Kind::Noop, task: Arc::new(task), reads: None };
    let noop = TaskSpec::Noop(NoopTask { duration_min_us: 0, duration_max_us: 0, fail: 0.0 });
    let step = Step {
        id: "work".into(),
        needs: vec![],
        retry: RetryPolicy::default(),
        on_failure: OnFailure::Task,
        due_us: None,
        action: units(noop),
    };
    let scan = ScanTask {
        source: ScanSource::Manifest { path: "/m.csv".into() },
        root: "/".into(),
        resume: None,
        page_assets: 10,
    };
    NewJob {
        id: id.into(),
        workflow: Workflow {
            name: "name".into(),
            scan: Arc::new(TaskSpec::Scan(scan)),
            deadline: None,
            priority: Priority::Normal,
            tenant: "default".into(),
            partition: PartitionLimits { by_title: true, assets_max: 2, bytes_max: u64::MAX },
            steps: vec![Step { id: "after".into(), needs: vec![STEP], ..step.clone() }, step]
                .into_iter()
                .rev()
                .collect(),
        },
        digest: "digest".into(),
        submitted_at: Timestamp(5),
        submission: None,
    }
}

fn asset(title: &str, id: &str) -> Asset {
    Asset {
        id: id.into(),
        title: title.into(),
        role: Role::Master,
        location: format!("file:/m/{id}"),
        path: id.into(),
        bytes: Some(10),
        hash: None,
        declared: None,
    }
}

fn page(rows: &[(u64, &str, &str)]) -> Vec<(u64, Asset)> {
    rows.iter().map(|(line, title, id)| (*line, asset(title, id))).collect()
}

fn add_job(tx: &mut dyn Tx) -> JobNo {
    tx.insert_job(&job("j")).expect("inserts")
}

fn row(state: UnitState) -> UnitRow {
    UnitRow { state, epoch: 1, attempt: 0, due_at: None, duration_us: 7 }
}

/// A planned partition.
pub fn partition(part: i64, title: &str, first: &str, last: &str, assets: u32) -> Partition {
    Partition {
        part,
        title: title.into(),
        first: first.into(),
        last: last.into(),
        assets,
        bytes: 0,
        parent: 0,
        split: false,
    }
}

fn jobs(tx: &mut dyn Tx) {
    let first = tx.insert_job(&job("first")).expect("inserts");
    let second = tx.insert_job(&job("second")).expect("inserts");
    assert!(tx.insert_job(&job("first")).is_err(), "an id is unique");
    assert_eq!(tx.workflow(first).expect("reads"), job("first").workflow);
    let mut row = tx.job(first).expect("reads").expect("exists");
    row.state = JobState::Succeeded;
    row.ended_at = Some(Timestamp(9));
    row.plan_after = Some(("t".into(), "a".into()));
    row.scan.byte = 77;
    row.scan_after = Some("p/k".into());
    row.parts = 3;
    row.carried = Carried { copied: 1, copied_bytes: 2, landed: 3, landed_bytes: 4 };
    row.message = Some("m".into());
    assert_eq!((row.priority, row.tenant.as_str(), row.deadline), (Priority::Normal, "default", None));
    (row.priority, row.tenant, row.deadline) = (Priority::Urgent, "other".into(), Some(Timestamp(11)));
    tx.update_job(&row).expect("updates");
    assert_eq!(tx.job_by_id("first").expect("reads"), Some(row));
    let open: Vec<JobNo> = tx.jobs(true, 10).expect("lists").iter().map(|j| j.no).collect();
    assert_eq!(open, [second]);
    let all: Vec<JobNo> = tx.jobs(false, 10).expect("lists").iter().map(|j| j.no).collect();
    assert_eq!(all, [second, first]);
}

fn listing_replays(tx: &mut dyn Tx) {
    let job = add_job(tx);
    let rows = page(&[(2, "t", "a"), (3, "t", "b")]);
    let done = tx.append_listing(job, true, &rows).expect("appends");
    assert_eq!((done.assets, done.bytes, done.errors.len()), (2, 20, 0));
    let again = tx.append_listing(job, true, &rows).expect("appends");
    assert_eq!((again.assets, again.errors.len()), (0, 0));
    let other_title = tx.append_listing(job, true, &page(&[(9, "other", "a")])).expect("appends");
    assert_eq!(other_title.assets, 0);
    assert_eq!(other_title.errors[0].line, 9);
    assert!(other_title.errors[0].message.contains("line 2"), "{:?}", other_title.errors);
    assert_eq!(tx.append_row_errors(job, &other_title.errors).expect("appends"), 1);
    assert_eq!(tx.append_row_errors(job, &other_title.errors).expect("appends"), 0, "a replay adds nothing");
    assert_eq!(tx.row_errors(job, 10).expect("lists"), other_title.errors);
    assert_eq!(other_title.errors[0].title.as_deref(), Some("other"), "that title lacks the row");
    let same_title = tx.append_listing(job, true, &page(&[(11, "t", "a")])).expect("appends");
    assert_eq!(same_title.errors[0].title, None, "the title has its asset");
}

fn rejected_rows(tx: &mut dyn Tx) {
    let job = add_job(tx);
    let row = |line: u64, title: Option<&str>, asset: Option<&str>| RowError {
        line,
        column: Some("bytes".into()),
        asset: asset.map(str::to_owned),
        message: format!("m{line}"),
        title: title.map(str::to_owned),
    };
    let (first, second, third) = (row(9, Some("a"), None), row(4, Some("a"), Some("x")), row(2, Some("b"), Some("a")));
    let errors = [third.clone(), row(1, None, Some("z")), second.clone(), first.clone()];
    assert_eq!(tx.append_row_errors(job, &errors).expect("appends"), 4);
    let waiting = |tx: &mut dyn Tx, limit| tx.uncounted_rows(job, limit).expect("lists");
    assert_eq!(waiting(tx, 9), [first.clone(), second.clone(), third.clone()], "by title, asset and line");
    assert_eq!(waiting(tx, 1), std::slice::from_ref(&first));
    tx.count_rows(job, &[(first.clone(), 3), (second.clone(), 4)]).expect("counts");
    assert_eq!(waiting(tx, 9), [third]);
    let counted = |tx: &mut dyn Tx, of| tx.counted_rows(job, of, 9).expect("lists");
    assert_eq!(counted(tx, RowsOf::Job), [second.clone(), first.clone()], "by line");
    assert_eq!(counted(tx, RowsOf::Title("a")), [second.clone(), first.clone()]);
    assert_eq!(counted(tx, RowsOf::Title("b")), [], "not counted yet");
    assert_eq!(counted(tx, RowsOf::Parts(1, 3)), [first]);
    assert_eq!(tx.append_row_errors(job, &[second]).expect("appends"), 0, "a replay is not counted again");
    assert_eq!(tx.uncounted_rows(job, 9).expect("lists").len(), 1);
}

fn listing_order(tx: &mut dyn Tx) {
    let job = add_job(tx);
    tx.append_listing(job, true, &page(&[(1, "z", "a"), (2, "b", "c"), (3, "b", "b")])).expect("appends");
    let by_title = tx.listing_after(job, true, None, 2).expect("pages");
    let names = |page: &[Member]| page.iter().map(|m| (m.title.clone(), m.id.clone())).collect::<Vec<_>>();
    assert_eq!(names(&by_title), [("b".into(), "b".into()), ("b".into(), "c".into())]);
    let rest = tx.listing_after(job, true, Some(("b", "c")), 9).expect("pages");
    assert_eq!(names(&rest), [("z".to_owned(), "a".to_owned())]);
    let by_id = tx.listing_after(job, false, Some(("", "a")), 9).expect("pages");
    let plain = by_id[0].row_bytes;
    let mut noted = page(&[(4, "z", "zz")]);
    let meta = [("note".to_owned(), "ü".repeat(500))].into();
    noted[0].1.declared = Some(Box::new(Declared { meta, ..Declared::default() }));
    tx.append_listing(job, true, &noted).expect("appends");
    let long = tx.listing_after(job, false, Some(("", "c")), 9).expect("pages");
    assert!(long[0].row_bytes > plain + 1_000, "columns kept as metadata count, in bytes: {long:?}");
    assert_eq!(names(&by_id), [(String::new(), "b".to_owned()), (String::new(), "c".to_owned())]);
}

fn ids(members: &[Vec<Asset>]) -> Vec<Vec<String>> {
    members.iter().map(|assets| assets.iter().map(|a| a.id.clone()).collect()).collect()
}

fn members(tx: &mut dyn Tx) {
    let job = add_job(tx);
    tx.append_listing(job, true, &page(&[(1, "t", "a"), (2, "u", "b"), (3, "t", "c"), (4, "t", "d")]))
        .expect("appends");
    let cut = [partition(1, "t", "a", "c", 2), partition(2, "t", "d", "d", 1), partition(3, "u", "b", "b", 1)];
    tx.insert_partitions(job, &cut).expect("inserts");
    assert_eq!(tx.partitions_after(job, 1, 10).expect("lists"), cut[1..]);
    assert_eq!(tx.partitions(job, &[3, 1]).expect("finds"), [cut[2].clone(), cut[0].clone()]);
    assert!(tx.partitions(job, &[4]).is_err());
    assert_eq!(ids(&tx.members(job, &cut).expect("finds")), [vec!["a", "c"], vec!["d"], vec!["b"]]);
    let backwards: Vec<Partition> = cut.iter().rev().cloned().collect();
    assert_eq!(ids(&tx.members(job, &backwards).expect("finds")), [vec!["b"], vec!["d"], vec!["a", "c"]]);
    let whole = partition(9, "", "a", "c", 3);
    assert_eq!(ids(&tx.members(job, &[whole]).expect("finds")), [["a", "b", "c"]]);
}

fn split_members(tx: &mut dyn Tx) {
    let job = add_job(tx);
    tx.append_listing(job, true, &page(&[(1, "t", "a"), (2, "t", "b"), (3, "t", "c")])).expect("appends");
    let child = Partition { parent: 1, ..partition(2, "t", "b", "b", 1) };
    tx.insert_partitions(job, &[partition(1, "t", "a", "c", 3), child]).expect("inserts");
    tx.move_assets(job, 2, &["b".into()]).expect("moves");
    tx.shrink_partition(job, 1, 1).expect("shrinks");
    let both = tx.partitions(job, &[1, 2]).expect("finds");
    assert_eq!((both[0].assets, both[0].split), (2, true));
    assert_eq!(ids(&tx.members(job, &both).expect("finds")), [vec!["a", "c"], vec!["b"]]);
    assert_eq!(tx.moved_away(job, 1, &["a".into(), "b".into()]).expect("asks"), ["b"]);
    assert_eq!(tx.moved_away(job, 2, &["b".into()]).expect("asks"), [""; 0]);
    assert_eq!(tx.children(job, 1, 1).expect("lists"), [2]);
    assert_eq!(tx.partitions_after(job, 0, 10).expect("lists").len(), 1, "children are not planned partitions");
}

fn units(tx: &mut dyn Tx) {
    let job = add_job(tx);
    let due = |at| UnitRow { due_at: Some(Timestamp(at)), ..row(UnitState::Retrying) };
    let rows = [
        (1, row(UnitState::Ready)),
        (2, due(20)),
        (3, due(10)),
        (4, row(UnitState::Leased)),
        (5, row(UnitState::Ready)),
    ];
    tx.put_units(job, STEP, &rows).expect("writes");
    assert_eq!(tx.units(job, STEP, &[2, 9]).expect("reads"), [Some(due(20)), None]);
    assert_eq!(tx.ready_units(job, STEP, 1).expect("lists"), [(1, row(UnitState::Ready))]);
    let found: Vec<i64> = tx.due_units(Timestamp(20), 9).expect("lists").iter().map(|(id, _)| id.part).collect();
    assert_eq!(found, [3, 2], "the longest due first");
    assert_eq!(tx.due_units(Timestamp(9), 9).expect("lists"), []);
    assert_eq!(tx.next_due().expect("asks"), Some(Timestamp(10)));
    let ready = tx.units_in(job, UnitState::Ready, Some((STEP, 1)), 9).expect("lists");
    assert_eq!(ready, [(UnitId { job, step: STEP, part: 5 }, row(UnitState::Ready))]);
    tx.put_units(job, STEP, &[(2, row(UnitState::Dead)), (3, row(UnitState::Dead))]).expect("writes");
    assert_eq!(tx.next_due().expect("asks"), None);
}

fn computed_out(tx: &mut dyn Tx) {
    let job = add_job(tx);
    let cut: Vec<Partition> = (1..=4).map(|n| partition(n, "t", "a", "a", 1)).collect();
    tx.insert_partitions(job, &cut).expect("inserts");
    tx.set_cursor(job, STEP, 3).expect("moves");
    tx.put_units(job, STEP, &[(2, row(UnitState::Succeeded))]).expect("writes");
    assert_eq!(tx.computed_out(job, STEP, 9).expect("lists"), [1, 3]);
}

fn successes_in_a_row(tx: &mut dyn Tx) {
    let job = add_job(tx);
    let cut: Vec<Partition> = (1..=5_000).map(|n| partition(n, "t", "a", "a", 1)).collect();
    tx.insert_partitions(job, &cut).expect("inserts");
    tx.set_cursor(job, STEP, 4_990).expect("moves");
    let parts: Vec<i64> = (1..=4_980).filter(|part| *part != 2_000).collect();
    assert!(tx.units(job, STEP, &parts).expect("reads").iter().all(Option::is_none));
    let done = row(UnitState::Succeeded);
    tx.put_units(job, STEP, &parts.iter().map(|part| (*part, done)).collect::<Vec<_>>()).expect("writes");
    assert_eq!(tx.units(job, STEP, &[1, 2_000, 4_980, 4_981]).expect("reads"), [Some(done), None, Some(done), None]);
    assert!(tx.units(job, STEP, &parts).expect("reads").iter().all(|row| *row == Some(done)));
    let out: Vec<i64> = std::iter::once(2_000).chain(4_981..=4_990).collect();
    assert_eq!(tx.computed_out(job, STEP, 99).expect("lists"), out);
    // What happens to one of them later is its own.
    tx.put_units(job, STEP, &[(17, row(UnitState::Dead))]).expect("writes");
    let found = tx.units(job, STEP, &[16, 17, 18]).expect("reads");
    assert_eq!(found, [Some(done), Some(row(UnitState::Dead)), Some(done)]);
    let listed = tx.units_in(job, UnitState::Dead, None, 9).expect("lists");
    assert_eq!(listed, [(UnitId { job, step: STEP, part: 17 }, row(UnitState::Dead))]);
}

fn failures(tx: &mut dyn Tx) {
    let job = add_job(tx);
    tx.append_listing(job, true, &page(&[(1, "t", "a")])).expect("appends");
    tx.put_units(job, STEP, &[(1, row(UnitState::Dead))]).expect("writes");
    let unit = UnitId { job, step: STEP, part: 1 };
    let failure = |message: &str| Failure {
        checks: vec!["black".into(), "loudness".into()],
        ..Failure::permanent("qc_failed", message)
    };
    tx.put_failures(unit, &[("a".into(), failure("old")), ("b".into(), failure("old"))]).expect("writes");
    tx.put_failures(unit, &[("a".into(), failure("new"))]).expect("writes");
    let found = tx.failures(job, 9).expect("lists");
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].asset.as_str(), found[0].title.as_str(), found[0].state), ("a", "t", UnitState::Dead));
    assert_eq!(found[0].failure, failure("new"));
    assert_eq!(tx.failures_of(unit).expect("reads"), [("a".to_owned(), failure("new"))]);
    assert_eq!(tx.failures_of(UnitId { part: 2, ..unit }).expect("reads"), []);
    tx.put_failures(unit, &[]).expect("clears");
    assert_eq!(tx.failures(job, 9).expect("lists"), []);
}

fn barriers(tx: &mut dyn Tx) {
    let job = add_job(tx);
    let step = StepNo(1);
    let grow = |key: &str, members, first, last| BarrierGrowth { key: key.into(), members, failed: 0, first, last };
    tx.add_to_barrier(job, step, &grow("t", 2, 3, 4)).expect("grows");
    tx.add_to_barrier(job, step, &grow("t", 1, 5, 5)).expect("grows");
    tx.add_to_barrier(job, step, &grow("u", 1, 6, 6)).expect("grows");
    let rejected = |key: &str| BarrierGrowth { key: key.into(), members: 2, failed: 2, first: 1, last: 0 };
    for key in ["e", "v", "w"] {
        tx.add_to_barrier(job, StepNo(2), &rejected(key)).expect("grows");
    }
    tx.add_to_barrier(job, StepNo(2), &grow("v", 1, 8, 9)).expect("grows");
    tx.barrier(job, StepNo(2), "w").expect("reads").expect("written");
    tx.add_to_barrier(job, StepNo(2), &grow("w", 1, 8, 9)).expect("grows");
    tx.add_to_barrier(job, StepNo(2), &rejected("w")).expect("grows");
    for (key, total, failed, first, last) in [("e", 2, 2, 1, 0), ("v", 3, 2, 8, 9), ("w", 5, 4, 8, 9)] {
        let row = tx.barrier(job, StepNo(2), key).expect("reads").expect("exists");
        assert_eq!((row.total, row.failed, row.first, row.last), (total, failed, first, last), "{key}");
    }
    let mut found = tx.barrier(job, step, "t").expect("reads").expect("exists");
    assert_eq!((found.total, found.first, found.last, found.state), (3, 3, 5, BarrierState::Waiting));
    found.state = BarrierState::Released;
    found.released_at = Some(Timestamp(8));
    (found.succeeded, found.spread) = (3, 4);
    tx.put_barrier(job, &found).expect("writes");
    let counts = tx.barrier_counts(job, step).expect("counts");
    assert_eq!(counts, BarrierCounts { total: 2, released: 1, held: 0, spreading: 1 });
    assert_eq!(tx.barriers_spreading(job, step, 9).expect("lists"), [found.clone()]);
    assert_eq!(tx.barriers(job, step, Some(BarrierState::Released), None, 9).expect("lists"), [found]);
    let after: Vec<String> =
        tx.barriers(job, step, None, Some("t"), 9).expect("lists").into_iter().map(|b| b.key).collect();
    assert_eq!(after, ["u"]);
}

fn facts(tx: &mut dyn Tx) {
    let job = add_job(tx);
    tx.append_listing(job, true, &page(&[(1, "t", "a")])).expect("appends");
    let fact = |hash: Option<&str>, verdict: Option<&str>| AssetFact {
        asset: "a".into(),
        hash: hash.map(str::to_owned),
        verdict: verdict.map(str::to_owned),
        report: verdict.map(|_| "{}".to_owned()),
        ..AssetFact::default()
    };
    let copied = AssetFact { location: Some("file:/copy".into()), bytes: Some(12), ..fact(Some("md5:1"), None) };
    tx.put_facts(job, &[copied], Timestamp(1)).expect("learns");
    tx.put_facts(job, &[fact(Some("md5:1"), Some("pass"))], Timestamp(2)).expect("learns");
    let judged = tx.catalogue_entry("a").expect("reads").expect("exists");
    assert_eq!(judged.fact.verdict.as_deref(), Some("pass"));
    assert_eq!((judged.fact.location.as_deref(), judged.asset.bytes), (Some("file:/copy"), Some(12)));
    tx.put_facts(job, &[fact(Some("md5:2"), None)], Timestamp(3)).expect("learns");
    let renewed = tx.catalogue_entry("a").expect("reads").expect("exists");
    assert_eq!((renewed.fact.verdict, renewed.fact.report), (None, None), "QC-1");
    assert_eq!((renewed.asset.hash.as_deref(), renewed.updated_at), (Some("md5:2"), Timestamp(3)));
    tx.import_assets(&[asset("v", "b")], Timestamp(4)).expect("imports");
    let titles = tx.catalogue(Some("v"), None, 9).expect("lists");
    assert_eq!(titles.len(), 1);
    assert_eq!(tx.catalogue(None, Some("a"), 9).expect("lists"), titles);
}

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
    tx.bury(&[]).expect("nothing to keep");
    tx.bury(&[row("a", "dry", 1), row("b", "dry", 1)]).expect("keeps");
    tx.bury(&[row("a", "wet", 2)]).expect("keeps");
    let again = TombstoneRow { found_gone: true, ..row("a", "wet", 3) };
    tx.bury(&[again, row("c", "wet", 3)]).expect("the first counts");
    assert_eq!(tx.tombstones("a").expect("reads"), [row("a", "dry", 1), row("a", "wet", 2)]);
    assert_eq!(tx.tombstones("c").expect("reads"), [row("c", "wet", 3)]);
    let job = add_job(tx);
    while !tx.remove_job(job, 100).expect("removes").gone {}
    assert_eq!(tx.tombstones("b").expect("reads").len(), 1);
}

fn key(tx: &mut dyn Tx) {
    assert_eq!(tx.cluster_key("first").expect("makes one"), "first");
    assert_eq!(tx.cluster_key("second").expect("keeps it"), "first");
}

fn paces(tx: &mut dyn Tx) {
    let pace = |bytes| Pace { bytes_moved: bytes, bytes_per_second: 1.5, at: Some(Timestamp(4)), ..Pace::default() };
    let unit = UnitPace { step: "land".into(), part: 3, worker: "w".into(), total: Some(9), ..UnitPace::default() };
    let with_unit = Pace { units: vec![unit], ..pace(2) };
    tx.put_paces(&[(JobNo(1), pace(1)), (JobNo(2), with_unit.clone())]).expect("writes");
    assert_eq!(tx.pace(JobNo(2)).expect("reads"), Some(with_unit));
    tx.put_paces(&[(JobNo(1), pace(5))]).expect("replaces");
    assert_eq!((tx.pace(JobNo(1)).expect("reads"), tx.pace(JobNo(2)).expect("reads")), (Some(pace(5)), None));
    tx.put_paces(&[]).expect("clears");
    assert_eq!(tx.pace(JobNo(1)).expect("reads"), None);
}

fn schedule(tx: &mut dyn Tx) {
    let job = add_job(tx);
    let cost = |kind, size, us| {
        let mut sketch = protocol::rules::schedule::cost::Sketch::default();
        sketch.note(us);
        CostRow { kind, size, sketch }
    };
    let costs = [cost(Kind::Transfer, 20, 5), cost(Kind::Transfer, 100, 7), cost(Kind::Noop, 3, 9)];
    tx.put_costs(&costs[1..]).expect("writes");
    tx.put_costs(&[cost(Kind::Transfer, 100, 1), costs[0].clone()]).expect("writes");
    tx.put_costs(&costs[1..2]).expect("replaces");
    assert_eq!(tx.costs().expect("reads"), costs);
    let reason = protocol::rules::schedule::wait_reason::WaitReason::TenantShare;
    let row = |step, until| WithheldRow { step: StepNo(step), reason, since: Timestamp(3), until };
    tx.put_withheld(job, &[row(1, Some(Timestamp(8))), row(0, None)]).expect("writes");
    assert_eq!(tx.withheld(job).expect("reads"), [row(0, None), row(1, Some(Timestamp(8)))]);
    tx.put_withheld(job, &[row(1, None)]).expect("replaces");
    assert_eq!(tx.withheld(job).expect("reads"), [row(1, None)]);
    tx.put_withheld(job, &[]).expect("clears");
    assert_eq!(tx.withheld(job).expect("reads"), []);
    let unit = |part| UnitId { job, step: STEP, part };
    let both = Speculation { older: 1, newer: 2, state: SpeculationState::Both };
    tx.put_speculation(unit(7), Some(both)).expect("writes");
    tx.put_speculation(unit(5), Some(both)).expect("writes");
    let older = Speculation { state: SpeculationState::Older, ..both };
    tx.put_speculation(unit(7), Some(older)).expect("replaces");
    assert_eq!(tx.speculation(unit(7)).expect("reads"), Some(older));
    assert_eq!(tx.speculations(job).expect("reads"), [(unit(5), both), (unit(7), older)]);
    let slice = |number, state, receipt: Option<&str>| SliceRow {
        slice: protocol::rules::storage::multipart::Slice { number, first: u64::from(number) * 10, bytes: 10 },
        state,
        epoch: 2,
        attempt: 1,
        due_at: (state == UnitState::Retrying).then_some(Timestamp(9)),
        receipt: receipt.map(str::to_owned),
    };
    let cut = [slice(1, UnitState::Ready, None), slice(2, UnitState::Retrying, None)];
    tx.put_slices(unit(7), &cut).expect("writes");
    tx.put_slices(unit(7), &[slice(2, UnitState::Succeeded, Some("etag"))]).expect("replaces");
    let found = tx.slices(unit(7)).expect("reads");
    assert_eq!(found, [cut[0].clone(), slice(2, UnitState::Succeeded, Some("etag"))]);
    assert_eq!(tx.slices(unit(5)).expect("reads"), []);
    let draft = protocol::wire::unit::Draft {
        asset: "a".into(),
        bytes: 1 << 40,
        part_bytes: 1 << 23,
        slice_bytes: 1 << 30,
        measured: true,
        upload: "u".into(),
        version: ("t".into(), Some("v".into())),
    };
    let row = |part, state| CutRow { unit: unit(part), state, drafts: vec![draft.clone()] };
    for (part, state) in [(7, CutState::Open), (5, CutState::Open), (7, CutState::Discarding), (5, CutState::Closed)] {
        tx.put_cut(&row(part, state)).expect("writes");
    }
    let of_job = |tx: &mut dyn Tx| {
        let cuts = tx.cuts().expect("reads");
        cuts.into_iter().filter(|cut| cut.unit.job == job).collect::<Vec<_>>()
    };
    assert_eq!(of_job(tx), [row(5, CutState::Closed), row(7, CutState::Discarding)]);
    tx.forget_cut(unit(7)).expect("forgets");
    assert_eq!(of_job(tx), [row(5, CutState::Closed)]);
    assert_eq!(tx.slices(unit(7)).expect("reads"), []);
    tx.put_speculation(unit(7), None).expect("forgets");
    assert_eq!(tx.speculation(unit(7)).expect("reads"), None);
}

fn counters(tx: &mut dyn Tx) {
    let job = add_job(tx);
    let mut delta = StepDelta { total: 5, ..StepDelta::default() };
    delta.add(StepDelta::transition(None, UnitState::Retrying));
    tx.add_to_step(job, STEP, delta).expect("adds");
    tx.add_to_step(job, STEP, StepDelta::transition(Some(UnitState::Retrying), UnitState::Succeeded)).expect("adds");
    tx.set_cursor(job, STEP, 4).expect("moves");
    let found = tx.steps(job).expect("reads");
    assert_eq!(found.len(), 2);
    assert_eq!(
        (found[0].total, found[0].succeeded, found[0].live, found[0].retrying, found[0].cursor),
        (5, 1, 0, 0, 4)
    );
}

fn forgetting(tx: &mut dyn Tx) {
    let (old, open) = (tx.insert_job(&job("old")).expect("inserts"), tx.insert_job(&job("open")).expect("inserts"));
    let newest = tx.insert_job(&job("newest")).expect("inserts");
    for no in [old, newest] {
        let mut row = tx.job(no).expect("reads").expect("there");
        (row.state, row.ended_at) = (crate::JobState::Succeeded, Some(Timestamp(5)));
        tx.update_job(&row).expect("writes");
    }
    for no in [old, open] {
        tx.append_listing(no, false, &page(&[(1, "t", "a"), (2, "t", "b"), (3, "t", "c")])).expect("appends");
        tx.insert_partitions(no, &[partition(1, "t", "a", "b", 2), partition(2, "t", "c", "c", 1)]).expect("inserts");
        let done = UnitRow { state: UnitState::Succeeded, epoch: 1, attempt: 0, due_at: None, duration_us: 5 };
        tx.put_units(no, STEP, &[(1, done), (2, done)]).expect("writes");
        let broken = Failure::permanent("r", "m");
        tx.put_failures(UnitId { job: no, step: STEP, part: 1 }, &[("a".into(), broken)]).expect("writes");
    }
    assert_eq!(tx.ended_before(Timestamp(5), 9).expect("reads"), [], "it ended at that moment, not before");
    assert_eq!(tx.ended_before(Timestamp(6), 9).expect("reads"), [old], "the newest number is not given away again");
    let mut rounds = 0;
    loop {
        rounds += 1;
        let removed = tx.remove_job(old, 3).expect("removes");
        assert!(removed.gone || removed.rows == 3, "{removed:?}");
        if removed.gone {
            break;
        }
        assert!(rounds < 20, "it comes to an end");
    }
    assert_eq!(tx.job(old).expect("reads"), None);
    assert_eq!(tx.steps(old).expect("reads"), []);
    assert_eq!(tx.listing_after(old, false, None, 9).expect("reads").len(), 0);
    assert_eq!(tx.units(open, STEP, &[1, 2]).expect("reads").iter().flatten().count(), 2, "others stay");
    assert_eq!(tx.failures(open, 9).expect("reads").len(), 1);
    assert_eq!(tx.job_by_id("newest").expect("reads").map(|row| row.no), Some(newest));
}

fn find_asset(tx: &mut dyn Tx) {
    let job = add_job(tx);
    tx.append_listing(job, true, &page(&[(1, "t", "a"), (2, "u", "b"), (3, "t", "c")])).expect("appends");
    tx.insert_partitions(job, &[partition(1, "t", "a", "c", 2), partition(2, "u", "b", "b", 1)]).expect("inserts");
    assert_eq!(tx.find_asset(job, "c").expect("finds"), Some(1));
    assert_eq!(tx.find_asset(job, "b").expect("finds"), Some(2), "a title's run says nothing of other titles");
    assert_eq!(tx.find_asset(job, "z").expect("finds"), None);
    tx.move_assets(job, 7, &["c".into()]).expect("moves");
    assert_eq!(tx.find_asset(job, "c").expect("finds"), Some(7));
}

fn deployment(tx: &mut dyn Tx) {
    let id = tx.deployment().expect("reads");
    assert!(!id.is_empty() && id.is_ascii() && id == tx.deployment().expect("reads"));
}
