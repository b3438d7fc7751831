//! Opens, renews and closes rework tasks as units are settled, and redelivers the new bytes of an asset to other jobs that
//! wait for it.
use crate::review::history::{COORDINATOR, event, note};
use crate::review::redelivery::redeliver;
use crate::review::verdicts::Judged;
use crate::store::{AssetCorrection, JobRow, SheetRow, StoreResult, TaskRow, Tx, VerdictRow};
use crate::workflows::Workflows;
use protocol::id::{JobNo, PartNo, StepNo, UnitId};
use protocol::media::asset::Asset;
use protocol::rules::review::task::{
    Judgement as Look, PendingRework, Rework, TaskKind, TaskState, rework, round_after,
};
use protocol::time::Timestamp;
use protocol::workflow::Step;
use protocol::workflow::on_failure::OnFailure;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Column of a library that names the supplier of an asset.
const SUPPLIER: &str = "supplier";

/// The supplier that the library names for an asset.
pub fn supplier_of(asset: &Asset) -> Option<String> {
    asset.declared.as_ref()?.meta.get(SUPPLIER).cloned()
}

/// A judged asset and the outcome for it.
pub struct Settled {
    /// The judged asset.
    pub judged: Judged,
    /// The partition it was in.
    pub part: PartNo,
    /// The partition in which it is dead, when it is.
    pub dead: Option<PartNo>,
    /// Whether a waiver lets it pass.
    pub waived: bool,
}

/// Units of one step that were judged, in the transaction that settles them.
pub struct Recorder<'a> {
    /// The transaction that settles the units.
    pub tx: &'a mut dyn Tx,
    /// Workflows of jobs.
    pub workflows: &'a Workflows,
    /// The job that the units belong to.
    pub job: &'a JobRow,
    /// The step's number.
    pub no: StepNo,
    /// The QC step that judged them.
    pub step: &'a Step,
    /// Time of the settlement, recorded in tasks and events.
    pub now: Timestamp,
}

/// Tasks that are about to be opened, each with its pictures.
type Opening = Vec<(TaskRow, Option<String>)>;

impl Recorder<'_> {
    /// Stores fact sheets and verdicts, and updates the tasks.
    pub fn record(&mut self, settled: &[Settled]) -> StoreResult<()> {
        self.keep(settled)?;
        let subjects: Vec<String> = settled.iter().map(|s| s.judged.subject()).collect();
        let pending = self.tx.pending_tasks(TaskKind::Rework, &subjects)?;
        let mut pending: HashMap<String, TaskRow> = pending
            .into_iter()
            .map(|t| (t.subject.clone(), t))
            .collect();
        let assets = self.assets(settled, &pending)?;
        let (mut opening, mut subjects_opening) = (Opening::new(), HashSet::new());
        for one in settled {
            let subject = one.judged.subject();
            if subjects_opening.contains(&subject) {
                subjects_opening.clear();
                pending.extend(self.open(std::mem::take(&mut opening))?);
            }
            let (known, before) = (pending.remove(&subject), opening.len());
            let left =
                self.apply_judgement(one, known, assets.get(&one.judged.asset), &mut opening)?;
            pending.extend(left.map(|task| (task.subject.clone(), task)));
            if opening.len() > before {
                subjects_opening.insert(subject);
            }
        }
        self.open(opening).map(drop)
    }

    /// Opens tasks with a few statements for all; returns them by subject.
    fn open(&mut self, opening: Opening) -> StoreResult<HashMap<String, TaskRow>> {
        let (mut tasks, pictures): (Vec<TaskRow>, Vec<Option<String>>) =
            opening.into_iter().unzip();
        let numbers = self.tx.open_tasks(&tasks)?;
        for (task, no) in tasks.iter_mut().zip(numbers) {
            task.no = no;
        }
        let shown = tasks
            .iter()
            .zip(&pictures)
            .filter_map(|(task, pictures)| Some((task.no, pictures.as_deref()?)));
        self.tx.insert_task_pictures(&shown.collect::<Vec<_>>())?;
        let opened = |task: &TaskRow| event(task, (COORDINATOR, "opened", &task.message), self.now);
        self.tx
            .insert_task_events(&tasks.iter().map(opened).collect::<Vec<_>>())?;
        Ok(tasks
            .into_iter()
            .map(|task| (task.subject.clone(), task))
            .collect())
    }

    fn keep(&mut self, settled: &[Settled]) -> StoreResult<()> {
        let of_bytes = settled.iter().filter(|s| !s.judged.hash.is_empty());
        let sheet = |s: &Settled| {
            let (hash, sheet) = (s.judged.hash.clone(), s.judged.sheet.clone()?);
            Some(SheetRow {
                hash,
                sheet,
                measured_at: self.now,
            })
        };
        let sheets: Vec<SheetRow> = of_bytes.clone().filter_map(sheet).collect();
        let verdicts: Vec<VerdictRow> = of_bytes
            .map(|s| VerdictRow {
                hash: s.judged.hash.clone(),
                digest: s.judged.digest.clone(),
                asset: s.judged.asset.clone(),
                policy: s.judged.policy.clone(),
                verdict: s.judged.verdict,
                report: s.judged.report.clone(),
                job: self.job.no,
                judged_at: self.now,
            })
            .collect();
        self.tx.put_sheets(&sheets)?;
        self.tx.put_verdicts(&verdicts)
    }

    /// The assets of tasks that open or close: few, where most assets pass.
    fn assets(
        &mut self,
        settled: &[Settled],
        pending: &HashMap<String, TaskRow>,
    ) -> StoreResult<HashMap<String, Asset>> {
        let concerned =
            |s: &&Settled| s.dead.is_some() || pending.contains_key(&s.judged.subject());
        let mut parts: Vec<PartNo> = settled
            .iter()
            .filter(concerned)
            .map(|s| s.dead.unwrap_or(s.part))
            .collect();
        parts.sort_unstable();
        parts.dedup();
        if parts.is_empty() {
            return Ok(HashMap::new());
        }
        let partitions = self.tx.partitions(self.job.no, &parts)?;
        let members = self.tx.members(self.job.no, &partitions)?;
        Ok(members
            .into_iter()
            .flatten()
            .map(|asset| (asset.id.clone(), asset))
            .collect())
    }

    /// Updates the task of one judgement. Returns the task when it is pending afterwards and not among those `opening`.
    fn apply_judgement(
        &mut self,
        one: &Settled,
        known: Option<TaskRow>,
        asset: Option<&Asset>,
        opening: &mut Opening,
    ) -> StoreResult<Option<TaskRow>> {
        let passes = one.waived || one.judged.failure.is_none();
        if !passes && one.dead.is_none() {
            // The unit is retried: its outcome is open.
            return Ok(known);
        }
        let pending = known.as_ref().map(|task| PendingRework {
            hash: &task.hash,
            round: task.round,
        });
        let asks = self.step.on_failure == OnFailure::Task;
        let what = rework(
            pending,
            Look {
                hash: &one.judged.hash,
                passes,
                asks,
            },
        );
        let round = round_after(pending, what);
        match (what, known) {
            (Rework::Nothing, known) => Ok(known),
            (Rework::Open, _) => {
                opening.push((self.opened(one, asset), one.judged.pictures.clone()));
                Ok(None)
            }
            (Rework::Renew | Rework::NextRound, Some(task)) => {
                let event = if what == Rework::NextRound {
                    "redelivered"
                } else {
                    "renewed"
                };
                // A decision was about the old bytes.
                let state = if what == Rework::NextRound {
                    TaskState::Open
                } else {
                    task.state
                };
                let task = TaskRow {
                    round,
                    state,
                    ..self.about(one, asset, task)
                };
                self.tx.update_task(&task)?;
                if what == Rework::NextRound || one.judged.pictures.is_some() {
                    self.show(one, &task)?;
                }
                self.wait(&task, event, &task.message)?;
                Ok(Some(task))
            }
            (Rework::Close { redelivered }, Some(task)) => {
                self.close(one, asset, TaskRow { round, ..task }, redelivered)?;
                Ok(None)
            }
            (_, None) => Ok(None),
        }
    }

    fn opened(&self, one: &Settled, asset: Option<&Asset>) -> TaskRow {
        let due = self
            .step
            .due_us
            .map(|us| Timestamp(self.now.0.saturating_add(us)));
        let blank = TaskRow {
            no: 0,
            kind: TaskKind::Rework,
            state: TaskState::Open,
            subject: one.judged.subject(),
            unit: UnitId::new(self.job.no, self.no, one.part),
            asset: one.judged.asset.clone(),
            title: String::new(),
            supplier: None,
            policy: String::new(),
            digest: String::new(),
            hash: String::new(),
            checks: Vec::new(),
            findings: None,
            message: String::new(),
            round: 1,
            opened_at: self.now,
            due_at: due.or(self.job.deadline),
            ended_at: None,
        };
        self.about(one, asset, blank)
    }

    /// The task with the current findings.
    fn about(&self, one: &Settled, asset: Option<&Asset>, task: TaskRow) -> TaskRow {
        let failure = one.judged.failure.as_ref();
        let supplier = asset.and_then(supplier_of);
        TaskRow {
            unit: UnitId::new(self.job.no, self.no, one.dead.unwrap_or(one.part)),
            title: asset.map_or_else(|| task.title.clone(), |a| a.title.clone()),
            supplier: supplier
                .filter(|name| !name.trim().is_empty())
                .or_else(|| task.supplier.clone()),
            policy: one.judged.policy.clone(),
            digest: one.judged.digest.clone(),
            hash: if one.judged.hash.is_empty() {
                task.hash.clone()
            } else {
                one.judged.hash.clone()
            },
            checks: one.judged.checks().to_vec(),
            findings: failure.and_then(|failure| failure.findings.clone()),
            message: failure.map_or_else(String::new, |failure| failure.message.clone()),
            ..task
        }
    }

    /// Replaces the pictures by those of the current bytes.
    fn show(&mut self, one: &Settled, task: &TaskRow) -> StoreResult<()> {
        self.tx
            .put_task_pictures(task.no, one.judged.pictures.as_deref())
    }

    fn wait(&mut self, task: &TaskRow, event: &str, reason: &str) -> StoreResult<()> {
        self.tx.add_task_unit(task.no, task.unit)?;
        note(self.tx, task, (COORDINATOR, event, reason), self.now)
    }

    fn close(
        &mut self,
        one: &Settled,
        asset: Option<&Asset>,
        task: TaskRow,
        redelivered: bool,
    ) -> StoreResult<()> {
        let reason = match (one.waived, redelivered) {
            (true, _) => "the failed checks are waived",
            (false, true) => "the new delivery passes",
            (false, false) => "the same bytes pass now",
        };
        let hash = if one.judged.hash.is_empty() {
            task.hash.clone()
        } else {
            one.judged.hash.clone()
        };
        let state = if one.waived {
            TaskState::Waived
        } else {
            TaskState::Closed
        };
        let task = TaskRow {
            state,
            hash,
            digest: one.judged.digest.clone(),
            ended_at: Some(self.now),
            ..task
        };
        self.tx.update_task(&task)?;
        self.tx.put_task_pictures(task.no, None)?;
        note(self.tx, &task, (COORDINATOR, "closed", reason), self.now)?;
        if let Some(asset) = asset.filter(|_| redelivered) {
            let correction = AssetCorrection {
                asset: asset.id.clone(),
                location: Some(asset.location.clone()),
                hash: Some(task.hash.clone()),
                bytes: one.judged.bytes,
            };
            self.supersede(&task, &correction)?;
        }
        Ok(())
    }

    /// Redelivers the new bytes to units of other jobs that wait for the same asset.
    fn supersede(&mut self, task: &TaskRow, correction: &AssetCorrection) -> StoreResult<()> {
        let mut by_job: BTreeMap<JobNo, Vec<UnitId>> = BTreeMap::new();
        for unit in self
            .tx
            .task_units(task.no)?
            .into_iter()
            .filter(|unit| unit.job != self.job.no)
        {
            by_job.entry(unit.job).or_default().push(unit);
        }
        for (job, units) in by_job {
            let by = format!("task {}: delivered anew with job {}", task.no, self.job.id);
            redeliver(
                self.tx,
                self.workflows,
                job,
                &units,
                correction,
                &by,
                self.now,
            )?;
        }
        Ok(())
    }
}
