//! Retention: removal of jobs that ended long ago, a few rows at a time.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod postgres;
mod sql;
mod sqlite;

use crate::error::StoreResult;
use protocol::id::JobNo;
use protocol::time::Timestamp;

/// Result of one transaction of the retention.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Number of removed rows.
    pub rows: u64,
    /// Whether nothing of the job is left.
    pub gone: bool,
}

/// Tables whose rows belong to one job, with the rest of their keys, in the order of removal. Causes are first, because lists
/// over all jobs read them.
pub(crate) const OF_A_JOB: [(&str, &[&str]); 18] = [
    ("cause", &["cause", "step"]),
    ("unit", &["step", "part"]),
    ("streak", &["step", "first"]),
    ("failure", &["step", "part", "asset"]),
    ("moved", &["asset"]),
    ("barrier", &["step", "key"]),
    ("partition", &["part"]),
    ("listing", &["asset"]),
    ("row_error", &["line", "message"]),
    ("attempt", &["step", "part", "epoch"]),
    ("loss", &["step", "part", "epoch"]),
    ("loss_count", &["step", "part"]),
    ("withheld", &["step"]),
    ("speculation", &["step", "part"]),
    ("slice", &["step", "part", "number"]),
    ("cut", &["step", "part"]),
    ("barrier_count", &["step"]),
    ("closed_block", &["step", "block"]),
];

/// Removal of ended jobs. Facts about assets stay in the catalogue, and operations stay recorded.
pub trait RetentionTx {
    /// Jobs that are being removed, by number, then jobs that ended before this moment, the earliest first. A job whose
    /// units wait for a person's decision is not among them. The newest job is never removed: late reports name its number,
    /// which must not be given to another.
    fn ended_before(&mut self, before: Timestamp, limit: u32) -> StoreResult<Vec<JobNo>>;
    /// Removes at most `limit` rows of a job, and the job itself with its last row. From the first call on the job is no
    /// longer found.
    fn remove_job(&mut self, job: JobNo, limit: u32) -> StoreResult<Removed>;
    /// The time by which jobs aged last.
    fn aging_time(&mut self) -> StoreResult<Option<Timestamp>>;
    /// Writes the time by which jobs age.
    fn put_aging_time(&mut self, at: Timestamp) -> StoreResult<()>;
}

/// The time by which jobs aged last, in memory.
pub(crate) type Table = Option<Timestamp>;

#[cfg(test)]
mod tests {
    use super::OF_A_JOB;
    use crate::sqlite::Sqlite;
    use std::collections::BTreeSet;

    /// Tables with a column `job` whose rows stay, and why.
    const KEPT: [(&str, &str); 9] = [
        ("step", "removed with the job itself"),
        ("asset", "facts stay in the catalogue"),
        ("verdict", "verdicts stay in the catalogue"),
        ("pace", "each tick of workers replaces all rates"),
        ("task", "decisions of people stay recorded"),
        ("operation", "operations stay recorded"),
        ("tombstone", "what was purged stays recorded"),
        ("task_unit", "decisions of people stay recorded"),
        ("job_task", "decisions of people stay recorded"),
    ];

    #[test]
    fn every_table_of_a_job_is_emptied_or_kept_for_a_reason() {
        let dir = tempfile::tempdir().expect("temp dir");
        let sqlite = Sqlite::open(&dir.path().join("x.db")).expect("opens");
        let tables = "SELECT m.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c
             WHERE m.type = 'table' AND c.name = 'job'";
        let mut asked = sqlite.connection().prepare(tables).expect("prepares");
        let found = asked.query_map([], |row| row.get(0)).expect("reads");
        let found: BTreeSet<String> = found.collect::<Result<_, _>>().expect("reads");
        let removed = OF_A_JOB.iter().map(|(table, _)| (*table).to_owned());
        let kept = KEPT.iter().map(|(table, _)| (*table).to_owned());
        assert_eq!(found, removed.chain(kept).collect());
    }
}
