//! Lists of jobs in SQL.
use crate::error::StoreResult;
use crate::job::sql::{COLUMNS, read_numbered};
use crate::job::{JobRow, JobState, readable};
use crate::sql::{Filter, Sql, values};
use protocol::id::JobNo;

/// Public ids of jobs that begin with a text: a range of the index of ids.
pub(super) fn job_ids(tx: &mut impl Sql, prefix: &str, limit: u32) -> StoreResult<Vec<String>> {
    let behind = format!("{prefix}{}", char::MAX);
    tx.query(
        "SELECT id FROM job WHERE id >= ?1 AND id < ?2 AND removing = 0 ORDER BY id LIMIT ?3",
        &values![prefix, behind, limit],
        |row| row.get(0),
    )
}

/// Jobs, newest first, older than `before`; only those in `state` when given.
pub(super) fn job_views(
    tx: &mut impl Sql,
    state: Option<JobState>,
    before: Option<JobNo>,
    limit: u32,
) -> StoreResult<Vec<JobRow>> {
    let mut filter = Filter::default();
    filter.term("removing = 0");
    let before = before.unwrap_or(JobNo(i64::MAX));
    let by = match state {
        None => {
            filter.compare("no <", Some(before));
            "no"
        }
        Some(state) => {
            // The expressions are those of the index `job_by_state`: no other index serves them.
            filter.compare("state || '' =", Some(state.as_str()));
            filter.compare("no + 0 <", Some(before));
            "no + 0"
        }
    };
    let limit = filter.place(limit);
    let sql = format!(
        "SELECT {COLUMNS} FROM job {} ORDER BY {by} DESC LIMIT {limit}",
        filter.clause()
    );
    tx.query(&sql, filter.values(), read_numbered).map(readable)
}
