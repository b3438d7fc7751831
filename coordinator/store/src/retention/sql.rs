//! Jobs that ended long ago, and the time by which jobs age, in SQL.
use crate::error::{StoreResult, corrupt};
use crate::sql::{Sql, values};
use protocol::id::JobNo;
use protocol::rules::review::task::{TaskKind, TaskState};
use protocol::time::Timestamp;

/// The key of the time in the table `meta`.
const KEY: &str = "aging_time";

/// Jobs that are being removed, then those that ended before this moment and of which no unit waits for a person.
pub(super) fn ended_before(
    tx: &mut impl Sql,
    before: Timestamp,
    limit: u32,
) -> StoreResult<Vec<JobNo>> {
    let Some(newest) = tx.query_one("SELECT no FROM job ORDER BY no DESC LIMIT 1", &[], |row| {
        row.get::<JobNo>(0)
    })?
    else {
        return Ok(Vec::new());
    };
    // The expressions are those of the indexes of migration 21: no other index serves them.
    let sql = "SELECT no FROM job WHERE removing = 1 AND no + 0 < ?1 ORDER BY no + 0 LIMIT ?2";
    let mut found: Vec<JobNo> = tx.query(sql, &values![newest, limit], |row| row.get(0))?;
    let left = u64::from(limit).saturating_sub(found.len() as u64);
    if left > 0 {
        // Each job's tasks are looked up by its number: a query for one value cannot become a join.
        let pending = pending().map(|(state, kind)| {
            format!(
                "AND (SELECT t.task FROM job_task t WHERE t.job = job.no AND t.state = '{}' AND t.kind = '{}' LIMIT 1) IS NULL",
                state.as_str(),
                kind.as_str()
            )
        });
        let sql = format!(
            "SELECT no FROM job WHERE ended_at IS NOT NULL AND ended_at + 0 < ?1 AND removing = 0 AND no < ?2 {}
             ORDER BY ended_at + 0, no LIMIT ?3",
            pending.collect::<Vec<_>>().join(" ")
        );
        found.extend(tx.query(&sql, &values![before, newest, left], |row| {
            row.get::<JobNo>(0)
        })?);
    }
    Ok(found)
}

/// Every state of a task in which it is pending, by kind.
fn pending() -> impl Iterator<Item = (TaskState, TaskKind)> {
    let kinds = |state: TaskState| TaskKind::ALL.into_iter().map(move |kind| (state, kind));
    TaskState::ALL
        .into_iter()
        .flat_map(kinds)
        .filter(|(state, kind)| state.is_pending(*kind))
}

pub(super) fn aging_time(tx: &mut impl Sql) -> StoreResult<Option<Timestamp>> {
    let found: Option<String> = tx.query_one(
        "SELECT value FROM meta WHERE key = ?1",
        &values![KEY],
        |row| row.get(0),
    )?;
    let parse = |text: String| {
        text.parse()
            .map(Timestamp)
            .map_err(|error| corrupt(KEY, error))
    };
    found.map(parse).transpose()
}

pub(super) fn put_aging_time(tx: &mut impl Sql, at: Timestamp) -> StoreResult<()> {
    let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    tx.execute(sql, &values![KEY, at.0.to_string()])?;
    Ok(())
}
