//! Class and deadline of a job under way.
use crate::audit::record;
use crate::command::request::{JobChanged, PriorityRequest};
use crate::error::{Answer, Error};
use crate::rows::find_job;
use crate::store::Tx;
use protocol::model::priority::Priority;
use protocol::time::Timestamp;

/// Changes the class or the deadline of a job: what is handed out next is decided by them.
pub fn prioritise(
    tx: &mut dyn Tx,
    id: &str,
    request: &PriorityRequest,
    now: Timestamp,
) -> Answer<JobChanged> {
    let mut job = find_job(tx, id)?;
    if job.state.has_ended() {
        return Err(Error::Conflict(format!(
            "job {id} is {} already",
            job.state.as_str()
        )));
    }
    let before = job.clone();
    let mut words = Vec::new();
    if let Some(word) = &request.priority {
        let Some(priority) = Priority::parse(word) else {
            let hint = protocol::yaml::suggest(word, &["urgent", "normal", "bulk"]);
            return Err(Error::Invalid(format!("unknown class {word:?}"), hint));
        };
        job.priority = priority;
        words.push(format!("priority {word}"));
    }
    if let Some(text) = &request.deadline {
        let deadline = if text == "none" {
            None
        } else {
            Timestamp::parse(text)
        };
        if deadline.is_none() && text != "none" {
            let hint = "2026-12-01T18:00:00Z, or none".to_owned();
            return Err(Error::Invalid(
                format!("the deadline {text:?} is not a moment"),
                hint,
            ));
        }
        job.deadline = deadline;
        words.push(format!("deadline {text}"));
    }
    if words.is_empty() {
        return Err(Error::Invalid(
            "nothing to change".into(),
            "urgent, normal or bulk, or --deadline TIME".into(),
        ));
    }
    let mut operation = None;
    if !request.audit.dry_run {
        tx.update_job(&job)?;
        operation = Some(record(
            tx,
            &request.audit,
            &words.join(", "),
            Some(job.no),
            1,
            now,
        )?);
    }
    Ok(JobChanged::of(&before, &job, &request.audit, operation))
}
