//! What operators ask for, carried out in the store's transactions.
use coordinator::audit::AuditContext;
use coordinator::command::{self, Among, Plan, RetryRequest};
use coordinator::reconcile::sequencer::{self, Sweep};
use coordinator::reconcile::{planner, settlement};
use coordinator::store::memory::Memory;
use coordinator::store::testing::job;
use coordinator::store::{JobState, OperationRow, OperationState, Phase, Tx};
use coordinator::workflows::Workflows;
use protocol::failure::Failure;
use protocol::id::{JobNo, StepNo, UnitId, WorkerId};
use protocol::media::asset::{Asset, Role};
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::wire::report::{ListedAsset, Outcome, UnitResult};

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

/// A job that has ended with `units` dead units of its first step.
fn ended(tx: &mut dyn Tx, units: i64) -> JobNo {
    let mut new = job("j");
    new.workflow.partition.assets_max = 1;
    let (no, workflows) = (tx.insert_job(&new).expect("inserts"), Workflows::default());
    let page: Vec<ListedAsset> = (0..units)
        .map(|n| ListedAsset {
            line: n as u64,
            asset: asset(n),
        })
        .collect();
    tx.append_listing(no, true, &page).expect("appends");
    let mut row = tx.job(no).expect("reads").expect("inserted");
    (row.phase, row.assets) = (Phase::Planning, units as u64);
    tx.update_job(&row).expect("updates");
    while planner::plan(tx, &workflows, no).expect("plans") {}
    tx.set_cursor(no, StepNo(0), units).expect("moves");
    let failed = |part| Outcome {
        unit: UnitId::new(no, StepNo(0), part),
        epoch: 1,
        worker: WorkerId("w".into()),
        result: UnitResult::Failed(Failure::permanent("source_missing", "it is not there")),
        duration_us: 1,
    };
    settlement::settle(
        tx,
        &workflows,
        (1..=units).map(failed).collect(),
        NOW,
        &mut || 0.0,
    )
    .expect("settles");
    let mut sweep = Sweep::default();
    while !tx.job(no).expect("reads").expect("there").state.has_ended() {
        sequencer::advance(tx, &workflows, no, &mut sweep, NOW).expect("advances");
    }
    no
}

fn dead(tx: &mut dyn Tx, job: JobNo) -> u64 {
    tx.steps(job).expect("reads")[0].dead
}

fn operation(job: JobNo, filter: &str, plan: Option<String>) -> OperationRow {
    OperationRow {
        no: 0,
        at: NOW,
        actor: "me".into(),
        action: "retry".into(),
        job: Some(job),
        filter: filter.into(),
        plan,
        progress: None,
        message: None,
        reason: String::new(),
        matched: 0,
        eligible: 0,
        done: 0,
        state: OperationState::Running,
        rate: None,
        after: None,
        paced_at: NOW,
        ended_at: None,
    }
}

#[test]
fn operation_with_unreadable_plan_aborts_and_says_why() {
    let mut memory = Memory::default();
    let tx: &mut dyn Tx = &mut memory;
    let job = ended(tx, 3);
    let nonsense = [
        operation(job, "asset=zzz\ngarbage", None),
        operation(job, "", Some("not JSON".into())),
        OperationRow {
            rate: Some(f64::NAN),
            ..operation(job, "", None)
        },
        OperationRow {
            rate: Some(1e-300),
            ..operation(job, "", None)
        },
    ];
    for row in nonsense {
        let no = tx.insert_operation(&row).expect("inserts");
        assert!(
            !command::advance(tx, &Workflows::default(), NOW).expect("advances"),
            "{row:?}"
        );
        let row = tx.operation(no).expect("reads").expect("there");
        assert_eq!(
            (row.state, row.done, row.ended_at),
            (OperationState::Aborted, 0, Some(NOW)),
            "{row:?}"
        );
        assert!(
            row.message
                .as_deref()
                .is_some_and(|why| why.contains("cannot be read")),
            "{row:?}"
        );
        assert_eq!(dead(tx, job), 3, "{row:?}");
    }
    assert_eq!(
        tx.job(job).expect("reads").map(|row| row.state),
        Some(JobState::FinishedWithFailures)
    );
}

#[test]
fn operation_of_the_previous_version_is_executed() {
    let mut memory = Memory::default();
    let tx: &mut dyn Tx = &mut memory;
    let job = ended(tx, 3);
    let no = tx
        .insert_operation(&operation(job, "asset=a000001\nstep=work", None))
        .expect("inserts");
    while command::advance(tx, &Workflows::default(), NOW).expect("advances") {}
    let row = tx.operation(no).expect("reads").expect("there");
    assert_eq!(
        (row.state, row.done, dead(tx, job)),
        (OperationState::Done, 1, 2),
        "{row:?}"
    );
}

#[test]
fn filter_with_line_break_is_refused() {
    let mut memory = Memory::default();
    let tx: &mut dyn Tx = &mut memory;
    let job = ended(tx, 3);
    let request = RetryRequest {
        filter: vec!["asset=zzz\ngarbage".into()],
        ..RetryRequest::default()
    };
    assert!(Plan::of(&request).is_err());
    let answer = command::retry(
        tx,
        &Workflows::default(),
        &Among::Job("j".into()),
        &request,
        NOW,
    );
    assert!(
        matches!(answer, Err(coordinator::error::Error::Invalid(..))),
        "{answer:?}"
    );
    assert_eq!(dead(tx, job), 3);
}

/// Carries an operation out in turns; the most units that one of them brought back, and how many it took.
fn turns(tx: &mut dyn Tx, no: i64) -> (u64, u32) {
    let (mut most, mut turns, mut done) = (0, 0, 0);
    loop {
        let more = command::advance(tx, &Workflows::default(), NOW).expect("advances");
        let row = tx.operation(no).expect("reads").expect("there");
        (most, turns) = (most.max(row.done - done), turns + 1);
        done = row.done;
        if !more {
            return (most, turns);
        }
    }
}

#[test]
fn retry_of_many_units_takes_bounded_turns() {
    let mut memory = Memory::default();
    let tx: &mut dyn Tx = &mut memory;
    let (job, workflows) = (ended(tx, 5_000), Workflows::default());
    let among = Among::Job("j".into());
    let request = RetryRequest {
        all: true,
        ..RetryRequest::default()
    };
    let no = command::retry(tx, &workflows, &among, &request, NOW).expect("is taken");
    assert_eq!(dead(tx, job), 5_000, "the request records, and no more");
    let recorded = command::retried(tx, no).expect("there");
    assert!(recorded.counting && recorded.matched == 0, "{recorded:?}");
    command::advance(tx, &workflows, NOW).expect("advances");
    let counted = command::retried(tx, no).expect("there");
    assert!(
        counted.counting && (1..=2_000).contains(&counted.matched) && counted.done == 0,
        "{counted:?}"
    );
    let (most, took) = turns(tx, no);
    assert!(
        most <= 1_000 && took >= 7,
        "{most} units in one of {took} turns"
    );
    let done = command::retried(tx, no).expect("there");
    assert_eq!(
        (done.matched, done.units, done.done, done.counting),
        (5_000, 5_000, 5_000, false),
        "{done:?}"
    );
    assert_eq!(dead(tx, job), 0);
    assert_eq!(
        tx.operation(no).expect("reads").map(|row| row.state),
        Some(OperationState::Done)
    );
}

#[test]
fn retry_side_by_side_shares_one_page_a_turn() {
    let mut memory = Memory::default();
    let tx: &mut dyn Tx = &mut memory;
    let (job, workflows) = (ended(tx, 3_000), Workflows::default());
    let among = Among::Job("j".into());
    let request = RetryRequest {
        all: true,
        ..RetryRequest::default()
    };
    for _ in 0..4 {
        command::retry(tx, &workflows, &among, &request, NOW).expect("is taken");
    }
    let mut before = dead(tx, job);
    while command::advance(tx, &workflows, NOW).expect("advances") {
        let now = dead(tx, job);
        assert!(before - now <= 2_000, "{} units in one turn", before - now);
        before = now;
    }
    assert_eq!(dead(tx, job), 0);
}

#[test]
fn preview_counts_page_by_page_and_changes_nothing() {
    let mut memory = Memory::default();
    let tx: &mut dyn Tx = &mut memory;
    let (job, workflows) = (ended(tx, 5_000), Workflows::default());
    let request = RetryRequest {
        filter: vec!["reason=source_missing".into()],
        ..RetryRequest::default()
    };
    let among = Among::Dead(None);
    let mut preview = command::Preview::begin(tx, &workflows, &among, &request).expect("is taken");
    let mut pages = 1;
    while preview.page(tx, &workflows, NOW).expect("counts") {
        pages += 1;
    }
    let counted = preview.answer().expect("an answer");
    assert!(
        pages >= 3 && (counted.matched, counted.units) == (5_000, 5_000),
        "{pages}: {counted:?}"
    );
    assert_eq!(
        (dead(tx, job), tx.operations(None, 9).expect("reads")),
        (5_000, Vec::new())
    );
}

#[test]
fn unit_of_a_cancelled_job_is_not_planned() {
    let mut memory = Memory::default();
    let tx: &mut dyn Tx = &mut memory;
    let (job, workflows) = (ended(tx, 3), Workflows::default());
    let request = RetryRequest {
        all: true,
        ..RetryRequest::default()
    };
    let no = command::retry(tx, &workflows, &Among::Job("j".into()), &request, NOW).expect("taken");
    turns(tx, no);
    let states = |tx: &mut dyn Tx| -> Vec<UnitState> {
        let rows = [0, 1].map(|step| tx.units(job, StepNo(step), &[1, 2, 3]).expect("reads"));
        rows.into_iter()
            .flatten()
            .flatten()
            .map(|row| row.state)
            .collect()
    };
    assert!(
        states(tx).contains(&UnitState::Planned),
        "what is behind the retried units waits for them"
    );
    command::cancel(tx, "j", &AuditContext::default(), NOW).expect("is cancelled");
    while sequencer::advance(tx, &workflows, job, &mut Sweep::default(), NOW).expect("advances") {}
    assert_eq!(
        tx.job(job).expect("reads").map(|row| row.state),
        Some(JobState::Cancelled)
    );
    assert!(
        states(tx)
            .iter()
            .all(|state| *state == UnitState::Cancelled),
        "{:?}",
        states(tx)
    );
    for row in tx.steps(job).expect("reads") {
        assert_eq!((row.total, row.cancelled, row.live), (3, 3, 0), "{row:?}");
    }
}
