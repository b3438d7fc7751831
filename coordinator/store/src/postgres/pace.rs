//! Paces of jobs.
use super::error::corrupt;
use super::tx::{PostgresTx, column};
use crate::{Pace, PaceTx, StoreResult};
use protocol::id::JobNo;

impl PaceTx for PostgresTx<'_> {
    fn pace(&mut self, job: JobNo) -> StoreResult<Option<Pace>> {
        let told: Option<String> = self.one("SELECT told FROM pace WHERE job = $1", &[&job.0], |row| column(row, 0))?;
        told.map(|told| serde_json::from_str(&told).map_err(|e| corrupt("pace", e))).transpose()
    }

    fn put_paces(&mut self, paces: &[(JobNo, Pace)]) -> StoreResult<()> {
        let jobs: Vec<i64> = paces.iter().map(|(job, _)| job.0).collect();
        let told = paces.iter().map(|(_, pace)| serde_json::to_string(pace).map_err(|e| corrupt("pace", e)));
        let told: Vec<String> = told.collect::<StoreResult<_>>()?;
        self.run("DELETE FROM pace", &[])?;
        self.run("INSERT INTO pace (job, told) SELECT * FROM unnest($1::BIGINT[], $2::TEXT[])", &[&jobs, &told])?;
        Ok(())
    }
}
