//! Retention in SQLite.
use super::{OF_A_JOB, Removed, RetentionTx, sql};
use crate::error::StoreResult;
use crate::sqlite::{SqliteTx, failed};
use protocol::id::JobNo;
use protocol::time::Timestamp;
use rusqlite::types::Value;
use rusqlite::{params, params_from_iter};

impl SqliteTx<'_> {
    /// Removes the first `limit` rows of a job from a table.
    fn remove_first(&self, table: &str, key: &[&str], job: JobNo, limit: u64) -> StoreResult<u64> {
        let columns = key.join(", ");
        let find = format!(
            "SELECT {columns} FROM {table} WHERE job = ?1 ORDER BY {columns} LIMIT 1 OFFSET ?2"
        );
        let beyond = self.one(
            &find,
            params![job.0, i64::try_from(limit).unwrap_or(i64::MAX)],
            |row| {
                (0..key.len())
                    .map(|column| row.get::<_, Value>(column))
                    .collect::<rusqlite::Result<Vec<Value>>>()
            },
        )?;
        let removed = match beyond {
            None => self.run(
                &format!("DELETE FROM {table} WHERE job = ?1"),
                params![job.0],
            )?,
            Some(beyond) => {
                let marks: Vec<String> = (2..2 + key.len()).map(|n| format!("?{n}")).collect();
                let sql = format!(
                    "DELETE FROM {table} WHERE job = ?1 AND ({columns}) < ({})",
                    marks.join(", ")
                );
                let values = std::iter::once(Value::Integer(job.0)).chain(beyond);
                let mut statement = self.db.prepare_cached(&sql).map_err(failed)?;
                statement
                    .execute(params_from_iter(values))
                    .map_err(failed)?
            }
        };
        Ok(removed as u64)
    }
}

impl RetentionTx for SqliteTx<'_> {
    fn ended_before(&mut self, before: Timestamp, limit: u32) -> StoreResult<Vec<JobNo>> {
        sql::ended_before(self, before, limit)
    }

    fn remove_job(&mut self, job: JobNo, limit: u32) -> StoreResult<Removed> {
        let mut rows = 0;
        // Its name may be given to another job meanwhile.
        self.run(
            "UPDATE job SET removing = 1, id = id || '/removed/' || no, submission = NULL WHERE no = ?1 AND removing = 0",
            params![job.0],
        )?;
        for (table, key) in OF_A_JOB {
            rows += self.remove_first(table, key, job, u64::from(limit) - rows)?;
            if rows >= u64::from(limit) {
                return Ok(Removed { rows, gone: false });
            }
        }
        rows += self.run("DELETE FROM step WHERE job = ?1", params![job.0])? as u64;
        rows += self.run("DELETE FROM job WHERE no = ?1", params![job.0])? as u64;
        Ok(Removed { rows, gone: true })
    }

    fn aging_time(&mut self) -> StoreResult<Option<Timestamp>> {
        sql::aging_time(self)
    }

    fn put_aging_time(&mut self, at: Timestamp) -> StoreResult<()> {
        sql::put_aging_time(self, at)
    }
}
