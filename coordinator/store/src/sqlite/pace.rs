//! Paces of jobs.
use super::{SqliteTx, corrupt};
use crate::{Pace, PaceTx, StoreResult};
use protocol::id::JobNo;
use rusqlite::params;

impl PaceTx for SqliteTx<'_> {
    fn pace(&mut self, job: JobNo) -> StoreResult<Option<Pace>> {
        let told: Option<String> =
            self.one("SELECT told FROM pace WHERE job = ?1", params![job.0], |row| row.get(0))?;
        told.map(|told| serde_json::from_str(&told).map_err(|e| corrupt("pace", e))).transpose()
    }

    fn put_paces(&mut self, paces: &[(JobNo, Pace)]) -> StoreResult<()> {
        self.run("DELETE FROM pace", params![])?;
        for (job, pace) in paces {
            let told = serde_json::to_string(pace).map_err(|e| corrupt("pace", e))?;
            self.run("INSERT INTO pace (job, told) VALUES (?1, ?2)", params![job.0, told])?;
        }
        Ok(())
    }
}
