//! The scheduler over a store: limits that hold, tenants that do not wait for each other, copies of which one counts.
use coordinator::dispatch::costs::Costs;
use coordinator::dispatch::endpoints::EndpointBook;
use coordinator::dispatch::forecast::outlook;
use coordinator::dispatch::outstanding::outstanding;
use coordinator::leader::engine::Engine;
use coordinator::leader::memory::lease_table::Leases;
use coordinator::reconcile::{settlement, take_back};
use coordinator::store::memory::Memory;
use coordinator::store::sqlite::Sqlite;
use coordinator::store::testing::job;
use coordinator::store::{Phase, SpeculationState, StoreResult, Tx};
use coordinator::workflows::Workflows;
use protocol::failure::{ErrorClass, Failure};
use protocol::id::{Execution, JobNo, Kind, UnitId, WorkerId};
use protocol::media::asset::{Asset, Role};
use protocol::model::slot_count::SlotCount;
use protocol::rules::schedule::endpoint::{EndpointLimit, endpoint_of};
use protocol::rules::schedule::wait_reason::WaitReason;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::wire::report::{Heartbeat, ListedAsset, Outcome, UnitResult};
use protocol::wire::unit::Unit;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

enum Store {
    Memory(Box<Memory>),
    Sqlite(
        Box<Sqlite>,
        #[expect(dead_code, reason = "removed when dropped")] tempfile::TempDir,
    ),
}

/// A coordinator whose workers do what the test says.
struct Cluster {
    store: Store,
    engine: Engine,
    leases: Leases,
    limits: Arc<[EndpointLimit]>,
    now: Timestamp,
    workers: u32,
    leaves_at: Option<Timestamp>,
}

impl Cluster {
    fn new(workers: u32, limits: &[&str]) -> Cluster {
        let limits = limits
            .iter()
            .map(|text| EndpointLimit::parse(text).expect("reads"))
            .collect();
        let store = Store::Memory(Box::default());
        let (engine, leases, now) = (Engine::default(), Leases::default(), Timestamp(0));
        let mut cluster = Cluster {
            store,
            engine,
            leases,
            limits,
            now,
            workers,
            leaves_at: None,
        };
        cluster.restart();
        cluster
    }

    fn on_disk(mut self) -> Cluster {
        let dir = tempfile::tempdir().expect("makes a directory");
        self.store = Store::Sqlite(
            Box::new(Sqlite::open(&dir.path().join("x.db")).expect("opens")),
            dir,
        );
        self
    }

    /// Another coordinator takes over: all it knows is in the store.
    fn restart(&mut self) {
        self.engine = Engine::default();
        self.leases = Leases::default();
        self.leases.limit(Arc::clone(&self.limits));
        self.engine.schedule.book = EndpointBook::new(Arc::clone(&self.limits));
        let workflows = self.engine.workflows.clone();
        let out = self.write(|tx| {
            let mut out = Vec::new();
            for job in tx.jobs(true, u32::MAX)? {
                out.extend(outstanding(tx, &workflows, job.no)?);
            }
            Ok(out)
        });
        self.leases.adopt(&out, self.now);
        self.beat(&[]);
    }

    fn write<R>(&mut self, work: impl FnOnce(&mut dyn Tx) -> StoreResult<R>) -> R {
        match &mut self.store {
            Store::Memory(memory) => memory.write(work),
            Store::Sqlite(sqlite, _) => sqlite.write(|tx| work(tx)),
        }
        .expect("the store answers")
    }

    /// Every worker lives; the first holds `held`.
    fn beat(&mut self, held: &[Execution]) {
        for n in 0..self.workers {
            let beat = Heartbeat {
                worker: WorkerId(format!("w{n}")),
                held: if n == 0 { held.to_vec() } else { Vec::new() },
                slots: vec![SlotCount {
                    kind: Kind::Noop,
                    total: 4,
                    free: 4,
                }],
                draining: false,
                bytes: 0,
                leaves_at: self.leaves_at,
            };
            self.leases.heard(&beat, self.now);
        }
    }

    /// A job of a tenant over assets at these locations, cut and ready.
    fn submit(&mut self, id: &str, tenant: &str, locations: &[&str], assets: usize) -> JobNo {
        let mut new = job(id);
        new.workflow.tenant = tenant.into();
        new.workflow.steps.truncate(1);
        new.workflow.partition.assets_max = 1;
        new.workflow.partition.by_title = false;
        let page: Vec<ListedAsset> = (0..assets)
            .map(|n| ListedAsset {
                line: n as u64,
                asset: asset(n, locations[n % locations.len()]),
            })
            .collect();
        let no = self.write(|tx| {
            let no = tx.insert_job(&new)?;
            tx.append_listing(no, false, &page)?;
            let mut row = tx.job(no)?.expect("inserted");
            (row.phase, row.assets) = (Phase::Planning, page.len() as u64);
            tx.update_job(&row)?;
            Ok(no)
        });
        let workflows = self.engine.workflows.clone();
        while self.write(|tx| coordinator::reconcile::planner::plan(tx, &workflows, no)) {}
        no
    }

    fn turn(&mut self) -> Vec<Unit> {
        let (load, now) = (self.leases.load(self.now), self.now);
        let mut engine = std::mem::take(&mut self.engine);
        let turn = self.write(|tx| engine.turn(tx, load, &BTreeSet::new(), now));
        self.engine = engine;
        self.leases.published(&turn.units, now);
        turn.units
    }

    fn settle(&mut self, unit: UnitId, epoch: u32, result: UnitResult) -> settlement::Settled {
        let outcome = Outcome {
            unit,
            epoch,
            worker: WorkerId("w0".into()),
            result,
            duration_us: 10_000,
        };
        let (workflows, now) = (self.engine.workflows.clone(), self.now);
        let settled = self.write(|tx| {
            settlement::settle(tx, &workflows, vec![outcome.clone()], now, &mut || 0.5)
        });
        self.leases.reported(&outcome, now);
        settled
    }

    fn succeed(&mut self, unit: &Unit) -> settlement::Settled {
        self.settle(unit.id, unit.epoch, success())
    }
}

fn success() -> UnitResult {
    UnitResult::Finished {
        facts: vec![],
        failures: vec![],
    }
}

fn failed(class: ErrorClass) -> UnitResult {
    UnitResult::Failed(Failure::new(class, "slow_down", "503"))
}

fn asset(n: usize, location: &str) -> Asset {
    Asset {
        id: format!("{n:07}"),
        title: "t".into(),
        role: Role::Master,
        location: format!("{location}/{n}"),
        path: n.to_string(),
        bytes: Some(10),
        hash: None,
        declared: None,
    }
}

/// Case 64: however many workers ask and whoever leads, an endpoint is never used by more units than its limit, and what
/// it does not take waits for it alone.
#[test]
fn limits_hold_over_eight_workers_and_a_new_leader() {
    let mut random = fastrand::Rng::with_seed(64);
    let mut cluster = Cluster::new(8, &["s3://a=10", "s3://b=3,50/s"]);
    cluster.submit("j", "x", &["s3://a", "s3://b", "s3://c"], 900);
    let mut out: Vec<Unit> = Vec::new();
    let mut started: BTreeMap<usize, VecDeque<Timestamp>> = BTreeMap::new();
    let (mut done, mut most) = (0, [0; 2]);
    for round in 0.. {
        cluster.now = cluster.now.after(Duration::from_millis(random.u64(1..50)));
        cluster.beat(&[]);
        if round % 40 == 39 {
            cluster.restart();
        }
        for unit in cluster.turn() {
            if let Some(at) = endpoint_of(&cluster.limits, &unit.assets[0].location) {
                started.entry(at).or_default().push_back(cluster.now);
            }
            out.push(unit);
        }
        for (at, most) in most.iter_mut().enumerate() {
            let users = out
                .iter()
                .filter(|u| endpoint_of(&cluster.limits, &u.assets[0].location) == Some(at));
            *most = users.count().max(*most);
        }
        random.shuffle(&mut out);
        let ended = random.usize(0..=out.len());
        for unit in out.drain(..ended) {
            done += cluster.succeed(&unit).succeeded;
        }
        if done == 900 {
            break;
        }
        assert!(round < 20_000, "{done} of 900 done");
    }
    assert_eq!(most, [10, 3], "limits are kept and used");
    let starts = &started[&1];
    let in_a_second = |from: &Timestamp| {
        starts
            .iter()
            .filter(|at| *at >= from && at.since(*from) < SECOND)
            .count()
    };
    assert!(
        starts.iter().all(|from| in_a_second(from) <= 101),
        "50 a second and what was saved up"
    );
}

/// Case 65: a tenant whose endpoint is at its limit has a hundred thousand units ready at the head. Others are handed out
/// in the very turn in which they would have been without it.
#[test]
fn limited_tenant_at_the_head_delays_no_other_tenant() {
    let mut cluster = Cluster::new(2, &["s3://slow=1"]).on_disk();
    let slow = cluster.submit("slow", "hog", &["s3://slow"], 100_000);
    let first = cluster.turn();
    assert_eq!(first.len(), 1);
    let quick = cluster.submit("quick", "quiet", &["s3://fast"], 40);
    let mut turns = 0;
    let mut waiting = 40;
    while waiting > 0 {
        turns += 1;
        cluster.now = cluster.now.after(Duration::from_millis(10));
        let units = cluster.turn();
        assert!(
            units.iter().all(|unit| unit.id.job == quick),
            "the slow endpoint is in use"
        );
        waiting -= units.len();
        units.iter().for_each(|unit| drop(cluster.succeed(unit)));
    }
    // Two workers with four slots each take 64 at a time.
    assert_eq!(turns, 1);
    cluster.now = cluster.now.after(SECOND * 3);
    cluster.turn();
    cluster.now = cluster.now.after(SECOND * 3);
    cluster.turn();
    let withheld = cluster.write(|tx| tx.withheld(slow));
    assert_eq!(
        withheld.iter().map(|row| row.reason).collect::<Vec<_>>(),
        [WaitReason::EndpointLimit]
    );
    cluster.succeed(&first[0]);
    assert_eq!(cluster.turn().len(), 1);
}

/// Case 65, inside one job: units behind others whose endpoint is full are reached, and none is lost on the way.
#[test]
fn full_endpoints_block_no_other_units() {
    let mut cluster = Cluster::new(2, &["s3://slow=1"]);
    let mut locations = vec!["s3://slow"; 600];
    locations.extend(["s3://fast"; 30]);
    let no = cluster.submit("j", "x", &locations, 630);
    let (mut fast, mut slow) = (BTreeSet::new(), Vec::new());
    for _ in 0..8 {
        cluster.now = cluster.now.after(SECOND);
        for unit in cluster.turn() {
            if unit.assets[0].location.starts_with("s3://fast") {
                cluster.succeed(&unit);
                fast.insert(unit.id.part);
            } else {
                slow.push(unit);
            }
        }
    }
    assert_eq!((fast.len(), slow.len()), (30, 1));
    let mut done = 0;
    while let Some(unit) = slow.pop() {
        done += cluster.succeed(&unit).succeeded;
        cluster.now = cluster.now.after(SECOND);
        slow.extend(cluster.turn());
    }
    assert_eq!(done, 600);
    let counters = cluster.write(|tx| tx.steps(no));
    assert_eq!((counters[0].succeeded, counters[0].live), (630, 0));
}

#[test]
fn throttling_endpoint_pauses_all_its_units() {
    let mut cluster = Cluster::new(2, &["s3://a=8"]);
    cluster.submit("j", "x", &["s3://a"], 100);
    let units = cluster.turn();
    assert_eq!(units.len(), 8);
    let throttled = failed(ErrorClass::Throttled {
        retry_after_ms: Some(30_000),
    });
    cluster.settle(units[0].id, 1, throttled);
    assert_eq!(
        cluster.turn().len(),
        0,
        "no other unit is sent there meanwhile"
    );
    cluster.now = cluster.now.after(SECOND * 31);
    assert_eq!(cluster.turn().len(), 1);
}

/// A straggler with a copy: its first execution under `older`, the copy under `newer`.
fn with_copy() -> (Cluster, Unit, Unit) {
    let mut cluster = Cluster::new(2, &[]);
    cluster.submit("j", "x", &["s3://a"], 20);
    let mut units = cluster.turn();
    let older = units.pop().expect("handed out");
    cluster.now = cluster.now.after(Duration::from_millis(20));
    units.iter().for_each(|unit| drop(cluster.succeed(unit)));
    let mut copies = Vec::new();
    for _ in 0..8 {
        cluster.now = cluster.now.after(SECOND);
        cluster.beat(&[older.id.execution(older.epoch)]);
        copies.extend(cluster.turn());
    }
    assert_eq!(copies.len(), 1, "one copy, not one a turn");
    let newer = copies.remove(0);
    assert_eq!((newer.id, newer.epoch), (older.id, older.epoch + 1));
    (cluster, older, newer)
}

/// Case 44: both copies finish; the first result is adopted, the other is rejected and called back (FEN-1).
#[test]
fn one_result_of_two_executions_is_adopted() {
    for newer_wins in [false, true] {
        let (mut cluster, older, newer) = with_copy();
        let (winner, loser) = if newer_wins {
            (&newer, &older)
        } else {
            (&older, &newer)
        };
        assert_eq!(cluster.succeed(winner).succeeded, 1);
        let load = cluster.leases.load(cluster.now);
        assert_eq!(
            load.obsolete,
            [loser.id.execution(loser.epoch)],
            "the other is called back"
        );
        let late = cluster.succeed(loser);
        assert_eq!((late.accepted, late.rejected), (0, 1));
        let copy = cluster.write(|tx| tx.speculation(older.id));
        let adopted = copy
            .filter(|copy| copy.state == SpeculationState::Adopted)
            .map(|copy| copy.older);
        assert_eq!(
            adopted,
            (!newer_wins).then_some(older.epoch),
            "whose output counts is on record"
        );
    }
}

#[test]
fn failed_or_lost_copy_leaves_the_unit_to_the_other() {
    for first_to_go in [0, 1] {
        let (mut cluster, older, newer) = with_copy();
        let (gone, stays) = if first_to_go == 0 {
            (&newer, &older)
        } else {
            (&older, &newer)
        };
        let dropped = cluster.settle(gone.id, gone.epoch, failed(ErrorClass::Transient));
        assert_eq!(
            (dropped.withdrawn, dropped.retried),
            (1, 0),
            "no attempt is used"
        );
        // A repeated report of the same failure changes nothing.
        let again = cluster.settle(gone.id, gone.epoch, failed(ErrorClass::Transient));
        assert_eq!((again.rejected, again.retried), (1, 0));
        assert_eq!(cluster.succeed(stays).succeeded, 1);
    }
    for (first, second) in [(0, 1), (1, 0)] {
        let (mut cluster, older, newer) = with_copy();
        let epochs = [older.epoch, newer.epoch];
        let take_back = |cluster: &mut Cluster, epoch| {
            cluster.write(|tx| take_back::take_back(tx, older.id, epoch))
        };
        assert!(take_back(&mut cluster, epochs[first]));
        let row = |cluster: &mut Cluster| {
            let unit = older.id;
            cluster
                .write(|tx| tx.units(unit.job, unit.step, &[unit.part]))
                .remove(0)
                .expect("has a row")
        };
        assert_eq!(row(&mut cluster).state, UnitState::Leased);
        assert!(take_back(&mut cluster, epochs[second]));
        // What is handed out next has an epoch that neither has had.
        assert_eq!(
            (row(&mut cluster).state, row(&mut cluster).epoch),
            (UnitState::Ready, newer.epoch)
        );
        assert!(epochs.iter().all(|epoch| !take_back(&mut cluster, *epoch)));
    }
}

#[test]
fn a_new_leader_watches_both_executions() {
    let (mut cluster, older, newer) = with_copy();
    let workflows = Workflows::default();
    let out = cluster.write(|tx| outstanding(tx, &workflows, older.id.job));
    assert_eq!(
        out.iter().map(|unit| unit.epoch).collect::<Vec<_>>(),
        [older.epoch, newer.epoch]
    );
    cluster.settle(newer.id, newer.epoch, failed(ErrorClass::Transient));
    let out = cluster.write(|tx| outstanding(tx, &workflows, older.id.job));
    assert_eq!(
        out.iter().map(|unit| unit.epoch).collect::<Vec<_>>(),
        [older.epoch]
    );
}

#[test]
fn costs_outlive_the_coordinator() {
    let mut cluster = Cluster::new(2, &[]);
    cluster.submit("j", "x", &["s3://a"], 40);
    cluster.turn().iter().for_each(|unit| {
        cluster.now = cluster.now.after(Duration::from_millis(10));
        cluster.succeed(unit);
    });
    cluster.now = cluster.now.after(SECOND * 2);
    cluster.turn();
    let costs = cluster.write(|tx| tx.costs());
    assert!(
        costs
            .iter()
            .any(|row| row.kind == Kind::Noop
                && row.sketch.mean() == Some(Duration::from_millis(10)))
    );
    let no = cluster.submit("later", "x", &["s3://a"], 40);
    let slots = BTreeMap::from([(Kind::Noop, 4)]);
    let now = cluster.now;
    let outlook = cluster.write(|tx| {
        let (row, workflow) = (tx.job(no)?.expect("the job"), tx.workflow(no)?);
        let (steps, costs) = (tx.steps(no)?, Costs::read(tx)?);
        Ok(outlook(&row, &workflow, &steps, &costs, &slots, now))
    });
    assert!(outlook.finish_p90.is_some(), "{outlook:?}");
}

/// Case 56: when every worker leaves in two minutes, a unit that takes longer is not handed out, and says why.
#[test]
fn units_longer_than_the_workers_stay_are_not_published() {
    let mut cluster = Cluster::new(2, &[]);
    let long = cluster.submit("j", "x", &["s3://a"], 200);
    let first = cluster.turn();
    cluster.now = cluster.now.after(SECOND * 180);
    for unit in &first {
        let duration_us = 180_000_000;
        let outcome = Outcome {
            unit: unit.id,
            epoch: 1,
            worker: WorkerId("w0".into()),
            result: success(),
            duration_us,
        };
        cluster.leases.reported(&outcome, cluster.now);
    }
    cluster.leaves_at = Some(cluster.now.after(SECOND * 120));
    cluster.beat(&[]);
    for _ in 0..5 {
        assert_eq!(cluster.turn().len(), 0);
        cluster.now = cluster.now.after(SECOND);
    }
    let withheld = cluster.write(|tx| tx.withheld(long));
    assert_eq!(
        withheld.iter().map(|row| row.reason).collect::<Vec<_>>(),
        [WaitReason::WorkersLeave]
    );
    cluster.leaves_at = Some(cluster.now.after(SECOND * 1_200));
    cluster.beat(&[]);
    assert!(!cluster.turn().is_empty(), "with twenty minutes left it is");
}
