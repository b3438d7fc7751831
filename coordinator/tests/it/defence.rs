//! What comes from outside, from an older version or from a half-finished removal does no harm, and one transaction stays
//! small whatever is asked of it.
use coordinator::command::{self, Among, RetryRequest, submission};
use coordinator::dispatch::load::Load;
use coordinator::error::Error;
use coordinator::leader::engine::Engine;
use coordinator::query::{causes, jobs};
use coordinator::reconcile::rescuer::{self, LostWith, Reclaim, Taken};
use coordinator::reconcile::sequencer::{self, Sweep};
use coordinator::reconcile::{planner, settlement};
use coordinator::store::handle::Backend;
use coordinator::store::memory::Memory;
use coordinator::store::postgres::{Postgres, PostgresOptions};
use coordinator::store::sqlite::Sqlite;
use coordinator::store::testing::job;
use coordinator::store::{JobState, NewJob, Phase, StepDelta, StepTx, Tx, UnitRow, cost};
use coordinator::workflows::Workflows;
use protocol::failure::Failure;
use protocol::id::{JobNo, PartNo, SliceNo, StepNo, UnitId, WorkerId};
use protocol::media::asset::{Asset, Role};
use protocol::model::barrier::Scope;
use protocol::rules::barrier::{BarrierPolicy, BarrierRequire};
use protocol::rules::unit::transition::UnitState;
use protocol::rules::worker::poison::PoisonLimits;
use protocol::time::Timestamp;
use protocol::wire::report::{ListedAsset, Outcome, UnitResult};
use protocol::workflow::{Action, Step};
use std::collections::BTreeSet;
use testkit::postgres::PostgresServer;

const NOW: Timestamp = Timestamp(1_000_000);

fn asset(n: i64) -> Asset {
    let id = format!("a{n:06}");
    let location = format!("file:/m/{id}");
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
}

/// Lists and cuts a job over `assets`, all of one title.
fn planned(tx: &mut dyn Tx, new: &NewJob, assets: i64) -> JobNo {
    planned_over(tx, new, (0..assets).map(asset))
}

/// The same over these assets.
fn planned_over(tx: &mut dyn Tx, new: &NewJob, assets: impl Iterator<Item = Asset>) -> JobNo {
    let no = tx.insert_job(new).expect("inserts");
    let page: Vec<ListedAsset> = assets
        .enumerate()
        .map(|(n, asset)| ListedAsset {
            line: n as u64,
            asset,
        })
        .collect();
    let assets = page.len();
    tx.append_listing(no, true, &page).expect("appends");
    let mut row = tx.job(no).expect("reads").expect("inserted");
    (row.phase, row.assets) = (Phase::Planning, assets as u64);
    tx.update_job(&row).expect("updates");
    while planner::plan(tx, &Workflows::default(), no).expect("plans") {}
    no
}

fn single(id: &str) -> NewJob {
    let mut new = job(id);
    new.workflow.partition.assets_max = 1;
    new
}

fn end(job: JobNo, step: u16, part: PartNo, result: UnitResult) -> Outcome {
    let unit = UnitId::from_packed(job, StepNo(step), part);
    Outcome {
        unit,
        epoch: 1,
        worker: WorkerId("w".into()),
        result,
        duration_us: u64::MAX,
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

fn settle(tx: &mut dyn Tx, outcomes: Vec<Outcome>) -> settlement::Settled {
    settlement::settle(tx, &Workflows::default(), outcomes, NOW, &mut || 0.0).expect("settles")
}

#[test]
fn report_of_a_unit_that_cannot_be_out_is_refused_and_its_batch_is_kept() {
    let mut memory = Memory::default();
    let tx: &mut dyn Tx = &mut memory;
    let mut new = single("j");
    let barrier = Action::Barrier {
        scope: Scope::Job,
        batch_units: 0,
        policy: BarrierPolicy {
            require: BarrierRequire::All,
            budget: None,
            until: None,
        },
        deadline_us: None,
    };
    let step = |id: &str, needs: u16, action: &Action| Step {
        id: id.into(),
        needs: vec![StepNo(needs)],
        action: action.clone(),
        ..job("x").workflow.steps[0].clone()
    };
    let work = new.workflow.steps[0].action.clone();
    let approval = Action::Approval {
        role: "r".into(),
        when: None,
    };
    new.workflow.steps.extend([
        step("all", 0, &barrier),
        step("two", 2, &work),
        step("ok", 3, &approval),
    ]);
    let no = planned(tx, &new, 3);
    tx.set_cursor(no, StepNo(0), 3).expect("moves");
    let before = tx.steps(no).expect("reads");
    let forged = [
        (0, 0),
        (0, -1),
        (0, i64::MIN),
        (0, i64::MAX),
        (0, 4),
        (1, 0),
        (2, 0),
        (2, 1),
        (3, 0),
        (3, -1),
        (4, 0),
        (4, 1),
        (99, 1),
    ];
    let slices = [UnitId::new(no, StepNo(0), 0), UnitId::new(no, StepNo(3), 9)];
    let slices = slices.map(|unit| {
        (
            unit.step.0,
            unit.with_slice(SliceNo::new(1).expect("a slice"))
                .packed_part(),
        )
    });
    let mut batch: Vec<Outcome> = forged
        .into_iter()
        .chain(slices)
        .map(|(step, part)| end(no, step, part, good()))
        .collect();
    let refused = batch.len() as u64;
    let settled = settle(tx, batch.clone());
    assert_eq!(
        (settled.rejected, settled.accepted),
        (refused, 0),
        "{settled:?}"
    );
    assert_eq!(tx.steps(no).expect("reads"), before, "nothing is counted");
    batch.extend([end(no, 0, 1, good()), end(no, 0, 2, good())]);
    let settled = settle(tx, batch);
    assert_eq!(
        (settled.rejected, settled.succeeded),
        (refused, 2),
        "{settled:?}"
    );
    let row = tx.steps(no).expect("reads")[0];
    assert_eq!(
        (row.total, row.succeeded, row.cancelled),
        (3, 2, 0),
        "{row:?}"
    );
}

#[test]
fn job_under_removal_is_gone_from_the_first_transaction() {
    let dir = tempfile::tempdir().expect("temp dir");
    let server = PostgresServer::start();
    let url = server.create_database("removal");
    let stores = [
        Backend::Sqlite(Box::new(
            Sqlite::open(&dir.path().join("x.db")).expect("opens"),
        )),
        Backend::Memory(Box::default()),
        Backend::Postgres(Box::new(
            Postgres::open(&url, PostgresOptions::default()).expect("opens"),
        )),
    ];
    for mut store in stores {
        store.write(under_removal).expect("commits");
    }
}

fn under_removal(tx: &mut dyn Tx) -> coordinator::store::StoreResult<()> {
    let no = planned(
        tx,
        &NewJob {
            submission: Some("key".into()),
            ..single("j")
        },
        60,
    );
    tx.set_cursor(no, StepNo(0), 60)?;
    settle(tx, (1..=60).map(|part| end(no, 0, part, bad())).collect());
    let (mut sweep, workflows) = (Sweep::default(), Workflows::default());
    while !tx.job(no)?.expect("there").state.has_ended() {
        sequencer::advance(tx, &workflows, no, &mut sweep, NOW)?;
    }
    let newer = planned(tx, &single("newer"), 1);
    let removed = tx.remove_job(no, 10)?;
    assert_eq!(tx.job(no)?, None);
    assert_eq!(tx.job_by_id("j")?, None);
    assert_eq!(tx.job_of_submission("key")?, None);
    let listed = |rows: Vec<coordinator::store::JobRow>| {
        rows.into_iter().map(|row| row.no).collect::<Vec<_>>()
    };
    assert_eq!(listed(tx.jobs(false, 9)?), [newer]);
    assert_eq!(listed(tx.job_views(None, None, 9)?), [newer]);
    let request = RetryRequest {
        all: true,
        ..RetryRequest::default()
    };
    let answer = command::retry(tx, &workflows, &Among::Job("j".into()), &request, NOW);
    assert!(matches!(answer, Err(Error::NotFound)), "{answer:?}");
    assert_eq!(
        causes::causes(tx, &workflows, None, 9, NOW).expect("answers"),
        []
    );
    let settled = settle(tx, vec![end(no, 0, 1, good())]);
    assert_eq!((settled.rejected, settled.accepted), (1, 0));
    let across =
        command::preview(tx, &workflows, &Among::Dead(None), &request, NOW).expect("an answer");
    assert_eq!(across.units, 0, "{across:?}");
    // Its name is free, and nothing of it comes back.
    let again = planned(tx, &single("j"), 1);
    assert_eq!(tx.job_by_id("j")?.map(|row| row.no), Some(again));
    let mut gone = removed.gone;
    while !gone {
        assert_eq!(
            tx.ended_before(Timestamp(0), 9)?,
            [no],
            "it is removed to the end, whatever the limits say now"
        );
        gone = tx.remove_job(no, 10)?.gone;
    }
    assert_eq!(tx.ended_before(Timestamp(0), 9)?, []);
    Ok(())
}

#[test]
fn job_that_cannot_be_read_is_set_aside_and_the_others_go_on() {
    for statement in [
        "UPDATE job SET workflow = replace(workflow, 'Noop', 'Noop2') WHERE no = 1",
        "UPDATE job SET workflow = '' WHERE no = 1",
        "UPDATE job SET state = 'dreaming' WHERE no = 1",
        "UPDATE job SET assets = -1 WHERE no = 1",
    ] {
        let dir = tempfile::tempdir().expect("temp dir");
        let mut store = Sqlite::open(&dir.path().join("x.db")).expect("opens");
        let (odd, other) = store
            .write(|tx| {
                Ok((
                    planned(tx, &single("odd"), 3),
                    planned(tx, &single("other"), 3),
                ))
            })
            .expect("commits");
        store
            .write(|tx| tx.set_cursor(odd, StepNo(0), 3))
            .expect("commits");
        store
            .write(|tx| tx.set_cursor(other, StepNo(0), 3))
            .expect("commits");
        store
            .connection()
            .execute(statement, [])
            .expect("is changed");
        let mut engine = Engine::default();
        store
            .write(|tx| {
                let turn = engine
                    .turn(tx, Load::default(), &BTreeSet::new(), NOW)
                    .expect(statement);
                assert_eq!(turn.open, 1, "{statement}");
                let workflows = engine.workflows.clone();
                let outcomes = vec![end(odd, 0, 1, good()), end(other, 0, 1, good())];
                let settled = settlement::settle(tx, &workflows, outcomes, NOW, &mut || 0.0)
                    .expect(statement);
                assert_eq!((settled.rejected, settled.succeeded), (1, 1), "{statement}");
                let request = RetryRequest {
                    all: true,
                    ..RetryRequest::default()
                };
                command::retry(tx, &workflows, &Among::Dead(None), &request, NOW).expect(statement);
                while engine
                    .turn(tx, Load::default(), &BTreeSet::new(), NOW)
                    .expect(statement)
                    .more
                {}
                assert_eq!(
                    jobs::open_progress(tx, 9).expect(statement).len(),
                    1,
                    "{statement}"
                );
                let looked = jobs::job(tx, "odd", NOW);
                assert!(
                    matches!(&looked, Err(Error::Conflict(why)) if why.contains("set aside")),
                    "{looked:?}"
                );
                Ok(())
            })
            .expect("commits");
    }
}

#[test]
fn idempotency_key_makes_one_job_whatever_it_is_called() {
    let mut memory = Memory::default();
    let tx: &mut dyn Tx = &mut memory;
    let submission = Some(submission::submission_of("key"));
    let first = NewJob {
        submission: submission.clone(),
        ..job("first-1")
    };
    let taken = submission::submit(tx, &first).expect("is taken");
    assert_eq!(submission::submit(tx, &first).expect("is taken"), taken);
    let renamed = NewJob {
        submission: submission.clone(),
        digest: "other".into(),
        ..job("second-1")
    };
    let refused = submission::submit(tx, &renamed);
    assert!(
        matches!(&refused, Err(Error::Conflict(why)) if why.contains("first-1")),
        "{refused:?}"
    );
    let another = NewJob {
        submission: Some(submission::submission_of("another")),
        ..job("second-1")
    };
    assert_eq!(
        submission::submit(tx, &another).expect("is taken").job,
        "second-1"
    );
    assert_eq!(tx.jobs(false, 9).expect("reads").len(), 2);
}

#[test]
fn empty_library_says_so_in_its_job() {
    let mut memory = Memory::default();
    let tx: &mut dyn Tx = &mut memory;
    let (no, mut sweep) = (planned(tx, &single("j"), 0), Sweep::default());
    while !tx.job(no).expect("reads").expect("there").state.has_ended() {
        sequencer::advance(tx, &Workflows::default(), no, &mut sweep, NOW).expect("advances");
    }
    let row = tx.job(no).expect("reads").expect("there");
    assert_eq!(row.state, JobState::Succeeded);
    assert!(
        row.message
            .is_some_and(|why| why.contains("library is empty"))
    );
}

#[test]
fn unit_that_vanishes_again_and_again_is_parked() {
    let mut memory = Memory::default();
    let tx: &mut dyn Tx = &mut memory;
    let no = planned(tx, &single("j"), 1);
    tx.set_cursor(no, StepNo(0), 1).expect("moves");
    let unit = UnitId::new(no, StepNo(0), 1);
    let (workflows, limits) = (Workflows::default(), PoisonLimits::default());
    let mut taken = Vec::new();
    for epoch in 1..=limits.vanished_max {
        let page = [Reclaim {
            unit,
            epoch,
            loss: Some(LostWith {
                worker: String::new(),
                alone: false,
            }),
        }];
        taken
            .extend(rescuer::reclaim(tx, &workflows, no, &page, &limits, NOW).expect("takes back"));
        if let Some(row) = tx.units(no, unit.step, &[1]).expect("reads")[0]
            .filter(|row| row.state == UnitState::Ready)
        {
            let leased = UnitRow {
                state: UnitState::Leased,
                epoch: epoch + 1,
                ..row
            };
            tx.put_units(no, unit.step, &[(1, leased)]).expect("writes");
            tx.add_to_step(
                no,
                unit.step,
                StepDelta::transition(Some(UnitState::Ready), UnitState::Leased),
            )
            .expect("counts");
        }
    }
    let last = taken.pop();
    assert!(
        last == Some(Taken::Parked) && taken.iter().all(|one| *one == Taken::Ready),
        "{taken:?}, then {last:?}"
    );
    let dead = tx.units(no, unit.step, &[1]).expect("reads")[0].map(|row| row.state);
    assert_eq!(
        dead,
        Some(UnitState::Dead),
        "and nothing hands it out any more"
    );
}

/// Work, a barrier of titles, and work behind it; `until` opens every title at once.
fn by_title(until: Option<Timestamp>, approval: Option<Action>) -> NewJob {
    let mut new = single("j");
    let policy = BarrierPolicy {
        require: BarrierRequire::All,
        budget: None,
        until,
    };
    let barrier = Action::Barrier {
        scope: Scope::Title,
        batch_units: 0,
        policy,
        deadline_us: None,
    };
    let [work, after] = [0, 1].map(|n| job("x").workflow.steps[n].clone());
    let hold = Step {
        id: "hold".into(),
        needs: vec![StepNo(0)],
        action: barrier,
        ..after.clone()
    };
    let action = approval.unwrap_or_else(|| after.action.clone());
    new.workflow.steps = vec![
        work,
        hold,
        Step {
            needs: vec![StepNo(1)],
            action,
            ..after
        },
    ];
    new
}

fn of_title(n: i64, per_title: i64) -> Asset {
    Asset {
        title: format!("t{:06}", n / per_title),
        ..asset(n)
    }
}

#[test]
fn titles_that_open_at_one_moment_open_in_bounded_transactions() {
    let (titles, per_title) = (200, 100);
    let mut memory = Memory::default();
    let new = by_title(Some(NOW), None);
    let no = memory
        .write(|tx| {
            let assets = (0..titles * per_title).map(|n| of_title(n, per_title));
            let no = planned_over(tx, &new, assets);
            tx.set_cursor(no, StepNo(0), titles * per_title)?;
            Ok(no)
        })
        .expect("commits");
    let workflows = Workflows::default();
    let early = Timestamp(NOW.0 - 1);
    for first in (1..=titles * per_title).step_by(1_000) {
        // The last part of each title is still at work.
        let ended = (first..first + 1_000)
            .filter(|part| part % per_title != 0)
            .map(|part| end(no, 0, part, good()));
        let settled = |tx: &mut dyn Tx| {
            settlement::settle(tx, &workflows, ended.collect(), early, &mut || 0.0).map(drop)
        };
        memory.write(|tx| settled(tx)).expect("commits");
    }
    let ready = |memory: &mut Memory| {
        let tx: &mut dyn Tx = memory;
        tx.steps(no).expect("reads")[2].live
    };
    let (mut sweep, mut before, mut most) = (Sweep::default(), ready(&mut memory), 0);
    assert_eq!(before, 0, "no title is open before its time");
    while memory
        .write(|tx| sequencer::advance(tx, &workflows, no, &mut sweep, NOW))
        .expect("commits")
    {
        let now = ready(&mut memory);
        most = most.max(now - before);
        before = now;
    }
    assert_eq!(
        before,
        (titles * (per_title - 1)) as u64,
        "every ended partition is released"
    );
    assert!(
        most <= 2_500,
        "{most} units become ready in one transaction"
    );
}

#[test]
fn barrier_before_an_approval_opens_in_bounded_transactions() {
    let mut memory = Memory::default();
    let mut new = job("j");
    new.workflow.partition.assets_max = 100;
    let barrier = Action::Barrier {
        scope: Scope::Job,
        batch_units: 0,
        policy: BarrierPolicy {
            require: BarrierRequire::All,
            budget: None,
            until: None,
        },
        deadline_us: None,
    };
    let approval = Action::Approval {
        role: "r".into(),
        when: Some("asset.role == 'master'".into()),
    };
    let mut steps = job("x").workflow.steps;
    let (mut all, mut ok) = (steps[1].clone(), steps[1].clone());
    (all.id, all.needs, all.action) = ("all".into(), vec![StepNo(0)], barrier);
    (ok.id, ok.needs, ok.action) = ("ok".into(), vec![StepNo(1)], approval);
    steps[1].needs = vec![StepNo(2)];
    let behind = steps.remove(1);
    steps.extend([all, ok, behind]);
    new.workflow.steps = steps;
    let parts = 250;
    let no = memory
        .write(|tx| {
            let no = planned(tx, &new, parts * 100);
            tx.set_cursor(no, StepNo(0), parts)?;
            Ok(no)
        })
        .expect("commits");
    let workflows = Workflows::default();
    let waiting = |memory: &mut Memory| {
        let tx: &mut dyn Tx = memory;
        let rows = tx
            .units(no, StepNo(2), &(1..=parts).collect::<Vec<_>>())
            .expect("reads");
        rows.into_iter()
            .flatten()
            .filter(|row| row.state == UnitState::Ready)
            .count()
    };
    memory
        .write(|tx| {
            let outcomes = (1..=parts).map(|part| end(no, 0, part, good())).collect();
            settlement::settle(tx, &workflows, outcomes, NOW, &mut || 0.0).map(drop)
        })
        .expect("commits");
    let (mut sweep, mut most, mut before) = (Sweep::default(), 0, waiting(&mut memory));
    assert!(
        before <= 100,
        "{before} units of 100 assets in the transaction that releases"
    );
    loop {
        let more = memory
            .write(|tx| sequencer::advance(tx, &workflows, no, &mut sweep, NOW))
            .expect("commits");
        most = most.max(cost::spent().rows);
        let now = waiting(&mut memory);
        assert!(
            now - before <= 100,
            "{} units of 100 assets in one transaction",
            now - before
        );
        before = now;
        if !more {
            break;
        }
    }
    assert_eq!(
        before, parts as usize,
        "all of them wait for their approval"
    );
    assert!(most <= 60_000, "{most} rows in one transaction");
    let tx: &mut dyn Tx = &mut memory;
    assert_eq!(
        tx.task_counts(NOW)
            .expect("reads")
            .first()
            .map(|(_, pending, _)| *pending),
        Some(250)
    );
}
