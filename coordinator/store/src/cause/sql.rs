//! Causes and waivers in SQL.
use super::{CauseRow, CauseTx, WaiverRow};
use crate::error::StoreResult;
use crate::sql::Column::{Int, Text};
use crate::sql::{Filter, Insert, Row, Sql, values};
use protocol::id::{JobNo, StepNo};
use protocol::rules::review::waiver::Scope;
use std::collections::BTreeMap;

static ADD: Insert<10> = Insert::new(
    "cause",
    [
        Text("cause"),
        Int("job"),
        Int("step"),
        Text("reason"),
        Text("class"),
        Text("example"),
        Int("units"),
        Int("assets"),
        Int("first_at"),
        Int("last_at"),
    ],
    "ON CONFLICT (cause, job, step) DO UPDATE SET units = cause.units + excluded.units,
       assets = cause.assets + excluded.assets,
       last_at = CASE WHEN excluded.units > 0 AND excluded.last_at > cause.last_at
         THEN excluded.last_at ELSE cause.last_at END",
);

/// Columns of a waiver, in the order of [`read_waiver`].
pub(super) const WAIVER: &str = "cause, at, actor, reason, until";

/// Reads a waiver from [`WAIVER`].
pub(super) fn read_waiver(row: Row<'_>) -> StoreResult<WaiverRow> {
    Ok(WaiverRow {
        scope: Scope::parse(row.get(0)?),
        at: row.get(1)?,
        actor: row.get(2)?,
        reason: row.get(3)?,
        until: row.get(4)?,
    })
}

/// Statements over many keys: one for each, or one over arrays.
pub(super) trait Dialect: Sql {
    fn waivers_with(&mut self, keys: &[String]) -> StoreResult<Vec<WaiverRow>>;
    /// Removes the rows of these causes that have no units left.
    fn delete_empty(&mut self, causes: &[CauseRow]) -> StoreResult<()>;
}

/// Changes with one row for each key, since one statement changes a row once.
fn merged(changes: &[CauseRow]) -> Vec<CauseRow> {
    let mut merged: BTreeMap<(&str, JobNo, StepNo), CauseRow> = BTreeMap::new();
    for change in changes {
        match merged.get_mut(&(change.cause.as_str(), change.job, change.step)) {
            Some(known) => {
                known.units += change.units;
                known.assets += change.assets;
                known.last_at = known.last_at.max(change.last_at);
            }
            None => drop(merged.insert(
                (change.cause.as_str(), change.job, change.step),
                change.clone(),
            )),
        }
    }
    merged.into_values().collect()
}

impl<T: Dialect> CauseTx for T {
    fn add_to_causes(&mut self, changes: &[CauseRow]) -> StoreResult<()> {
        let changes = merged(changes);
        let rows = changes.iter().map(|c| {
            values![
                &c.cause, c.job, c.step, &c.reason, &c.class, &c.example, c.units, c.assets,
                c.first_at, c.last_at
            ]
        });
        self.insert(&ADD, &rows.collect::<Vec<_>>())?;
        self.delete_empty(&changes)
    }

    fn causes(
        &mut self,
        job: Option<JobNo>,
        cause: Option<&str>,
        limit: u32,
    ) -> StoreResult<Vec<CauseRow>> {
        let mut filter = Filter::default();
        // A cause is found by the key. The expressions keep the indexes by job and by time away, which would walk all causes.
        let (job_is, last_at) = if cause.is_some() {
            ("job + 0 =", "last_at + 0")
        } else {
            ("job =", "last_at")
        };
        filter.compare(job_is, job);
        filter.compare("cause =", cause);
        let limit = filter.place(limit);
        let sql = format!(
            "SELECT cause, job, step, reason, class, example, units, assets, first_at, last_at FROM cause {}
             ORDER BY {last_at} DESC, cause, job, step LIMIT {limit}",
            filter.clause()
        );
        self.query(&sql, filter.values(), |row| {
            Ok(CauseRow {
                cause: row.get(0)?,
                job: row.get(1)?,
                step: row.get(2)?,
                reason: row.get(3)?,
                class: row.get(4)?,
                example: row.get(5)?,
                units: row.get(6)?,
                assets: row.get(7)?,
                first_at: row.get(8)?,
                last_at: row.get(9)?,
            })
        })
    }

    fn put_waiver(&mut self, waiver: &WaiverRow) -> StoreResult<()> {
        self.execute(
            "INSERT INTO waiver (cause, at, actor, reason, until) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (cause) DO UPDATE SET at = excluded.at, actor = excluded.actor, reason = excluded.reason,
               until = excluded.until",
            &values![waiver.scope.key(), waiver.at, &waiver.actor, &waiver.reason, waiver.until],
        )?;
        Ok(())
    }

    fn waivers(&mut self, limit: u32) -> StoreResult<Vec<WaiverRow>> {
        let sql = format!("SELECT {WAIVER} FROM waiver ORDER BY cause LIMIT ?1");
        self.query(&sql, &values![limit], read_waiver)
    }

    fn waivers_of(&mut self, keys: &[String]) -> StoreResult<Vec<WaiverRow>> {
        self.waivers_with(keys)
    }
}
