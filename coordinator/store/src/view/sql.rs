//! Lists of jobs in SQL.
use crate::error::StoreResult;
use crate::job::sql::{COLUMNS, read_numbered};
use crate::job::{JobRow, JobState, readable};
use crate::sql::{Filter, Sql};
use protocol::id::JobNo;

/// Jobs, newest first, older than `before`; only those in `state` when given.
pub(super) fn job_views(
    tx: &mut impl Sql,
    state: Option<JobState>,
    before: Option<JobNo>,
    limit: u32,
) -> StoreResult<Vec<JobRow>> {
    let mut filter = Filter::default();
    filter.term("removing = 0");
    filter.compare("no <", Some(before.unwrap_or(JobNo(i64::MAX))));
    if let Some(state) = state {
        // In the text, so that a partial index applies.
        filter.term(&format!("state = '{}'", state.as_str()));
    }
    let limit = filter.place(limit);
    let sql = format!(
        "SELECT {COLUMNS} FROM job {} ORDER BY no DESC LIMIT {limit}",
        filter.clause()
    );
    tx.query(&sql, filter.values(), read_numbered).map(readable)
}
