//! Conformance tests that every store passes: lists.
use crate::job::{JobRow, JobState};
use crate::testing::fixture::{Check, job};
use crate::tx::Tx;

pub(crate) const CHECKS: &[Check] = &[
    ("lists of jobs page from the newest, by state", job_views),
    ("ids of jobs are found by their beginning", job_ids),
];

fn job_ids(tx: &mut dyn Tx) {
    for id in ["land-2", "land-1", "lane", "qc"] {
        tx.insert_job(&job(id)).expect("inserts");
    }
    let mut found = |prefix, limit| tx.job_ids(prefix, limit).expect("reads");
    assert_eq!(found("land", 9), ["land-1", "land-2"]);
    assert_eq!(found("lan", 2), ["land-1", "land-2"]);
    assert_eq!(found("", 9).len(), 4);
    assert_eq!([found("x", 9), found("land-1x", 9)], [[""; 0], [""; 0]]);
}

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
