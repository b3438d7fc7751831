//! Workers in SQL.
use super::{OrderKind, WorkerOrder, WorkerRow, WorkerState, WorkerTx};
use crate::error::StoreResult;
use crate::sql::Column::{Int, Text};
use crate::sql::{Insert, Row, Sql, values};
use protocol::time::Timestamp;
use std::collections::BTreeMap;

static UPSERT: Insert<5> = Insert::new(
    "worker",
    [Text("name"), Text("slots"), Int("held"), Int("heard_at"), Text("state")],
    "ON CONFLICT (name) DO UPDATE SET slots = excluded.slots, held = excluded.held, heard_at = excluded.heard_at,
       state = excluded.state",
);

fn read_order(row: Row<'_>) -> StoreResult<Option<WorkerOrder>> {
    if row.get::<Option<String>>(5)?.is_none() {
        return Ok(None);
    }
    Ok(Some(WorkerOrder {
        kind: row.word(5, OrderKind::parse)?,
        actor: row.get::<Option<String>>(6)?.unwrap_or_default(),
        reason: row.get::<Option<String>>(7)?.unwrap_or_default(),
        at: row.get::<Option<Timestamp>>(8)?.unwrap_or(Timestamp(0)),
    }))
}

impl<T: Sql> WorkerTx for T {
    fn put_workers(&mut self, workers: &[WorkerRow]) -> StoreResult<()> {
        let by_name: BTreeMap<&str, &WorkerRow> =
            workers.iter().map(|w| (w.name.as_str(), w)).collect();
        let rows = by_name
            .values()
            .map(|w| values![&w.name, &w.slots, w.held, w.heard_at, w.state.as_str()]);
        self.insert(&UPSERT, &rows.collect::<Vec<_>>())
    }

    fn workers(&mut self) -> StoreResult<Vec<WorkerRow>> {
        self.query(
            "SELECT name, slots, held, heard_at, state, told, told_by, told_why, told_at FROM worker ORDER BY name",
            &[],
            |row| {
                Ok(WorkerRow {
                    name: row.get(0)?,
                    slots: row.get(1)?,
                    held: row.get(2)?,
                    heard_at: row.get(3)?,
                    state: row.word(4, WorkerState::parse)?,
                    order: read_order(row)?,
                })
            },
        )
    }

    fn put_order(&mut self, worker: &str, order: Option<&WorkerOrder>) -> StoreResult<bool> {
        let written = self.execute(
            "UPDATE worker SET told = ?2, told_by = ?3, told_why = ?4, told_at = ?5 WHERE name = ?1",
            &values![
                worker,
                order.map(|o| o.kind.as_str()),
                order.map(|o| &o.actor),
                order.map(|o| &o.reason),
                order.map(|o| o.at),
            ],
        )?;
        Ok(written > 0)
    }

    fn forget_workers(&mut self, before: Timestamp) -> StoreResult<()> {
        self.execute("DELETE FROM worker WHERE heard_at < ?1", &values![before])?;
        Ok(())
    }
}
