//! Takes leases back whose worker has fallen silent: the unit is ready again, and its next claim has a new epoch (FEN-2).
//! Losses are recorded, so that a unit that kills its workers is distinguished from units that ran on the same worker.
use crate::graph::{Change, Graph, causes};
use crate::reconcile::attribution::{Attribution, attribute};
use crate::reconcile::multipart;
use crate::review::approvals;
use crate::rows::{job_row, unit_row};
use crate::store::{JobRow, JobState, LossRow, Phase, StepDelta, StoreResult, Tx, UnitRow};
use crate::workflows::Workflows;
use protocol::failure::Failure;
use protocol::id::{StepNo, UnitId};
use protocol::rules::unit::transition::UnitState;
use protocol::rules::worker::poison::{Loss, PoisonLimits, Suspicion, assess};
use protocol::time::Timestamp;
use protocol::workflow::on_failure::OnFailure;

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

/// Takes one unit back that is out under `epoch`. Returns whether it was still out.
pub fn take_back(tx: &mut dyn Tx, unit: UnitId, epoch: u32) -> StoreResult<bool> {
    if unit.step == StepNo::SCAN {
        // The next claim of the scan gets a new epoch by itself.
        let row = tx.job(unit.job)?;
        let out = |row: &JobRow| row.phase == Phase::Scanning && row.scan_epoch == epoch && !row.state.has_ended();
        return Ok(row.as_ref().is_some_and(out));
    }
    if let Some((of, number)) = unit.of_slice() {
        return multipart::take_back(tx, of, number, epoch);
    }
    let row = unit_row(tx, unit)?;
    let ready = UnitRow { state: UnitState::Ready, epoch, attempt: 0, due_at: None, duration_us: 0 };
    let (from, to) = match row {
        Some(row) if row.state == UnitState::Leased => match attribute(tx, unit, &row, epoch, false)? {
            Attribution::Current if multipart::reopen(tx, unit)? => return Ok(true),
            Attribution::Current => (Some(UnitState::Leased), UnitRow { state: UnitState::Ready, ..row }),
            Attribution::Revoked => return Ok(true),
            Attribution::Stale => return Ok(false),
        },
        Some(_) => return Ok(false),
        None => (None, ready),
    };
    tx.put_units(unit.job, unit.step, &[(unit.part, to)])?;
    tx.add_to_step(unit.job, unit.step, StepDelta::transition(from, UnitState::Ready))?;
    Ok(true)
}

/// Takes back a unit that was lost with a worker: notes the loss, and parks the unit when its losses prove that it kills.
pub fn take_back_lost(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    (unit, epoch): (UnitId, u32),
    with: &LostWith,
    limits: &PoisonLimits,
    now: Timestamp,
) -> StoreResult<Taken> {
    if !take_back(tx, unit, epoch)? {
        return Ok(Taken::No);
    }
    let loss = LossRow { unit, epoch, worker: with.worker.clone(), alone: with.alone, at: now };
    tx.put_losses(&[loss])?;
    let rows = tx.losses(&[unit])?;
    let losses: Vec<Loss> = rows.iter().map(|row| Loss { worker: row.worker.clone(), alone: row.alone }).collect();
    match assess(&losses, limits) {
        Suspicion::None => Ok(Taken::Ready),
        Suspicion::RunAlone => Ok(Taken::Suspect),
        Suspicion::Poison => {
            let parked = park(tx, workflows, unit, &kills(&losses), now)?;
            Ok(if parked { Taken::Parked } else { Taken::Suspect })
        }
        Suspicion::Vanishes => {
            let parked = park(tx, workflows, unit, VANISHES, now)?;
            Ok(if parked { Taken::Parked } else { Taken::Ready })
        }
    }
}

/// Takes back a unit that is in the transport no more while no worker holds it and none has reported it, and parks it when
/// that happens again and again. Not for what a wiped server loses: that is nothing about the unit.
pub fn take_back_vanished(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    unit: (UnitId, u32),
    limits: &PoisonLimits,
    now: Timestamp,
) -> StoreResult<Taken> {
    let no_worker = LostWith { worker: String::new(), alone: false };
    take_back_lost(tx, workflows, unit, &no_worker, limits, now)
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
fn park(tx: &mut dyn Tx, workflows: &Workflows, unit: UnitId, message: &str, now: Timestamp) -> StoreResult<bool> {
    let mut job = job_row(tx, unit.job)?;
    if unit.step == StepNo::SCAN {
        if !job.state.has_ended() {
            (job.state, job.ended_at) = (JobState::Failed, Some(now));
            job.message = Some(format!("listing the library: {message}"));
            tx.update_job(&job)?;
        }
        return Ok(true);
    }
    if let Some((of, number)) = unit.of_slice() {
        // What its asset is to blame for shows when one worker carries it whole.
        return multipart::give_up(tx, of, number);
    }
    // A job that cannot be read is set aside with its units as they are.
    let Some(workflow) = workflows.readable(tx, unit.job)? else { return Ok(false) };
    let row = unit_row(tx, unit)?;
    let out = |row: &UnitRow| matches!(row.state, UnitState::Ready | UnitState::Leased);
    let Some(row) = row.filter(out) else { return Ok(false) };
    tx.put_speculation(unit, None)?;
    let failures = [(String::new(), Failure::permanent(POISON, message))];
    tx.put_failures(unit, &failures)?;
    causes::count_dead(tx, unit, &failures, now)?;
    let to = UnitRow { state: UnitState::Dead, ..row };
    let change = Change { part: unit.part, from: Some(row.state), to, executed_us: None };
    let sealed = job.phase == Phase::Sealed;
    approvals::apply(&mut Graph::new(tx, unit.job, &workflow, sealed, now), unit.step, &[change])?;
    let aborts = workflow.step(unit.step).is_some_and(|s| s.on_failure == OnFailure::Abort);
    if aborts && matches!(job.state, JobState::Running | JobState::Paused) {
        job = job_row(tx, unit.job)?;
        job.state = JobState::Cancelling;
        job.message = Some(format!("a unit failed and its step says abort: {message}"));
        tx.update_job(&job)?;
    }
    Ok(true)
}
