//! Transfer rates in SQL, as JSON.
use super::{Pace, PaceTx};
use crate::error::{StoreResult, corrupt};
use crate::sql::{Column, Insert, Sql, Value, values};
use protocol::id::JobNo;

static INSERT: Insert<2> = Insert::new("pace", [Column::Int("job"), Column::Text("told")], "");

impl<T: Sql> PaceTx for T {
    fn pace(&mut self, job: JobNo) -> StoreResult<Option<Pace>> {
        self.query_one(
            "SELECT told FROM pace WHERE job = ?1",
            &values![job],
            |row| row.json(0, "pace"),
        )
    }

    fn put_paces(&mut self, paces: &[(JobNo, Pace)]) -> StoreResult<()> {
        let row = |(job, pace): &(JobNo, Pace)| -> StoreResult<[Value<'static>; 2]> {
            Ok(values![
                *job,
                serde_json::to_string(pace).map_err(|e| corrupt("pace", e))?
            ])
        };
        let rows: Vec<_> = paces.iter().map(row).collect::<StoreResult<_>>()?;
        self.execute("DELETE FROM pace", &[])?;
        self.insert(&INSERT, &rows)
    }
}
