//! Waivers of causes of failure.
use crate::audit::record;
use crate::command::request::WaiveRequest;
use crate::error::{Answer, Error};
use crate::query::causes::Waived;
use crate::query::rejected_causes::is_rejected_cause;
use crate::review::waivers::until;
use crate::store::{Tx, WaiverRow};
use crate::workflows::Workflows;
use protocol::rules::review::waiver::Scope;
use protocol::time::Timestamp;

/// Waives a cause: records the decision to accept its failures.
pub fn waive(
    tx: &mut dyn Tx,
    cause: &str,
    request: &WaiveRequest,
    now: Timestamp,
) -> Answer<Waived> {
    let audit = &request.audit;
    if audit.reason.trim().is_empty() {
        return Err(Error::Invalid(
            "a waiver needs a reason".into(),
            "--reason TEXT".into(),
        ));
    }
    let until = until(request.until.as_deref(), now)?;
    let is_known = !tx.causes(None, Some(cause), 1)?.is_empty()
        || is_rejected_cause(tx, &Workflows::default(), cause)?;
    if !is_known {
        return Err(Error::Unknown(format!(
            "nothing is dead of cause {cause}: showrunner failure list"
        )));
    }
    let (actor, reason) = (audit.actor.clone(), audit.reason.clone());
    let row = WaiverRow {
        scope: Scope::of_cause(cause),
        at: now,
        actor,
        reason,
        until,
    };
    if !audit.dry_run {
        tx.put_waiver(&row)?;
        record(tx, audit, &format!("waive {cause}"), None, 1, now)?;
    }
    Ok(Waived {
        dry_run: audit.dry_run,
        ..row.into()
    })
}
