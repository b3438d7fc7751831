//! Lists of tasks by what a filter asks for.
use super::dialect::Dialect;
use super::row::{COLUMNS, read_task};
use super::{TaskFilter, TaskRow};
use crate::error::StoreResult;
use crate::sql::{Filter, Sql, values};
use protocol::id::JobNo;
use protocol::rules::review::task::{TaskKind, TaskState};

/// The first tasks that a filter asks for, by number.
pub(super) fn tasks(tx: &mut impl Dialect, filter: &TaskFilter) -> StoreResult<Vec<TaskRow>> {
    let mut found = match (&filter.asset, &filter.title, filter.job) {
        (Some(asset), ..) => about_asset(tx, filter, asset)?,
        (None, Some(title), _) => by_state(tx, filter, |tx, state, kind| {
            of_title(tx, filter, title, state, kind)
        })?,
        (None, None, Some(job)) => by_state(tx, filter, |tx, state, kind| {
            of_job(tx, filter, job, state, kind)
        })?,
        (None, None, None) if filter.pending || filter.kind.is_some() || filter.state.is_some() => {
            by_state(tx, filter, |tx, state, kind| {
                in_state(tx, filter, state, kind)
            })?
        }
        (None, None, None) => {
            let sql = format!("SELECT {COLUMNS} FROM task WHERE no > ?1 ORDER BY no LIMIT ?2");
            tx.query(&sql, &values![filter.after, filter.limit], read_task)?
        }
    };
    found.sort_unstable_by_key(|task| task.no);
    found.truncate(filter.limit as usize);
    Ok(found)
}

/// The first tasks of each state and kind that a filter asks for: each of these lists is a range of a key, however few
/// tasks it has.
fn by_state<T: Dialect>(
    tx: &mut T,
    filter: &TaskFilter,
    mut list: impl FnMut(&mut T, TaskState, TaskKind) -> StoreResult<Vec<TaskRow>>,
) -> StoreResult<Vec<TaskRow>> {
    let mut found = Vec::new();
    for kind in TaskKind::ALL
        .into_iter()
        .filter(|kind| filter.kind.is_none_or(|wanted| wanted == *kind))
    {
        let states = TaskState::ALL
            .into_iter()
            .filter(|state| filter.state.is_none_or(|wanted| wanted == *state));
        for state in states.filter(|state| !filter.pending || state.is_pending(kind)) {
            found.extend(list(tx, state, kind)?);
        }
    }
    Ok(found)
}

// The expressions are those of the indexes of migration 21: no other index serves them.

fn in_state(
    tx: &mut impl Sql,
    filter: &TaskFilter,
    state: TaskState,
    kind: TaskKind,
) -> StoreResult<Vec<TaskRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM task WHERE state || '' = ?1 AND kind = ?2 AND no + 0 > ?3 ORDER BY no + 0 LIMIT ?4"
    );
    tx.query(
        &sql,
        &values![state.as_str(), kind.as_str(), filter.after, filter.limit],
        read_task,
    )
}

/// Whether a unit of a job waits or waited for a task, as a term; nothing where no job is asked for.
fn of_a_job<'f>(terms: &mut Filter<'f>, filter: &TaskFilter) {
    if let Some(job) = filter.job {
        let job = terms.place(job);
        terms.term(&format!(
            "EXISTS (SELECT 1 FROM task_unit u WHERE u.task = t.no AND u.job = {job})"
        ));
    }
}

fn of_title(
    tx: &mut impl Sql,
    filter: &TaskFilter,
    title: &str,
    state: TaskState,
    kind: TaskKind,
) -> StoreResult<Vec<TaskRow>> {
    let mut terms = Filter::default();
    terms.compare("t.title || '' =", Some(title));
    terms.compare("t.state =", Some(state.as_str()));
    terms.compare("t.kind =", Some(kind.as_str()));
    terms.compare("t.no + 0 >", Some(filter.after));
    of_a_job(&mut terms, filter);
    let limit = terms.place(filter.limit);
    let sql = format!(
        "SELECT {COLUMNS} FROM task t {} ORDER BY t.no + 0 LIMIT {limit}",
        terms.clause()
    );
    tx.query(&sql, terms.values(), read_task)
}

fn of_job(
    tx: &mut impl Dialect,
    filter: &TaskFilter,
    job: JobNo,
    state: TaskState,
    kind: TaskKind,
) -> StoreResult<Vec<TaskRow>> {
    let numbers: Vec<i64> = tx.query(
        "SELECT task FROM job_task WHERE job = ?1 AND state = ?2 AND kind = ?3 AND task > ?4 ORDER BY task LIMIT ?5",
        &values![job, state.as_str(), kind.as_str(), filter.after, filter.limit],
        |row| row.get(0),
    )?;
    tx.by_number(&numbers)
}

/// An asset has few tasks: all of them are looked at.
fn about_asset(tx: &mut impl Sql, filter: &TaskFilter, asset: &str) -> StoreResult<Vec<TaskRow>> {
    let sql = format!("SELECT {COLUMNS} FROM task t WHERE asset = ?1 ORDER BY asset, no");
    let mut found = tx.query(&sql, &values![asset], read_task)?;
    found.retain(|task| {
        task.no > filter.after
            && filter.kind.is_none_or(|kind| task.kind == kind)
            && filter.state.is_none_or(|state| task.state == state)
            && filter
                .title
                .as_ref()
                .is_none_or(|title| task.title == *title)
            && (!filter.pending || task.ended_at.is_none())
    });
    if let Some(job) = filter.job {
        let mut of_job = Vec::new();
        for task in found {
            let sql = "SELECT job FROM task_unit WHERE task = ?1 AND job = ?2 LIMIT 1";
            let waits: Option<JobNo> =
                tx.query_one(sql, &values![task.no, job], |row| row.get(0))?;
            of_job.extend(waits.map(|_| task));
        }
        return Ok(of_job);
    }
    Ok(found)
}
