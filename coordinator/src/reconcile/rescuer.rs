//! Takes leases back whose worker has fallen silent. Losses are recorded, so that a unit that kills its workers is
//! distinguished from units that ran on the same worker.
use crate::graph::{Change, Graph, causes};
use crate::reconcile::multipart;
use crate::reconcile::take_back::take_back_all;
use crate::review::approvals;
use crate::rows::{job_row, unit_row};
use crate::store::{JobState, LossRow, Phase, StoreResult, Tx, UnitRow};
use crate::workflows::Workflows;
use protocol::failure::Failure;
use protocol::id::{JobNo, StepNo, UnitId};
use protocol::rules::unit::transition::UnitState;
use protocol::rules::worker::poison::{Loss, PoisonLimits, Suspicion, assess};
use protocol::time::Timestamp;
use protocol::workflow::on_failure::OnFailure;
use std::collections::{BTreeMap, BTreeSet};

/// Reason code of a unit that was parked because it kills workers.
pub const POISON: &str = "poison";

/// The worker a unit was lost with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostWith {
    /// Incarnation of the worker.
    pub worker: String,
    /// Nothing else ran in it.
    pub alone: bool,
}

/// The outcome for a unit whose lease lapsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It was no longer out.
    No,
    /// It is ready again.
    Ready,
    /// It is ready again and runs alone from now on.
    Suspect,
    /// It was parked: it kills workers, or vanishes again and again.
    Parked,
}

/// An execution to take back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reclaim {
    /// The unit whose execution it is.
    pub unit: UnitId,
    /// The epoch it is out under.
    pub epoch: u32,
    /// The loss to record against the unit. A unit that vanishes without a worker was lost with one without a name; `None`
    /// for what a wiped server loses, which says nothing about the unit.
    pub loss: Option<LostWith>,
}

/// Takes executions of one job back, records their losses, and parks units whose losses prove that they kill their workers or
/// vanish again and again.
pub fn reclaim(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    job: JobNo,
    page: &[Reclaim],
    limits: &PoisonLimits,
    now: Timestamp,
) -> StoreResult<Vec<Taken>> {
    let executions: Vec<(UnitId, u32)> = page.iter().map(|one| (one.unit, one.epoch)).collect();
    let was_out = take_back_all(tx, job, &executions)?;
    let loss_of = |one: &Reclaim| {
        let LostWith { worker, alone } = one.loss.clone()?;
        Some(LossRow {
            unit: one.unit,
            epoch: one.epoch,
            worker,
            alone,
            at: now,
        })
    };
    let lost = page.iter().zip(&was_out).filter(|(_, out)| **out);
    let losses: Vec<LossRow> = lost.filter_map(|(one, _)| loss_of(one)).collect();
    let mut known: BTreeMap<UnitId, Vec<Loss>> = BTreeMap::new();
    if !losses.is_empty() {
        tx.put_losses(&losses)?;
        let units: Vec<UnitId> = losses
            .iter()
            .map(|row| row.unit)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        for row in tx.losses(&units)? {
            known.entry(row.unit).or_default().push(Loss {
                worker: row.worker,
                alone: row.alone,
            });
        }
    }
    let mut taken = Vec::with_capacity(page.len());
    for (one, out) in page.iter().zip(was_out) {
        let losses = known.get(&one.unit).map(Vec::as_slice).unwrap_or_default();
        taken.push(match (out, &one.loss) {
            (false, _) => Taken::No,
            (true, None) => Taken::Ready,
            (true, Some(_)) => judge(tx, workflows, one.unit, losses, limits, now)?,
        });
    }
    Ok(taken)
}

/// Judges a unit by its losses, and parks it when they prove it guilty.
fn judge(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    unit: UnitId,
    losses: &[Loss],
    limits: &PoisonLimits,
    now: Timestamp,
) -> StoreResult<Taken> {
    let (message, otherwise) = match assess(losses, limits) {
        Suspicion::None => return Ok(Taken::Ready),
        Suspicion::RunAlone => return Ok(Taken::Suspect),
        Suspicion::Poison => (kills(losses), Taken::Suspect),
        Suspicion::Vanishes => (VANISHES.to_owned(), Taken::Ready),
    };
    Ok(if park(tx, workflows, unit, &message, now)? {
        Taken::Parked
    } else {
        otherwise
    })
}

/// The failure message of a unit that vanishes.
const VANISHES: &str = "it was handed out again and again, and each time it was gone without a result: its message or its \
     report cannot be read; look into sr:parked and at the logs of workers and coordinator, upgrade what is older, then: \
     showrunner job retry";

/// The failure message of a unit that kills its workers.
fn kills(losses: &[Loss]) -> String {
    let with = losses.iter().map(|loss| loss.worker.as_str());
    let mut workers: Vec<&str> = with.filter(|worker| !worker.is_empty()).collect();
    workers.dedup();
    format!(
        "it was lost with {} workers ({}), the last two times alone: it kills the worker it runs in; look at its assets and \
         at those workers' logs, then: showrunner job retry",
        workers.len(),
        workers.join(", ")
    )
}

/// Parks a unit, also when a copy of it still runs elsewhere: that one's end will change nothing any more.
fn park(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    unit: UnitId,
    message: &str,
    now: Timestamp,
) -> StoreResult<bool> {
    let mut job = job_row(tx, unit.job)?;
    if unit.step == StepNo::SCAN {
        if !job.state.has_ended() {
            (job.state, job.ended_at) = (JobState::Failed, Some(now));
            job.message = Some(format!("listing the library: {message}"));
            tx.update_job(&job)?;
        }
        return Ok(true);
    }
    if let Some(number) = unit.slice {
        // What its asset is to blame for shows when one worker carries it whole.
        return multipart::give_up(tx, unit.whole(), number);
    }
    // A job that cannot be read is set aside with its units as they are.
    let Some(workflow) = workflows.readable(tx, unit.job)? else {
        return Ok(false);
    };
    let row = unit_row(tx, unit)?;
    let out = |row: &UnitRow| matches!(row.state, UnitState::Ready | UnitState::Leased);
    let Some(row) = row.filter(out) else {
        return Ok(false);
    };
    tx.put_speculation(unit, None)?;
    let failures = [(String::new(), Failure::permanent(POISON, message))];
    tx.put_failures(unit, &failures)?;
    causes::count_dead(tx, unit, &failures, now)?;
    let to = UnitRow {
        state: UnitState::Dead,
        ..row
    };
    let change = Change {
        part: unit.part,
        from: Some(row.state),
        to,
        executed_us: None,
    };
    let sealed = job.phase == Phase::Sealed;
    approvals::apply(
        &mut Graph::new(tx, unit.job, &workflow, sealed, now),
        unit.step,
        &[change],
    )?;
    let aborts = workflow
        .step(unit.step)
        .is_some_and(|s| s.on_failure == OnFailure::Abort);
    if aborts && matches!(job.state, JobState::Running | JobState::Paused) {
        job = job_row(tx, unit.job)?;
        job.state = JobState::Cancelling;
        job.message = Some(format!("a unit failed and its step says abort: {message}"));
        tx.update_job(&job)?;
    }
    Ok(true)
}
