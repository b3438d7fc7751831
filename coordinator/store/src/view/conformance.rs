//! Conformance tests that every store passes: lists.
use crate::job::{JobRow, JobState};
use crate::testing::fixture::{Check, job};
use crate::tx::Tx;

pub(crate) const CHECKS: &[Check] = &[("lists of jobs page from the newest, by state", job_views)];

fn job_views(tx: &mut dyn Tx) {
    let numbers = ["a", "b", "c"].map(|id| tx.insert_job(&job(id)).expect("inserts"));
    let mut paused = tx.job(numbers[1]).expect("reads").expect("there");
    paused.state = JobState::Paused;
    tx.update_job(&paused).expect("writes");
    let ids = |rows: Vec<JobRow>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(ids(tx.job_views(None, None, 2).expect("reads")), ["c", "b"]);
    assert_eq!(
        ids(tx.job_views(None, Some(numbers[1]), 9).expect("reads")),
        ["a"]
    );
    assert_eq!(
        ids(tx
            .job_views(Some(JobState::Running), None, 9)
            .expect("reads")),
        ["c", "a"]
    );
    assert_eq!(
        ids(tx
            .job_views(Some(JobState::Paused), Some(numbers[1]), 9)
            .expect("reads")),
        [""; 0]
    );
}
