//! A job whose rows this version cannot read is set aside: turns, settlement, recovery and lists continue without it.
use coordinator::command::{self, Among, RetryRequest};
use coordinator::dispatch::load::{KindLoad, Load};
use coordinator::error::Error;
use coordinator::leader::engine::{Engine, Turn};
use coordinator::leader::memory::lease_table::Lapsed;
use coordinator::leader::reactor::Reactor;
use coordinator::query::{causes, operations, units};
use coordinator::reconcile::rescuer::Taken;
use coordinator::reconcile::{planner, rates, settlement, tombstones};
use coordinator::review::{TasksFilter, tasks};
use coordinator::store::sqlite::Sqlite;
use coordinator::store::testing::job;
use coordinator::store::{
    MultipartRow, MultipartState, Phase, StepDelta, StoreError, StoreResult, TaskRow, TransferRate,
    Tx, UnitRow,
};
use coordinator::workflows::Workflows;
use protocol::failure::Failure;
use protocol::id::{JobNo, Kind, PartNo, StepNo, UnitId, WorkerId};
use protocol::media::asset::{Asset, Role};
use protocol::rules::review::task::{TaskKind, TaskState};
use protocol::rules::unit::transition::UnitState;
use protocol::rules::worker::poison::PoisonLimits;
use protocol::time::Timestamp;
use protocol::wire::report::{ListedAsset, Outcome, UnitResult};
use std::collections::BTreeSet;

const NOW: Timestamp = Timestamp(1_000_000);
const PARTS: PartNo = 6;

/// What may become unreadable in the first job.
const DAMAGES: [&str; 5] = [
    "UPDATE job SET state = 'dreaming' WHERE no = 1",
    "UPDATE job SET workflow = '' WHERE no = 1",
    "UPDATE cut SET drafts = '?' WHERE job = 1",
    "UPDATE unit SET epoch = -1 WHERE job = 1",
    "UPDATE partition SET assets = -1 WHERE job = 1",
];

struct World {
    store: Sqlite,
    reactor: Reactor,
    odd: JobNo,
    other: JobNo,
    _dir: tempfile::TempDir,
}

fn unit(job: JobNo, part: PartNo) -> UnitId {
    UnitId::new(job, StepNo(0), part)
}

fn end(job: JobNo, part: PartNo, result: UnitResult) -> Outcome {
    Outcome {
        unit: unit(job, part),
        epoch: 1,
        worker: WorkerId("w".into()),
        result,
        duration_us: 1,
    }
}

fn good() -> UnitResult {
    UnitResult::Finished {
        facts: vec![],
        failures: vec![],
    }
}

fn bad() -> UnitResult {
    UnitResult::Failed(Failure::permanent("source_missing", "it is not there"))
}

fn planned(tx: &mut dyn Tx, id: &str) -> StoreResult<JobNo> {
    let mut new = job(id);
    new.workflow.partition.assets_max = 1;
    let asset = |n: PartNo| {
        let (id, location) = (format!("a{n}"), format!("file:/m/{n}"));
        let role = Role::Master;
        Asset {
            path: id.clone(),
            id,
            title: "t".into(),
            role,
            location,
            bytes: None,
            hash: None,
            declared: None,
        }
    };
    let no = tx.insert_job(&new)?;
    let page: Vec<ListedAsset> = (1..=PARTS)
        .map(|n| ListedAsset {
            line: n.unsigned_abs(),
            asset: asset(n),
        })
        .collect();
    tx.append_listing(no, true, &page)?;
    let mut row = tx.job(no)?.expect("inserted");
    (row.phase, row.assets) = (Phase::Planning, page.len() as u64);
    tx.update_job(&row)?;
    while planner::plan(tx, &Workflows::default(), no)? {}
    Ok(no)
}

impl World {
    /// Two jobs alike: one unit died, one is cut, one waits for its retry, the others are not handed out yet. A task waits
    /// for units of both.
    fn damaged(damage: &str) -> World {
        let dir = tempfile::tempdir().expect("temp dir");
        let mut store = Sqlite::open(&dir.path().join("x.db")).expect("opens");
        let (odd, other) = store
            .write(|tx| Ok((planned(tx, "odd")?, planned(tx, "other")?)))
            .expect("commits");
        let prepare = |tx: &mut dyn Tx| {
            for job in [odd, other] {
                tx.set_cursor(job, StepNo(0), 3)?;
                settlement::settle(
                    tx,
                    &Workflows::default(),
                    vec![end(job, 1, bad())],
                    NOW,
                    &mut || 0.0,
                )?;
                let leased = UnitRow {
                    state: UnitState::Leased,
                    epoch: 2,
                    attempt: 0,
                    due_at: None,
                    duration_us: 0,
                };
                tx.put_units(
                    job,
                    StepNo(0),
                    &[(2, leased), (3, UnitRow { epoch: 1, ..leased })],
                )?;
                tx.add_to_step(
                    job,
                    StepNo(0),
                    StepDelta {
                        live: 2,
                        ..StepDelta::default()
                    },
                )?;
                tx.put_multipart(&MultipartRow {
                    unit: unit(job, 2),
                    state: MultipartState::Open,
                    open_uploads: vec![],
                })?;
            }
            let no = tx.insert_task(&task(unit(other, 1)))?;
            tx.add_task_unit(no, unit(odd, 1))?;
            tx.add_task_unit(no, unit(other, 1))
        };
        store.write(|tx| prepare(tx)).expect("commits");
        store.connection().execute(damage, []).expect("is damaged");
        World {
            store,
            reactor: Reactor::default(),
            odd,
            other,
            _dir: dir,
        }
    }

    /// Runs a transaction of the leader, and repeats it as the leader does when a job was set aside.
    #[track_caller]
    fn run<R>(&mut self, mut work: impl FnMut(&mut dyn Tx, &Reactor) -> StoreResult<R>) -> R {
        for _ in 0..2 {
            match self.store.write(|tx| work(tx, &self.reactor)) {
                Ok(done) => return done,
                Err(StoreError::JobAside { no, .. }) => {
                    assert_eq!(no, self.odd.0, "only the damaged job is set aside");
                    self.reactor.on_rollback();
                }
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the job is not left out")
    }

    fn turn(&mut self, engine: &mut Engine) -> Turn {
        let mut load = Load::default();
        load.kinds.insert(
            Kind::Noop,
            KindLoad {
                slots: 16,
                out: 0,
                floor: 16,
                workers: 1,
            },
        );
        self.run(|tx, _| {
            let turn = engine.turn(tx, load.clone(), &BTreeSet::new(), NOW);
            if turn.is_err() {
                engine.rolled_back();
            }
            turn
        })
    }
}

fn task(unit: UnitId) -> TaskRow {
    TaskRow {
        no: 0,
        kind: TaskKind::Rework,
        state: TaskState::Open,
        subject: "a1".into(),
        unit,
        asset: "a1".into(),
        title: "t".into(),
        supplier: None,
        policy: "hd".into(),
        digest: "d".into(),
        hash: String::new(),
        checks: vec!["black".into()],
        findings: None,
        message: "it is black".into(),
        round: 1,
        opened_at: NOW,
        due_at: None,
        ended_at: None,
    }
}

#[test]
fn turn_over_an_unreadable_job_hands_out_the_units_of_others() {
    for damage in DAMAGES {
        let mut world = World::damaged(damage);
        let (mut engine, mut handed_out) = (Engine::default(), BTreeSet::new());
        for _ in 0..4 {
            handed_out.extend(
                world
                    .turn(&mut engine)
                    .units
                    .into_iter()
                    .map(|unit| unit.id),
            );
        }
        let others: Vec<PartNo> = handed_out
            .iter()
            .filter(|unit| unit.job == world.other)
            .map(|unit| unit.part)
            .collect();
        assert!(
            [4, 5, 6].iter().all(|part| others.contains(part)),
            "{damage}: {handed_out:?}"
        );
    }
}

#[test]
fn settlement_and_take_back_of_an_unreadable_job_keep_those_of_others() {
    for damage in DAMAGES {
        let mut world = World::damaged(damage);
        let (odd, other) = (world.odd, world.other);
        let batch = vec![end(odd, 3, good()), end(other, 3, good())];
        let (settled, _) = world.run(|tx, reactor| reactor.settle(tx, &batch, NOW, &mut || 0.0));
        assert!(settled.succeeded >= 1, "{damage}: {settled:?}");
        let limits = PoisonLimits::default();
        let lapsed = |job| Lapsed {
            unit: unit(job, 4),
            epoch: 1,
            with: None,
            vanished: false,
        };
        let taken =
            world.run(|tx, reactor| reactor.take_back(tx, &[odd, other].map(lapsed), &limits, NOW));
        assert_eq!((taken.len(), taken[1]), (2, Taken::Ready), "{damage}");
        let rate = |job| (job, TransferRate::default(), vec![]);
        world.run(|tx, reactor| {
            let workflows = reactor.engine.lock().workflows.clone();
            rates::put(tx, &workflows, vec![rate(odd), rate(other)])
        });
        let kept = world.run(|tx, reactor| {
            let workflows = reactor.engine.lock().workflows.clone();
            tombstones::record_tombstones(tx, &workflows, unit(odd, 1), vec![], NOW)?;
            tx.rate(other)
        });
        assert!(kept.is_some(), "{damage}: rates of the other job are kept");
    }
}

#[test]
fn lists_over_an_unreadable_job_show_those_of_others() {
    for damage in &DAMAGES[..2] {
        let mut world = World::damaged(damage);
        let shown = |tx: &mut dyn Tx| {
            let workflows = Workflows::default();
            let request = RetryRequest {
                all: true,
                ..RetryRequest::default()
            };
            let no =
                command::retry(tx, &workflows, &Among::Dead(None), &request, NOW).expect(damage);
            while command::carry_on(tx, &workflows, no, NOW)? {}
            let retried = command::retried(tx, no).expect(damage);
            assert_eq!(retried.done, 1, "{damage}: {retried:?}");
            assert!(
                !operations::operations(tx, None, 9)
                    .expect(damage)
                    .is_empty()
            );
            let causes = causes::causes(tx, &workflows, None, 9, NOW).expect(damage);
            assert!(
                causes
                    .iter()
                    .all(|cause| cause.jobs.iter().all(|job| job == "other" || job == "odd")),
                "{damage}"
            );
            let all = TasksFilter {
                state: "all".into(),
                kind: None,
                job: None,
                asset: None,
                title: None,
                after: 0,
                limit: 9,
            };
            let listed = tasks(tx, &all, NOW).expect(damage);
            assert_eq!(
                listed[0].units,
                [["other", "work", "1"].join("/")],
                "{damage}"
            );
            for answer in [
                units::units(tx, "odd", &serde_json::from_str("{}").expect("defaults")).map(drop),
                units::explain_unit(tx, "odd", "work", 1, NOW).map(drop),
            ] {
                assert!(
                    matches!(&answer, Err(Error::Conflict(why)) if why.contains("set aside")),
                    "{damage}: {answer:?}"
                );
            }
            Ok(())
        };
        world.store.write(|tx| shown(tx)).expect("commits");
    }
}
