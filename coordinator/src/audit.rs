//! The audit context of a change (actor, reason, dry run) and the record of what was done.
use crate::store::{OperationRow, OperationState, StoreResult, Tx};
use protocol::id::JobNo;
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Audit context of a change: actor, reason and dry run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = Order)]
pub struct AuditContext {
    /// Who asks for the change: a user or a service, as named by the client. An empty name is recorded as `api`.
    #[schema(max_length = 1000)]
    pub actor: String,
    /// Reason for the audit record.
    #[schema(max_length = 1000)]
    pub reason: String,
    /// Check and count, change nothing.
    pub dry_run: bool,
}

/// Records something that is carried out at once.
pub fn record(
    tx: &mut dyn Tx,
    audit: &AuditContext,
    action: &str,
    job: Option<JobNo>,
    done: u64,
    now: Timestamp,
) -> StoreResult<i64> {
    let row = OperationRow {
        matched: done,
        eligible: done,
        done,
        ..begun(audit, action, job, now)
    };
    tx.insert_operation(&OperationRow {
        state: OperationState::Done,
        ended_at: Some(now),
        ..row
    })
}

/// An operation at its beginning.
pub fn begun(
    audit: &AuditContext,
    action: &str,
    job: Option<JobNo>,
    now: Timestamp,
) -> OperationRow {
    OperationRow {
        no: 0,
        at: now,
        actor: audit.actor.clone(),
        action: action.to_owned(),
        job,
        filter: String::new(),
        plan: None,
        progress: None,
        message: None,
        reason: audit.reason.clone(),
        matched: 0,
        eligible: 0,
        done: 0,
        state: OperationState::Running,
        rate: None,
        after: None,
        paced_at: now,
        ended_at: None,
    }
}
