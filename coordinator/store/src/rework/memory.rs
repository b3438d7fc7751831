//! The same in memory.
use super::super::memory::Memory;
use super::super::{CatalogueTx, StoreError};
use super::*;
use std::collections::{BTreeMap, BTreeSet};

/// Tables of this part.
#[derive(Debug, Clone, Default)]
pub struct Reworked {
    sheets: BTreeMap<String, SheetRow>,
    verdicts: BTreeMap<(String, String, String), VerdictRow>,
    tasks: BTreeMap<i64, TaskRow>,
    events: BTreeMap<i64, Vec<TaskEventRow>>,
    units: BTreeSet<(i64, UnitId)>,
    pictures: BTreeMap<i64, String>,
}

impl Reworked {
    /// Whether a unit of this job waits for a person.
    pub(crate) fn has_pending(&self, job: JobNo) -> bool {
        let pending = |task: &i64| self.tasks.get(task).is_some_and(|row| row.ended_at.is_none());
        self.units.iter().any(|(task, unit)| unit.job == job && pending(task))
    }
}

impl SheetTx for Memory {
    fn put_sheets(&mut self, rows: &[SheetRow]) -> StoreResult<()> {
        self.rework.sheets.extend(rows.iter().map(|row| (row.hash.clone(), row.clone())));
        Ok(())
    }

    fn sheets(&mut self, hashes: &[String]) -> StoreResult<Vec<SheetRow>> {
        let asked: BTreeSet<&String> = hashes.iter().collect();
        Ok(asked.into_iter().filter_map(|hash| self.rework.sheets.get(hash)).cloned().collect())
    }

    fn believed(&mut self, assets: &[String]) -> StoreResult<Vec<(String, String)>> {
        let mut found = BTreeSet::new();
        for asset in assets {
            let declared = self.catalogue_entry(asset)?.and_then(|entry| entry.fact.hash);
            let judged = self.verdicts(asset, 1)?.pop().map(|row| row.hash);
            found.extend(declared.into_iter().chain(judged).map(|hash| (asset.clone(), hash)));
        }
        Ok(found.into_iter().collect())
    }

    fn put_verdicts(&mut self, rows: &[VerdictRow]) -> StoreResult<()> {
        for row in rows {
            let key = (row.hash.clone(), row.digest.clone(), row.asset.clone());
            self.rework.verdicts.insert(key, row.clone());
        }
        Ok(())
    }

    fn verdicts(&mut self, asset: &str, limit: u32) -> StoreResult<Vec<VerdictRow>> {
        let mut rows: Vec<VerdictRow> =
            self.rework.verdicts.values().filter(|row| row.asset == asset).cloned().collect();
        rows.sort_by(|a, b| (b.judged_at, &a.hash, &a.digest).cmp(&(a.judged_at, &b.hash, &b.digest)));
        rows.truncate(limit as usize);
        Ok(rows)
    }
}

impl TaskTx for Memory {
    fn insert_task(&mut self, task: &TaskRow) -> StoreResult<i64> {
        let rival = |row: &TaskRow| {
            row.ended_at.is_none() && task.ended_at.is_none() && row.kind == task.kind && row.subject == task.subject
        };
        if self.rework.tasks.values().any(rival) {
            return Err(StoreError::Database(format!("a task about {:?} is pending", task.subject)));
        }
        let no = self.rework.tasks.keys().last().map_or(1, |last| last + 1);
        self.rework.tasks.insert(no, TaskRow { no, ..task.clone() });
        Ok(no)
    }

    fn task(&mut self, no: i64) -> StoreResult<Option<TaskRow>> {
        Ok(self.rework.tasks.get(&no).cloned())
    }

    fn update_task(&mut self, task: &TaskRow) -> StoreResult<()> {
        let row = self.rework.tasks.get_mut(&task.no);
        *row.ok_or_else(|| StoreError::Corrupt(format!("no task {}", task.no)))? = task.clone();
        Ok(())
    }

    fn pending_tasks(&mut self, kind: TaskKind, subjects: &[String]) -> StoreResult<Vec<TaskRow>> {
        let pending = self.rework.tasks.values().filter(|row| row.kind == kind && row.ended_at.is_none());
        Ok(pending.filter(|row| subjects.contains(&row.subject)).cloned().collect())
    }

    fn tasks(&mut self, filter: &TaskFilter) -> StoreResult<Vec<TaskRow>> {
        let fits = |row: &&TaskRow| {
            row.no > filter.after
                && (!filter.pending || row.ended_at.is_none())
                && filter.kind.is_none_or(|kind| row.kind == kind)
                && filter.state.is_none_or(|state| row.state == state)
                && filter
                    .job
                    .is_none_or(|job| self.rework.units.iter().any(|(no, unit)| *no == row.no && unit.job == job))
                && filter.asset.as_ref().is_none_or(|asset| row.asset == *asset)
                && filter.title.as_ref().is_none_or(|title| row.title == *title)
        };
        Ok(self.rework.tasks.values().filter(fits).take(filter.limit as usize).cloned().collect())
    }

    fn task_counts(&mut self, now: Timestamp) -> StoreResult<Vec<(TaskKind, u64, u64)>> {
        let pending = || self.rework.tasks.values().filter(|row| row.ended_at.is_none());
        let count = |kind| {
            let of_kind = || pending().filter(move |row| row.kind == kind);
            let overdue = of_kind().filter(|row| row.due_at.is_some_and(|due| due <= now)).count();
            (kind, of_kind().count() as u64, overdue as u64)
        };
        Ok(TaskKind::ALL.map(count).into_iter().filter(|(_, pending, _)| *pending > 0).collect())
    }

    fn add_task_unit(&mut self, task: i64, unit: UnitId) -> StoreResult<()> {
        self.rework.units.insert((task, unit));
        Ok(())
    }

    fn task_units(&mut self, task: i64) -> StoreResult<Vec<UnitId>> {
        Ok(self.rework.units.iter().filter(|(no, _)| *no == task).map(|(_, unit)| *unit).collect())
    }

    fn waiting_units(&mut self, job: JobNo, limit: u32) -> StoreResult<Vec<(UnitId, i64)>> {
        let pending = |no: &i64| self.rework.tasks.get(no).is_some_and(|task| task.ended_at.is_none());
        let of_job = self.rework.units.iter().filter(|(no, unit)| unit.job == job && pending(no));
        let mut units: Vec<(UnitId, i64)> = of_job.map(|(no, unit)| (*unit, *no)).collect();
        units.sort_unstable();
        units.truncate(limit as usize);
        Ok(units)
    }

    fn insert_task_event(&mut self, event: &TaskEventRow) -> StoreResult<()> {
        self.rework.events.entry(event.task).or_default().push(event.clone());
        Ok(())
    }

    fn put_task_pictures(&mut self, task: i64, pictures: Option<&str>) -> StoreResult<()> {
        match pictures {
            Some(pictures) => self.rework.pictures.insert(task, pictures.to_owned()),
            None => self.rework.pictures.remove(&task),
        };
        Ok(())
    }

    fn task_pictures(&mut self, task: i64) -> StoreResult<Option<String>> {
        Ok(self.rework.pictures.get(&task).cloned())
    }

    fn task_events(&mut self, task: i64) -> StoreResult<Vec<TaskEventRow>> {
        Ok(self.rework.events.get(&task).cloned().unwrap_or_default())
    }
}
