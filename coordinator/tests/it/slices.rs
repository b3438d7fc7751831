//! One large transfer over several workers, through the engine, with lost, repeated and late reports, coordinators that
//! begin anew and jobs that are cancelled: completed once, with every byte, or aborted.
use coordinator::dispatch::outstanding::outstanding;
use coordinator::leader::engine::Engine;
use coordinator::leader::memory::lease_table::Leases;
use coordinator::reconcile::{planner, recovery, settlement, take_back};
use coordinator::store::memory::Memory;
use coordinator::store::sqlite::Sqlite;
use coordinator::store::testing::job;
use coordinator::store::{JobState, Phase, StoreResult, Tx};
use protocol::failure::Failure;
use protocol::id::{JobNo, Kind, StepNo, UnitId, WorkerId};
use protocol::media::asset::{Asset, AssetFact, Role};
use protocol::model::slot_count::SlotCount;
use protocol::rules::storage::multipart::SliceLimits;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::wire::report::{Heartbeat, ListedAsset, Outcome, UnitResult};
use protocol::wire::step::TaskSpec;
use protocol::wire::step::multipart::{CompleteUploadsTask, OpenUpload, SourceVersion};
use protocol::wire::step::transfer::TransferTask;
use protocol::wire::unit::Unit;
use protocol::workflow::Action;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const SEEDS: u64 = 200;
const BYTES: u64 = 1_000;
const STEPS_MAX: u32 = 3_000;

enum Store {
    Memory(Box<Memory>),
    Sqlite(
        Box<Sqlite>,
        #[expect(dead_code, reason = "removed when dropped")] tempfile::TempDir,
    ),
}

/// What a seed came to.
#[derive(Debug, Default, PartialEq)]
struct Came {
    /// Cuts that were taken.
    multipart: u64,
    /// Slices that were carried, executions counted.
    slices: u64,
    /// Ends that were made of slices.
    assembled: u32,
    /// Ends that one worker made alone.
    whole: u32,
    /// Uploads that were aborted.
    discarded: u32,
    rejected: u64,
    succeeded: u64,
    cancelled: bool,
}

/// A coordinator whose workers do what chance says.
struct World {
    store: Store,
    engine: Engine,
    leases: Leases,
    now: Timestamp,
    random: fastrand::Rng,
    job: JobNo,
    /// Executions under way or reported.
    out: Vec<Unit>,
    epochs: BTreeSet<(UnitId, u32)>,
    /// How often slices fail for good.
    dies: f64,
    came: Came,
}

fn success(asset: Option<&Asset>) -> UnitResult {
    let fact = |asset: &Asset| AssetFact {
        asset: asset.id.clone(),
        bytes: Some(BYTES),
        ..AssetFact::default()
    };
    UnitResult::Finished {
        facts: asset.map(fact).into_iter().collect(),
        failures: Vec::new(),
    }
}

impl World {
    fn new(seed: u64, on_disk: bool) -> World {
        let mut store = match on_disk {
            false => Store::Memory(Box::default()),
            true => {
                let dir = tempfile::tempdir().expect("makes a directory");
                Store::Sqlite(
                    Box::new(Sqlite::open(&dir.path().join("x.db")).expect("opens")),
                    dir,
                )
            }
        };
        let mut new = job("large");
        let to = "s3://b/{path}".into();
        let transfer = TransferTask {
            to,
            verify: None,
            hashes: Vec::new(),
            job: "large".into(),
            mhl: false,
        };
        let action = Action::Units {
            kind: Kind::Transfer,
            task: Arc::new(TaskSpec::Transfer(transfer)),
            reads: None,
        };
        new.workflow.steps[0].action = action;
        new.workflow.steps[0].retry.attempts_max = 50;
        let asset = Asset {
            id: "a".into(),
            title: "t".into(),
            role: Role::Master,
            location: "file:/m/a".into(),
            path: "a".into(),
            bytes: Some(BYTES),
            hash: None,
            declared: None,
        };
        let insert = |tx: &mut dyn Tx| {
            let no = tx.insert_job(&new)?;
            tx.append_listing(
                no,
                true,
                &[ListedAsset {
                    line: 1,
                    asset: asset.clone(),
                }],
            )?;
            let mut row = tx.job(no)?.expect("inserted");
            (row.phase, row.assets) = (Phase::Planning, 1);
            tx.update_job(&row)?;
            Ok(no)
        };
        let no = write(&mut store, insert);
        let mut world = World {
            store,
            engine: Engine::default(),
            leases: Leases::default(),
            now: Timestamp(0),
            random: fastrand::Rng::with_seed(seed),
            job: no,
            out: Vec::new(),
            epochs: BTreeSet::new(),
            dies: if seed.is_multiple_of(4) { 0.05 } else { 0.0 },
            came: Came::default(),
        };
        world.restart(false);
        let workflows = world.engine.workflows.clone();
        while write(&mut world.store, |tx| planner::plan(tx, &workflows, no)) {}
        world
    }

    /// Another coordinator takes over: all it knows is in the store. Workers live on, or have ended with it.
    fn restart(&mut self, embedded: bool) {
        (self.engine, self.leases) = (Engine::default(), Leases::default());
        self.engine.schedule.slicing = SliceLimits { above: 160 };
        let (workflows, job) = (self.engine.workflows.clone(), self.job);
        if embedded {
            while write(&mut self.store, |tx| recovery::recover(tx, &workflows, job)) > 0 {}
            return;
        }
        let known =
            write(&mut self.store, |tx| tx.job(job)).is_some_and(|row| !row.state.has_ended());
        if known {
            let out = write(&mut self.store, |tx| outstanding(tx, &workflows, job));
            self.leases.adopt(&out, self.now);
        }
    }

    fn turn(&mut self) {
        for n in 0..3 {
            let beat = Heartbeat {
                worker: WorkerId(format!("w{n}")),
                held: Vec::new(),
                slots: vec![
                    SlotCount {
                        kind: Kind::Transfer,
                        total: 2,
                        free: 2,
                    },
                    SlotCount {
                        kind: Kind::Noop,
                        total: 2,
                        free: 2,
                    },
                ],
                draining: false,
                bytes: 0,
                leaves_at: None,
            };
            self.leases.heard(&beat, self.now);
        }
        let (load, now) = (self.leases.load(self.now), self.now);
        let mut engine = std::mem::take(&mut self.engine);
        let turn = write(&mut self.store, |tx| {
            engine.turn(tx, load, &BTreeSet::new(), now)
        });
        self.engine = engine;
        self.leases.published(&turn.units, now);
        for unit in turn.units {
            assert!(
                self.epochs.insert((unit.id, unit.epoch)),
                "{} goes out twice under {}",
                unit.id,
                unit.epoch
            );
            self.out.push(unit);
        }
    }

    fn take_back(&mut self, unit: &Unit) {
        write(&mut self.store, |tx| {
            take_back::take_back(tx, unit.id, unit.epoch)
        });
        self.leases.ended(unit.id, unit.epoch);
    }

    fn act(&mut self) {
        if self.out.is_empty() {
            return;
        }
        let at = self.random.usize(0..self.out.len());
        let unit = self.out[at].clone();
        match self.random.u32(0..12) {
            // Its lease lapses; the zombie may still report.
            0 => self.take_back(&unit),
            // Its report is lost, and the lease lapses.
            1 => {
                self.out.remove(at);
                self.take_back(&unit);
            }
            n => {
                // Some reports come twice.
                if n > 3 {
                    self.out.remove(at);
                }
                let result = self.execute(&unit);
                self.report(&unit, result);
            }
        }
    }

    fn report(&mut self, unit: &Unit, result: UnitResult) {
        let worker = WorkerId("w0".into());
        let outcome = Outcome {
            unit: unit.id,
            epoch: unit.epoch,
            worker,
            result,
            duration_us: 1_000,
        };
        let (workflows, now) = (self.engine.workflows.clone(), self.now);
        let settled = write(&mut self.store, |tx| {
            settlement::settle(tx, &workflows, vec![outcome.clone()], now, &mut || 0.5)
        });
        if settled.multipart > 0 {
            self.engine.on_multipart_opened();
        }
        self.leases.reported(&outcome, now);
        self.came.multipart += settled.multipart;
        self.came.rejected += settled.rejected;
        self.came.succeeded += settled.succeeded;
        if settled.accepted == 0 {
            return;
        }
        match (unit.task.as_ref(), &outcome.result) {
            (TaskSpec::Slice(_), UnitResult::Sliced(_)) => self.came.slices += 1,
            (TaskSpec::CompleteUploads(task), _) if task.discard => self.came.discarded += 1,
            (TaskSpec::CompleteUploads(task), UnitResult::Finished { .. }) if is_whole(task) => {
                self.came.whole += 1
            }
            (TaskSpec::CompleteUploads(_), UnitResult::Finished { .. }) => self.came.assembled += 1,
            (TaskSpec::Transfer(_), UnitResult::Finished { .. }) => self.came.whole += 1,
            _ => {}
        }
    }

    fn execute(&mut self, unit: &Unit) -> UnitResult {
        let lot = self.random.f64();
        match unit.task.as_ref() {
            TaskSpec::CompleteUploads(task) if task.discard => UnitResult::Cancelled,
            _ if lot > 0.95 => UnitResult::Failed(Failure::transient("slow", "it was slow")),
            _ if lot > 0.93 => UnitResult::Returned,
            TaskSpec::BeginUploads(_) => {
                let open_upload = OpenUpload {
                    asset: "a".into(),
                    bytes: BYTES,
                    part_bytes: 10,
                    slice_bytes: 90,
                    measured: self.random.bool(),
                    upload: "u".into(),
                    version: SourceVersion {
                        tag: "v".into(),
                        id: None,
                    },
                };
                UnitResult::UploadsBegun(vec![open_upload])
            }
            TaskSpec::Slice(_) if lot < self.dies => {
                UnitResult::Failed(Failure::permanent("bad", "it is bad"))
            }
            TaskSpec::Slice(task) => {
                UnitResult::Sliced(format!("{} {} {}", task.first, task.bytes, task.measures))
            }
            TaskSpec::CompleteUploads(task) => {
                assert_every_byte(task);
                success(unit.assets.first())
            }
            _ => success(unit.assets.first()),
        }
    }

    fn job_state(&mut self) -> JobState {
        let job = self.job;
        write(&mut self.store, |tx| tx.job(job))
            .expect("it is there")
            .state
    }

    fn run(mut self, cancel_at: Option<u32>) -> Came {
        for step in 0..STEPS_MAX {
            self.now = self.now.after(Duration::from_secs(10));
            if cancel_at == Some(step) && self.job_state() == JobState::Running {
                let job = self.job;
                write(&mut self.store, |tx| {
                    let row = tx.job(job)?.expect("it is there");
                    tx.update_job(&coordinator::store::JobRow {
                        state: JobState::Cancelling,
                        ..row
                    })
                });
                self.came.cancelled = true;
            }
            match self.random.u32(0..60) {
                0 => self.restart(false),
                1 => {
                    // Nothing of what was out goes on.
                    self.out.clear();
                    self.restart(true);
                }
                _ => {}
            }
            self.turn();
            self.act();
            if self.job_state().has_ended() && self.out.is_empty() {
                break;
            }
        }
        self.turn();
        let (job, state) = (self.job, self.job_state());
        let expected = if self.came.cancelled {
            JobState::Cancelled
        } else {
            JobState::Succeeded
        };
        assert_eq!(state, expected, "{:?}, out: {:?}", self.came, self.out);
        let multiparts = write(&mut self.store, |tx| {
            let units = tx.multipart_units()?;
            let multiparts: StoreResult<Vec<_>> =
                units.into_iter().map(|unit| tx.multipart(unit)).collect();
            Ok(multiparts?.into_iter().flatten().collect::<Vec<_>>())
        });
        assert_eq!(multiparts, [], "what is over is forgotten");
        let row = write(&mut self.store, |tx| tx.units(job, StepNo(0), &[1]))
            .pop()
            .flatten();
        let ended = row.map_or(UnitState::Cancelled, |row| row.state);
        if self.came.cancelled && self.came.multipart > 0 && ended == UnitState::Cancelled {
            assert!(
                self.came.discarded > 0,
                "what was begun is aborted: {:?}",
                self.came
            );
        }
        if !self.came.cancelled {
            assert_eq!(self.came.succeeded, 2, "each unit once: {:?}", self.came);
        }
        self.came
    }
}

/// Whether slices have left nothing to complete.
fn is_whole(task: &CompleteUploadsTask) -> bool {
    task.open_uploads
        .iter()
        .any(|assembly| assembly.receipts.is_empty())
}

fn assert_every_byte(task: &CompleteUploadsTask) {
    for assembly in task
        .open_uploads
        .iter()
        .filter(|assembly| !assembly.receipts.is_empty())
    {
        let (mut next, mut measured) = (0, false);
        for receipt in &assembly.receipts {
            let mut words = receipt
                .split(' ')
                .map(|word| word.parse().unwrap_or(u64::MAX));
            let (first, bytes) = (
                words.next().expect("a number"),
                words.next().expect("a number"),
            );
            if receipt.ends_with("true") {
                measured = true;
                continue;
            }
            assert_eq!(first, next, "a gap or an overlap");
            next += bytes;
        }
        assert_eq!((next, measured), (BYTES, assembly.open_upload.measured));
    }
}

fn write<R>(store: &mut Store, work: impl FnOnce(&mut dyn Tx) -> StoreResult<R>) -> R {
    match store {
        Store::Memory(memory) => memory.write(work),
        Store::Sqlite(sqlite, _) => sqlite.write(|tx| work(tx)),
    }
    .expect("the store answers")
}

#[test]
fn multipart_unit_is_completed_once_with_every_byte() {
    let mut sum = Came::default();
    for seed in 0..SEEDS {
        let came = World::new(seed, seed.is_multiple_of(20)).run(None);
        sum.multipart += came.multipart;
        sum.slices += came.slices;
        sum.assembled += came.assembled;
        sum.whole += came.whole;
        sum.rejected += came.rejected;
    }
    println!("{sum:?}");
    assert!(
        sum.assembled > 100 && sum.whole > 10 && sum.rejected > 100 && sum.slices > 1_000,
        "{sum:?}"
    );
}

#[test]
fn cancelled_multipart_unit_is_aborted() {
    let mut sum = Came::default();
    for seed in 0..SEEDS {
        let mut random = fastrand::Rng::with_seed(seed);
        let came = World::new(seed, seed.is_multiple_of(20)).run(Some(random.u32(1..40)));
        sum.discarded += came.discarded;
        sum.assembled += came.assembled;
        sum.multipart += came.multipart;
    }
    println!("{sum:?}");
    assert!(sum.discarded > 100 && sum.assembled > 0, "{sum:?}");
}

/// Where nobody stands idle, and where there is only one, nothing is cut.
#[test]
fn single_worker_transfers_units_whole() {
    let mut world = World::new(1, false);
    let beat = Heartbeat {
        worker: WorkerId("w0".into()),
        held: Vec::new(),
        slots: vec![SlotCount {
            kind: Kind::Transfer,
            total: 2,
            free: 2,
        }],
        draining: false,
        bytes: 0,
        leaves_at: None,
    };
    world.leases.heard(&beat, world.now);
    let (load, now) = (world.leases.load(world.now), world.now);
    let turn = write(&mut world.store, |tx| {
        world.engine.turn(tx, load, &BTreeSet::new(), now)
    });
    assert!(
        matches!(turn.units[0].task.as_ref(), TaskSpec::Transfer(_)),
        "{:?}",
        turn.units
    );
}
