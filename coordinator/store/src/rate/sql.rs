//! Transfer rates in SQL, as JSON.
use super::{RateTx, TransferRate};
use crate::error::{StoreResult, corrupt};
use crate::sql::{Column, Insert, Sql, Value, values};
use protocol::id::JobNo;

static INSERT: Insert<2> = Insert::new("pace", [Column::Int("job"), Column::Text("told")], "");

impl<T: Sql> RateTx for T {
    fn rate(&mut self, job: JobNo) -> StoreResult<Option<TransferRate>> {
        self.query_one(
            "SELECT told FROM pace WHERE job = ?1",
            &values![job],
            |row| row.json(0, "pace"),
        )
    }

    fn put_rates(&mut self, rates: &[(JobNo, TransferRate)]) -> StoreResult<()> {
        let row = |(job, rate): &(JobNo, TransferRate)| -> StoreResult<[Value<'static>; 2]> {
            Ok(values![
                *job,
                serde_json::to_string(rate).map_err(|e| corrupt("pace", e))?
            ])
        };
        let rows: Vec<_> = rates.iter().map(row).collect::<StoreResult<_>>()?;
        self.execute("DELETE FROM pace", &[])?;
        self.insert(&INSERT, &rows)
    }
}
