//! Tasks in memory.
use super::{TaskEventRow, TaskFilter, TaskRow, TaskTx};
use crate::error::{StoreError, StoreResult};
use crate::memory::Memory;
use protocol::id::UnitId;
use protocol::rules::review::task::{TaskKind, TaskState};
use protocol::time::Timestamp;

impl TaskTx for Memory {
    fn insert_task(&mut self, task: &TaskRow) -> StoreResult<i64> {
        let rival = |row: &TaskRow| {
            row.ended_at.is_none()
                && task.ended_at.is_none()
                && row.kind == task.kind
                && row.subject == task.subject
        };
        if self.task.tasks.values().any(rival) {
            return Err(StoreError::Database(format!(
                "a task about {:?} is pending",
                task.subject
            )));
        }
        let no = self.task.tasks.keys().last().map_or(1, |last| last + 1);
        self.task.tasks.insert(no, TaskRow { no, ..task.clone() });
        Ok(no)
    }

    fn open_tasks(&mut self, tasks: &[TaskRow]) -> StoreResult<Vec<i64>> {
        let mut numbers = Vec::with_capacity(tasks.len());
        for task in tasks {
            let no = self.insert_task(task)?;
            self.add_task_unit(no, task.unit)?;
            numbers.push(no);
        }
        Ok(numbers)
    }

    fn end_tasks(
        &mut self,
        tasks: &[TaskRow],
        state: TaskState,
        now: Timestamp,
    ) -> StoreResult<()> {
        tasks.iter().try_for_each(|task| {
            self.update_task(&TaskRow {
                state,
                ended_at: Some(now),
                ..task.clone()
            })
        })
    }

    fn insert_task_events(&mut self, events: &[TaskEventRow]) -> StoreResult<()> {
        events
            .iter()
            .try_for_each(|event| self.insert_task_event(event))
    }

    fn task(&mut self, no: i64) -> StoreResult<Option<TaskRow>> {
        Ok(self.task.tasks.get(&no).cloned())
    }

    fn update_task(&mut self, task: &TaskRow) -> StoreResult<()> {
        let row = self.task.tasks.get_mut(&task.no);
        *row.ok_or_else(|| StoreError::Corrupt(format!("no task {}", task.no)))? = task.clone();
        Ok(())
    }

    fn pending_tasks(&mut self, kind: TaskKind, subjects: &[String]) -> StoreResult<Vec<TaskRow>> {
        let pending = self
            .task
            .tasks
            .values()
            .filter(|row| row.kind == kind && row.ended_at.is_none());
        Ok(pending
            .filter(|row| subjects.contains(&row.subject))
            .cloned()
            .collect())
    }

    fn tasks(&mut self, filter: &TaskFilter) -> StoreResult<Vec<TaskRow>> {
        let fits = |row: &&TaskRow| {
            row.no > filter.after
                && (!filter.pending || row.ended_at.is_none())
                && filter.kind.is_none_or(|kind| row.kind == kind)
                && filter.state.is_none_or(|state| row.state == state)
                && filter.job.is_none_or(|job| {
                    self.task
                        .units
                        .iter()
                        .any(|(no, unit)| *no == row.no && unit.job == job)
                })
                && filter
                    .asset
                    .as_ref()
                    .is_none_or(|asset| row.asset == *asset)
                && filter
                    .title
                    .as_ref()
                    .is_none_or(|title| row.title == *title)
        };
        Ok(self
            .task
            .tasks
            .values()
            .filter(fits)
            .take(filter.limit as usize)
            .cloned()
            .collect())
    }

    fn task_counts(&mut self, now: Timestamp) -> StoreResult<Vec<(TaskKind, u64, u64)>> {
        let pending = || {
            self.task
                .tasks
                .values()
                .filter(|row| row.ended_at.is_none())
        };
        let count = |kind| {
            let of_kind = || pending().filter(move |row| row.kind == kind);
            let overdue = of_kind()
                .filter(|row| row.due_at.is_some_and(|due| due <= now))
                .count();
            (kind, of_kind().count() as u64, overdue as u64)
        };
        Ok(TaskKind::ALL
            .map(count)
            .into_iter()
            .filter(|(_, pending, _)| *pending > 0)
            .collect())
    }

    fn add_task_unit(&mut self, task: i64, unit: UnitId) -> StoreResult<()> {
        self.task.units.insert((task, unit));
        Ok(())
    }

    fn task_units(&mut self, task: i64) -> StoreResult<Vec<UnitId>> {
        Ok(self
            .task
            .units
            .iter()
            .filter(|(no, _)| *no == task)
            .map(|(_, unit)| *unit)
            .collect())
    }

    fn waiting_units(&mut self, units: &[UnitId]) -> StoreResult<Vec<(UnitId, i64)>> {
        let pending = |no: &i64| {
            self.task
                .tasks
                .get(no)
                .is_some_and(|task| task.ended_at.is_none())
        };
        let waiting = self
            .task
            .units
            .iter()
            .filter(|(no, unit)| units.contains(unit) && pending(no));
        let mut found: Vec<(UnitId, i64)> = waiting.map(|(no, unit)| (*unit, *no)).collect();
        found.sort_unstable();
        Ok(found)
    }

    fn insert_task_event(&mut self, event: &TaskEventRow) -> StoreResult<()> {
        self.task
            .events
            .entry(event.task)
            .or_default()
            .push(event.clone());
        Ok(())
    }

    fn put_task_pictures(&mut self, task: i64, pictures: Option<&str>) -> StoreResult<()> {
        match pictures {
            Some(pictures) => self.task.pictures.insert(task, pictures.to_owned()),
            None => self.task.pictures.remove(&task),
        };
        Ok(())
    }

    fn insert_task_pictures(&mut self, pictures: &[(i64, &str)]) -> StoreResult<()> {
        self.task.pictures.extend(
            pictures
                .iter()
                .map(|(task, pictures)| (*task, (*pictures).to_owned())),
        );
        Ok(())
    }

    fn task_pictures(&mut self, task: i64) -> StoreResult<Option<String>> {
        Ok(self.task.pictures.get(&task).cloned())
    }

    fn task_events(&mut self, task: i64) -> StoreResult<Vec<TaskEventRow>> {
        Ok(self.task.events.get(&task).cloned().unwrap_or_default())
    }
}
