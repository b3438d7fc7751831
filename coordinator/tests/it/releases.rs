//! Releases of barriers in few statements and bounded transactions, on a real PostgreSQL.
use coordinator::reconcile::sequencer::{self, Sweep};
use coordinator::reconcile::{planner, settlement};
use coordinator::store::postgres::{Postgres, PostgresOptions};
use coordinator::store::testing::job;
use coordinator::store::{Phase, Tx, cost};
use coordinator::workflows::Workflows;
use protocol::id::{JobNo, StepNo, UnitId, WorkerId};
use protocol::media::asset::{Asset, Role};
use protocol::model::barrier::Scope;
use protocol::rules::barrier::{BarrierPolicy, BarrierRequire};
use protocol::time::Timestamp;
use protocol::wire::report::{ListedAsset, Outcome, UnitResult};
use protocol::workflow::{Action, Step};
use testkit::postgres::PostgresServer;

fn asset(n: u64) -> Asset {
    let id = format!("a{n:04}");
    let (path, location, title) = (id.clone(), format!("file:/m/{id}"), format!("t{n:04}"));
    Asset {
        id,
        title,
        role: Role::Master,
        location,
        path,
        bytes: Some(1),
        hash: None,
        declared: None,
    }
}

fn success(job: JobNo, part: i64) -> Outcome {
    let unit = UnitId::new(job, StepNo(0), part);
    let result = UnitResult::Finished {
        facts: vec![],
        failures: vec![],
    };
    Outcome {
        unit,
        epoch: 1,
        worker: WorkerId("w".into()),
        result,
        duration_us: 1,
    }
}

/// Titles of one asset that end together open together: the approvals behind them are asked for in a few statements.
#[test]
fn titles_that_end_together_before_an_approval_open_in_few_statements() {
    const TITLES: u64 = 3_000;
    let server = PostgresServer::start();
    let mut postgres = Postgres::open(&server.url(), PostgresOptions::default()).expect("connects");
    let mut new = job("titles");
    let work = new.workflow.steps[0].clone();
    let policy = BarrierPolicy {
        require: BarrierRequire::All,
        budget: None,
        until: None,
    };
    let barrier = Action::Barrier {
        scope: Scope::Title,
        batch_units: 0,
        policy,
        deadline_us: None,
    };
    let hold = Step {
        id: "hold".into(),
        needs: vec![StepNo(0)],
        action: barrier,
        ..work.clone()
    };
    let approval = Action::Approval {
        role: "r".into(),
        when: None,
    };
    let ok = Step {
        id: "ok".into(),
        needs: vec![StepNo(1)],
        action: approval,
        ..work.clone()
    };
    new.workflow.steps = vec![work, hold, ok];
    new.workflow.partition.assets_max = 1;
    let planned = postgres.write(|tx| {
        let tx: &mut dyn Tx = tx;
        let no = tx.insert_job(&new)?;
        let page: Vec<ListedAsset> = (0..TITLES)
            .map(|n| ListedAsset {
                line: n,
                asset: asset(n),
            })
            .collect();
        tx.append_listing(no, true, &page)?;
        let mut row = tx.job(no)?.expect("inserted");
        (row.phase, row.assets) = (Phase::Planning, TITLES);
        tx.update_job(&row)?;
        while planner::plan(tx, &Workflows::default(), no)? {}
        tx.set_cursor(no, StepNo(0), TITLES as i64)?;
        Ok(no)
    });
    let no = planned.expect("writes");
    let ended: Vec<Outcome> = (1..=TITLES as i64).map(|part| success(no, part)).collect();
    let settled = postgres
        .write(|tx| settlement::settle(tx, &Workflows::default(), ended, Timestamp(2), &mut || 0.5))
        .expect("settles");
    assert_eq!(settled.accepted, TITLES);
    let mut statements = cost::spent().statements;
    let (mut sweep, workflows) = (Sweep::default(), Workflows::default());
    while postgres
        .write(|tx| sequencer::advance(tx, &workflows, no, &mut sweep, Timestamp(2)))
        .expect("writes")
    {
        statements = statements.max(cost::spent().statements);
    }
    let waiting = postgres
        .read(|tx| (tx as &mut dyn Tx).task_counts(Timestamp(2)))
        .expect("reads");
    assert_eq!(
        waiting.first().map(|(_, pending, _)| *pending),
        Some(TITLES)
    );
    assert!(
        statements <= 200,
        "{statements} statements in one transaction"
    );
}
