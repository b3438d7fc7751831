//! Carries a decision out: the unit's row, its failures, split-off assets, the end of its job.
use super::{Group, RESTORING};
use crate::graph::{Change, causes};
use crate::reconcile::splitter;
use crate::rows::job_row;
use crate::store::{JobState, StoreResult, UnitRow};
use protocol::failure::Failure;
use protocol::id::{PartNo, UnitId};
use protocol::rules::unit::settle::{Settlement, UnitFacts};
use protocol::rules::unit::transition::UnitState;
use protocol::wire::step::TaskSpec;
use protocol::workflow::Action;
use protocol::workflow::on_failure::OnFailure;

impl Group<'_, '_> {
    /// Writes what a settlement means for a unit, but for its row, which is returned as a change.
    pub(super) fn carry_out(
        &mut self,
        part: PartNo,
        from: Option<UnitState>,
        unit: UnitFacts,
        settlement: Settlement,
        duration_us: u64,
    ) -> StoreResult<Change> {
        let id = UnitId::new(self.job.no, self.step, part);
        let row = |state, attempt, due_at| UnitRow {
            state,
            epoch: unit.epoch,
            attempt,
            due_at,
            duration_us,
        };
        let to = match settlement {
            Settlement::Succeed => {
                if unit.attempt > 0 || self.may_wait() {
                    self.tx.put_failures(id, &[])?;
                }
                self.done.succeeded += 1;
                row(UnitState::Succeeded, unit.attempt, None)
            }
            Settlement::Retry(at, failure) => {
                self.tx.put_failures(id, &[(String::new(), failure)])?;
                self.done.retried += 1;
                row(UnitState::Retrying, unit.attempt + 1, Some(at))
            }
            Settlement::Die(failures) => {
                self.die(id, &failures)?;
                row(UnitState::Dead, unit.attempt + 1, None)
            }
            Settlement::Split { dead, retry } => {
                self.split(part, &dead)?;
                match retry {
                    None => {
                        self.tx.put_failures(id, &[])?;
                        self.done.succeeded += 1;
                        row(UnitState::Succeeded, unit.attempt, None)
                    }
                    Some((at, failure)) => {
                        self.tx.put_failures(id, &[(String::new(), failure)])?;
                        self.done.retried += 1;
                        row(UnitState::Retrying, unit.attempt + 1, Some(at))
                    }
                }
            }
            Settlement::Wait(at, what) => {
                let note = Failure::transient(RESTORING, what);
                self.tx.put_failures(id, &[(String::new(), note)])?;
                self.done.waiting += 1;
                row(UnitState::Retrying, unit.attempt, Some(at))
            }
            Settlement::Release | Settlement::Reject(_) => {
                row(UnitState::Ready, unit.attempt, None)
            }
        };
        let executed_us = (to.state != UnitState::Ready).then_some(duration_us);
        Ok(Change {
            part,
            from,
            to,
            executed_us,
        })
    }

    /// Whether units of the step may wait for something outside without having failed.
    fn may_wait(&self) -> bool {
        let action = self.workflow.step(self.step).map(|step| &step.action);
        matches!(action, Some(Action::Units { task, .. }) if matches!(task.as_ref(), TaskSpec::Restore(_)))
    }

    fn die(&mut self, id: UnitId, failures: &[(String, Failure)]) -> StoreResult<()> {
        self.tx.put_failures(id, failures)?;
        self.verdicts
            .dead
            .extend(failures.iter().map(|(asset, _)| (asset.clone(), id.part)));
        self.causes
            .extend(causes::changes(id, failures, 1, self.now));
        self.done.dead += 1;
        let aborts = self
            .workflow
            .step(self.step)
            .is_some_and(|s| s.on_failure == OnFailure::Abort);
        if aborts && matches!(self.job.state, JobState::Running | JobState::Paused) {
            self.job.state = JobState::Cancelling;
            let reason = failures.first().map_or("", |(_, f)| f.message.as_str());
            self.job.message = Some(format!("a unit failed and its step says abort: {reason}"));
            self.tx.update_job(&self.job)?;
        }
        Ok(())
    }

    fn split(&mut self, part: PartNo, dead: &[(String, Failure)]) -> StoreResult<()> {
        let ids: Vec<String> = dead.iter().map(|(asset, _)| asset.clone()).collect();
        let step = self.step;
        let child = splitter::split(&mut self.graph(), part, step, &ids)?;
        self.job = job_row(self.tx, self.job.no)?;
        self.die(UnitId::new(self.job.no, self.step, child), dead)
    }
}
