//! Settlement of reports between which a redriven unit lies, on a real PostgreSQL.
use coordinator::reconcile::{planner, settlement};
use coordinator::store::postgres::{Postgres, PostgresOptions};
use coordinator::store::testing::job;
use coordinator::store::{Phase, StepDelta, StoreResult, Tx, UnitRow};
use coordinator::workflows::Workflows;
use protocol::id::{JobNo, StepNo, UnitId, WorkerId};
use protocol::media::asset::{Asset, Role};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::wire::report::{ListedAsset, Outcome, UnitResult};
use protocol::workflow::Step;
use testkit::postgres::PostgresServer;

/// A job whose second step has ended well everywhere, in a run of successes; a third step needs it and the first.
fn half_done(tx: &mut dyn Tx) -> StoreResult<JobNo> {
    let mut new = job("redriven");
    let work = new.workflow.steps[0].clone();
    let (first, second) = (
        Step {
            id: "first".into(),
            ..work.clone()
        },
        Step {
            id: "second".into(),
            ..work.clone()
        },
    );
    let both = Step {
        id: "both".into(),
        needs: vec![StepNo(0), StepNo(1)],
        ..work
    };
    new.workflow.steps = vec![first, second, both];
    new.workflow.partition.assets_max = 1;
    let no = tx.insert_job(&new)?;
    let page: Vec<ListedAsset> = (0..40)
        .map(|n| ListedAsset {
            line: n,
            asset: numbered(n),
        })
        .collect();
    tx.append_listing(no, true, &page)?;
    let mut row = tx.job(no)?.expect("inserted");
    row.phase = Phase::Planning;
    tx.update_job(&row)?;
    while planner::plan(tx, &Workflows::default(), no)? {}
    for step in [StepNo(0), StepNo(1)] {
        tx.set_cursor(no, step, 40)?;
    }
    let done = (1..=40)
        .map(|part| success(no, StepNo(1), part, 1))
        .collect();
    assert_eq!(
        settlement::settle(tx, &Workflows::default(), done, Timestamp(1), &mut || 0.5)?.accepted,
        40
    );
    Ok(no)
}

/// Hands partition 20 of the second step out again.
fn redrive(tx: &mut dyn Tx, job: JobNo) -> StoreResult<()> {
    let again = UnitRow {
        state: UnitState::Leased,
        epoch: 2,
        attempt: 0,
        due_at: None,
        duration_us: 0,
    };
    tx.put_units(job, StepNo(1), &[(20, again)])?;
    tx.add_to_step(
        job,
        StepNo(1),
        StepDelta::transition(Some(UnitState::Succeeded), UnitState::Leased),
    )
}

fn numbered(n: u64) -> Asset {
    let id = format!("a{n:04}");
    let location = format!("file:/m/{id}");
    let (path, title, role) = (id.clone(), "t".into(), Role::Master);
    Asset {
        id,
        title,
        role,
        location,
        path,
        bytes: Some(1),
        hash: None,
        declared: None,
    }
}

fn success(job: JobNo, step: StepNo, part: i64, epoch: u32) -> Outcome {
    let result = UnitResult::Finished {
        facts: vec![],
        failures: vec![],
    };
    Outcome {
        unit: UnitId::new(job, step, part),
        epoch,
        worker: WorkerId("w".into()),
        result,
        duration_us: 1,
    }
}

/// A look-up of scattered units must say nothing about units between them: one of them has a row of its own, written when it
/// was redriven, over the run of successes it once was part of.
#[test]
fn redriven_unit_between_scattered_reports_is_settled() {
    let server = PostgresServer::start();
    let mut postgres = Postgres::open(&server.url(), PostgresOptions::default()).expect("connects");
    let job = postgres.write(|tx| half_done(tx)).expect("writes");
    postgres.write(|tx| redrive(tx, job)).expect("writes");
    let settle = |postgres: &mut Postgres, outcomes: Vec<Outcome>| {
        let settled = postgres.write(|tx| {
            settlement::settle(
                tx,
                &Workflows::default(),
                outcomes,
                Timestamp(2),
                &mut || 0.5,
            )
        });
        settled.expect("settles")
    };
    let scattered = [
        success(job, StepNo(0), 1, 1),
        success(job, StepNo(0), 40, 1),
        success(job, StepNo(1), 20, 2),
    ];
    let settled = settle(&mut postgres, scattered.to_vec());
    assert_eq!(
        (settled.accepted, settled.rejected),
        (3, 0),
        "the report of the redriven unit counts"
    );
    settle(&mut postgres, vec![success(job, StepNo(0), 20, 1)]);
    let ready = postgres
        .write(|tx| (tx as &mut dyn Tx).ready_units(job, StepNo(2), 9))
        .expect("reads");
    assert_eq!(
        ready.iter().map(|(part, _)| *part).collect::<Vec<_>>(),
        [1, 20, 40]
    );
}
