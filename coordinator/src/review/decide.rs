//! Decisions of people: approve, reject, waive.
use crate::audit::record;
use crate::error::{Answer, Error};
use crate::field_change::field_changes;
use crate::graph::redrive::RedriveScope;
use crate::graph::{Change, Graph, causes};
use crate::review::approvals;
use crate::review::history::note;
use crate::review::query::{judged_content, unknown};
use crate::review::request::{DecisionOutcome, TaskRequest, WaiverScope};
use crate::review::waivers::{Waivers, until};
use crate::rows::unit_row;
use crate::store::{JobRow, JobState, Phase, StoreResult, TaskRow, Tx, UnitRow, WaiverRow};
use crate::workflows::Workflows;
use protocol::failure::Failure;
use protocol::id::UnitId;
use protocol::rules::review::task::{Decision, DecisionError, TaskKind, TaskState, decide};
use protocol::rules::review::waiver::Scope;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;

/// A unit with the failures of its assets.
type Unsuccessful = (UnitId, Vec<(String, Failure)>);

/// Decides a task.
pub fn decide_task(
    tx: &mut dyn Tx,
    workflows: &Workflows,
    no: i64,
    decision: Decision,
    request: &TaskRequest,
    now: Timestamp,
) -> Answer<DecisionOutcome> {
    let Some(row) = tx.task(no)? else {
        return Err(unknown(no));
    };
    let state = decide(row.kind, row.state, decision).map_err(|why| refused(no, why))?;
    if decision != Decision::Approve && request.audit.reason.trim().is_empty() {
        let word = if decision == Decision::Waive {
            "a waiver"
        } else {
            "a refusal"
        };
        return Err(Error::Invalid(
            format!("{word} needs a reason"),
            "--reason TEXT".into(),
        ));
    }
    let until = until(request.until.as_deref(), now)?;
    let taken = Taken {
        workflows,
        decision,
        before: row.state,
        state,
        until,
        request,
        now,
    };
    match row.kind {
        TaskKind::Rework => taken.rework(tx, row),
        TaskKind::Approval => taken.approval(tx, row),
    }
}

fn refused(no: i64, why: DecisionError) -> Error {
    Error::Conflict(match why {
        DecisionError::AlreadyDecided(state) => format!("task {no} is {} already", state.as_str()),
        DecisionError::AlreadyRejected => {
            format!("task {no} is rejected already; it waits for a new delivery")
        }
        DecisionError::NotApproved => {
            format!(
                "task {no} is about a delivery that failed: waive what was found, or wait for a new one"
            )
        }
    })
}

/// A decision that the state of the task allows.
struct Taken<'a> {
    workflows: &'a Workflows,
    decision: Decision,
    before: TaskState,
    state: TaskState,
    until: Option<Timestamp>,
    request: &'a TaskRequest,
    now: Timestamp,
}

impl Taken<'_> {
    fn rework(&self, tx: &mut dyn Tx, row: TaskRow) -> Answer<DecisionOutcome> {
        let (mut standing, mut units) = (row.checks.clone(), Vec::new());
        if self.decision == Decision::Waive {
            let checks = self.checks(&row)?;
            let before: Vec<String> = Waivers::default()
                .about(tx, &row.checks, &judged_content(&row), self.now)?
                .into_iter()
                .filter(|w| w.holds)
                .map(|w| w.check)
                .collect();
            standing.retain(|check| !checks.contains(check) && !before.contains(check));
            if !self.request.audit.dry_run {
                for check in &checks {
                    tx.put_waiver(&self.waiver(&row, check))?;
                }
            }
            if standing.is_empty() {
                units = self.waiting(tx, &row)?;
            }
        }
        // While a check still blocks the asset, the task keeps its state.
        let ends = self.decision != Decision::Waive || standing.is_empty();
        let state = if ends { self.state } else { row.state };
        let ended_at = (!state.is_pending(row.kind)).then_some(self.now);
        let row = TaskRow {
            state,
            ended_at,
            ..row
        };
        let mut answer = self.answer(&row, standing, units.len() as u64);
        if self.request.audit.dry_run {
            return Ok(answer);
        }
        answer.operation = Some(self.put(tx, &row)?);
        answer.units = self.go_on(tx, units)?;
        Ok(answer)
    }

    /// The checks to waive: a named one must block the asset.
    fn checks(&self, row: &TaskRow) -> Answer<Vec<String>> {
        if let Some(wrong) = self
            .request
            .checks
            .iter()
            .find(|check| !row.checks.contains(check))
        {
            let known: Vec<&str> = row.checks.iter().map(String::as_str).collect();
            let hint = protocol::yaml::suggest(wrong, &known);
            return Err(Error::Invalid(
                format!(
                    "check {wrong:?} does not stand in the way of task {}",
                    row.no
                ),
                hint,
            ));
        }
        if row.checks.is_empty() {
            let message = format!(
                "task {} has no check to waive: the file cannot be judged at all",
                row.no
            );
            return Err(Error::Conflict(message));
        }
        // A waiver that cannot be as narrow as it was asked for must not become a wider one.
        let wider = match self.request.reach {
            WaiverScope::Delivery if row.hash.is_empty() => {
                Some("its bytes could not be read: --reach asset means any delivery")
            }
            WaiverScope::Title if row.title.is_empty() => {
                Some("its asset has no title: --reach asset")
            }
            _ => None,
        };
        if let Some(why) = wider {
            return Err(Error::Conflict(format!("task {}: {why}", row.no)));
        }
        Ok(if self.request.checks.is_empty() {
            row.checks.clone()
        } else {
            self.request.checks.clone()
        })
    }

    fn waiver(&self, row: &TaskRow, check: &str) -> WaiverRow {
        let (reach, audit) = (self.request.reach, &self.request.audit);
        let of = |wanted: bool, value: &str| wanted.then(|| value.to_owned());
        let scope = Scope {
            cause: None,
            check: Some(check.to_owned()),
            asset: of(
                matches!(reach, WaiverScope::Delivery | WaiverScope::Asset),
                &row.asset,
            ),
            title: of(reach == WaiverScope::Title, &row.title),
            policy: Some(row.policy.clone()),
            hash: of(
                reach == WaiverScope::Delivery && !row.hash.is_empty(),
                &row.hash,
            ),
        };
        WaiverRow {
            scope,
            at: self.now,
            actor: audit.actor.clone(),
            reason: audit.reason.clone(),
            until: self.until,
        }
    }

    /// Dead units that wait for a task, with their failures.
    fn waiting(&self, tx: &mut dyn Tx, row: &TaskRow) -> StoreResult<Vec<Unsuccessful>> {
        let mut waiting = Vec::new();
        for unit in tx.task_units(row.no)? {
            // A job that cannot be read keeps its units as they are.
            let Some((job, _)) = self.workflows.job(tx, unit.job)? else {
                continue;
            };
            let over = matches!(
                job.state,
                JobState::Cancelled | JobState::Cancelling | JobState::Failed
            );
            let found = unit_row(tx, unit)?;
            if over || found.is_none_or(|found| found.state != UnitState::Dead) {
                continue;
            }
            let failures = tx.failures_of(unit)?;
            if failures.iter().any(|(asset, _)| *asset == row.asset) {
                waiting.push((unit, failures));
            }
        }
        Ok(waiting)
    }

    /// Redrives the units: their bytes are read and compared, judged from cached facts, and pass by the waiver.
    fn go_on(&self, tx: &mut dyn Tx, units: Vec<Unsuccessful>) -> StoreResult<u64> {
        let mut done = 0;
        for (unit, failures) in units {
            let Some((mut job, workflow)) = self.workflows.job(tx, unit.job)? else {
                continue;
            };
            done += approvals::redrive(
                tx,
                &workflow,
                &mut job,
                &[(unit, failures)],
                RedriveScope::Unit,
                self.now,
            )?;
        }
        Ok(done)
    }

    fn approval(&self, tx: &mut dyn Tx, row: TaskRow) -> Answer<DecisionOutcome> {
        let unit = row.unit;
        let job = tx.job(unit.job)?;
        let found = unit_row(tx, unit)?;
        let waits = found.filter(|found| found.state == UnitState::Ready);
        let (Some(job), Some(found)) = (job, waits) else {
            let message = format!("nothing waits for task {} any more", row.no);
            return Err(Error::Conflict(message));
        };
        if !matches!(job.state, JobState::Running | JobState::Paused) {
            let message = format!(
                "job {} is {}: only units of running and paused jobs can continue",
                job.id,
                job.state.as_str()
            );
            return Err(Error::Conflict(message));
        }
        let row = TaskRow {
            state: self.state,
            ended_at: Some(self.now),
            ..row
        };
        let mut answer = self.answer(
            &row,
            Vec::new(),
            u64::from(self.state != TaskState::Rejected),
        );
        if self.request.audit.dry_run {
            return Ok(answer);
        }
        answer.operation = Some(self.put(tx, &row)?);
        self.end_unit(tx, &job, &row, found)?;
        Ok(answer)
    }

    fn end_unit(
        &self,
        tx: &mut dyn Tx,
        job: &JobRow,
        row: &TaskRow,
        found: UnitRow,
    ) -> StoreResult<()> {
        let workflow = self.workflows.of(tx, job.no)?;
        let state = if self.state == TaskState::Rejected {
            UnitState::Dead
        } else {
            UnitState::Succeeded
        };
        if state == UnitState::Dead {
            let audit = &self.request.audit;
            let message = format!(
                "{} as {} by {}: {}",
                self.state.as_str(),
                row.policy,
                audit.actor,
                audit.reason
            );
            let failures = [(row.asset.clone(), Failure::permanent("rejected", message))];
            tx.put_failures(row.unit, &failures)?;
            tx.add_to_causes(&causes::changes(row.unit, &failures, 1, self.now))?;
        }
        let to = UnitRow { state, ..found };
        let change = Change {
            part: row.unit.part,
            from: Some(found.state),
            to,
            executed_us: None,
        };
        let sealed = job.phase == Phase::Sealed;
        approvals::apply(
            &mut Graph::new(tx, job.no, &workflow, sealed, self.now),
            row.unit.step,
            &[change],
        )
    }

    fn put(&self, tx: &mut dyn Tx, row: &TaskRow) -> StoreResult<i64> {
        let audit = &self.request.audit;
        tx.update_task(row)?;
        if row.ended_at.is_some() {
            tx.put_task_pictures(row.no, None)?;
        }
        note(
            tx,
            row,
            (&audit.actor, self.decision.as_str(), &audit.reason),
            self.now,
        )?;
        let action = format!("{} task {}", self.decision.as_str(), row.no);
        record(tx, audit, &action, Some(row.unit.job), 1, self.now)
    }

    fn answer(&self, row: &TaskRow, standing: Vec<String>, units: u64) -> DecisionOutcome {
        let state = row.state.as_str().to_owned();
        let before = self.before.as_str().to_owned();
        DecisionOutcome {
            task: row.no,
            changes: field_changes([("state", before, state.clone())]),
            state,
            standing,
            units,
            operation: None,
            dry_run: self.request.audit.dry_run,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::AuditContext;
    use crate::store::TaskTx;
    use crate::store::memory::Memory;
    use protocol::id::{JobNo, StepNo};

    fn row(hash: &str, title: &str) -> TaskRow {
        TaskRow {
            no: 0,
            kind: TaskKind::Rework,
            state: TaskState::Open,
            subject: format!("{hash} {title}"),
            unit: UnitId::new(JobNo(1), StepNo(0), 1),
            asset: "a".into(),
            title: title.into(),
            supplier: None,
            policy: "hd".into(),
            digest: "d".into(),
            hash: hash.into(),
            checks: vec!["black".into(), "freeze".into()],
            findings: None,
            message: "it is black".into(),
            round: 1,
            opened_at: Timestamp(0),
            due_at: None,
            ended_at: None,
        }
    }

    fn waive(
        tx: &mut Memory,
        no: i64,
        reach: WaiverScope,
        checks: &[&str],
    ) -> Answer<DecisionOutcome> {
        let audit = AuditContext {
            actor: "ada".into(),
            reason: "titles".into(),
            dry_run: false,
        };
        let checks = checks.iter().map(|check| (*check).to_owned()).collect();
        let request = TaskRequest {
            checks,
            reach,
            until: None,
            audit,
        };
        decide_task(
            tx,
            &Workflows::default(),
            no,
            Decision::Waive,
            &request,
            Timestamp(5),
        )
    }

    #[test]
    fn a_waiver_is_never_wider_than_it_was_asked_for() {
        let mut tx = Memory::default();
        let unread = tx.insert_task(&row("", "t")).expect("inserts");
        assert!(matches!(
            waive(&mut tx, unread, WaiverScope::Delivery, &[]),
            Err(Error::Conflict(_))
        ));
        let untitled = tx.insert_task(&row("xxh128:1", "")).expect("inserts");
        assert!(matches!(
            waive(&mut tx, untitled, WaiverScope::Title, &[]),
            Err(Error::Conflict(_))
        ));
        assert_eq!(
            crate::store::CauseTx::waivers(&mut tx, 9).expect("reads"),
            []
        );
        assert!(waive(&mut tx, unread, WaiverScope::Asset, &[]).is_ok());
    }

    #[test]
    fn a_task_stays_open_until_everything_in_the_way_is_waived() {
        let mut tx = Memory::default();
        let no = tx.insert_task(&row("xxh128:1", "t")).expect("inserts");
        let first = waive(&mut tx, no, WaiverScope::Delivery, &["black"]).expect("possible");
        assert_eq!(
            (first.state.as_str(), first.standing),
            ("open", vec!["freeze".to_owned()])
        );
        let second = waive(&mut tx, no, WaiverScope::Delivery, &["freeze"]).expect("possible");
        assert_eq!((second.state.as_str(), second.standing), ("waived", vec![]));
        let waivers = crate::store::CauseTx::waivers(&mut tx, 9).expect("reads");
        assert!(
            waivers
                .iter()
                .all(|row| row.scope.hash.as_deref() == Some("xxh128:1")
                    && row.scope.asset.is_some())
        );
        assert_eq!(waivers.len(), 2);
    }
}
