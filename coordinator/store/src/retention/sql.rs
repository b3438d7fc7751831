//! The time by which jobs age, in SQL.
use crate::error::{StoreResult, corrupt};
use crate::sql::{Sql, values};
use protocol::time::Timestamp;

/// The key of the time in the table `meta`.
const KEY: &str = "aging_time";

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
