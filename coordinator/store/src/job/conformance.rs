//! Conformance tests that every store passes: jobs.
use super::{Carried, JobState};
use crate::testing::fixture::{Check, job};
use crate::tx::Tx;
use protocol::id::JobNo;
use protocol::model::priority::Priority;
use protocol::time::Timestamp;

pub(crate) const CHECKS: &[Check] = &[("jobs read back as written, newest first", jobs)];

fn jobs(tx: &mut dyn Tx) {
    let first = tx.insert_job(&job("first")).expect("inserts");
    let second = tx.insert_job(&job("second")).expect("inserts");
    assert!(tx.insert_job(&job("first")).is_err(), "an id is unique");
    assert_eq!(tx.workflow(first).expect("reads"), job("first").workflow);
    let mut row = tx.job(first).expect("reads").expect("exists");
    row.state = JobState::Succeeded;
    row.ended_at = Some(Timestamp(9));
    row.plan_after = Some(("t".into(), "a".into()));
    row.scan.byte = 77;
    row.scan_after = Some("p/k".into());
    row.parts = 3;
    row.carried = Carried {
        copied: 1,
        copied_bytes: 2,
        landed: 3,
        landed_bytes: 4,
    };
    row.message = Some("m".into());
    assert_eq!(
        (row.priority, row.tenant.as_str(), row.deadline),
        (Priority::Normal, "default", None)
    );
    (row.priority, row.tenant, row.deadline) =
        (Priority::Urgent, "other".into(), Some(Timestamp(11)));
    tx.update_job(&row).expect("updates");
    assert_eq!(tx.job_by_id("first").expect("reads"), Some(row));
    let open: Vec<JobNo> = tx
        .jobs(true, 10)
        .expect("lists")
        .iter()
        .map(|j| j.no)
        .collect();
    assert_eq!(open, [second]);
    let all: Vec<JobNo> = tx
        .jobs(false, 10)
        .expect("lists")
        .iter()
        .map(|j| j.no)
        .collect();
    assert_eq!(all, [second, first]);
}
