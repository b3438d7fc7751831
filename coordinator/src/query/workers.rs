//! Workers as operators see them, by the rows of the store.
use crate::field_change::{FieldChange, is_false};
use crate::store::{OrderKind, StoreResult, Tx, WorkerRow, WorkerState};
use protocol::rules::unit::lease::LeaseLimits;
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A worker as lists show it, with its slots, state and last order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WorkerView {
    /// Name of the worker process; a restart gets a new one.
    pub worker: String,
    /// `working`, `draining`, `quarantined`, `left` (drained and gone) or `silent` (lost without a drain).
    pub state: String,
    /// Slots by kind, as `kind=busy/total`.
    pub slots: Vec<String>,
    /// Units it holds.
    pub held: u64,
    /// Time of its last heartbeat, RFC 3339 in UTC.
    pub heard_at: String,
    /// Reason of the drain or quarantine order; absent when there is no order.
    pub reason: Option<String>,
    /// Actor who gave the order.
    pub by: Option<String>,
    /// Time of the order, RFC 3339 in UTC.
    pub since: Option<String>,
    /// The event or command that changes its state.
    pub next: String,
    /// Members of the object that the change sets, from what to what. Under `dry_run`: that it would set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<FieldChange>,
    /// Nothing was changed: the view is what a change would give.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dry_run: bool,
}

/// Every worker heard of lately.
pub fn workers(tx: &mut dyn Tx, now: Timestamp) -> StoreResult<Vec<WorkerView>> {
    Ok(tx
        .workers()?
        .into_iter()
        .map(|row| view(row, now))
        .collect())
}

/// A worker as its row shows it at `now`.
pub(crate) fn view(row: WorkerRow, now: Timestamp) -> WorkerView {
    let silent = now.since(row.heard_at) > LeaseLimits::default().silence_max;
    let ordered = row.order.as_ref().map(|order| order.kind);
    let release = || format!("showrunner worker release {}", row.name);
    let (state, next) = match ordered {
        _ if silent && row.state == WorkerState::Draining => {
            ("left", "it was to end, and it has ended".to_owned())
        }
        _ if silent => (
            "silent",
            "it was taken for dead and what it held runs elsewhere".to_owned(),
        ),
        Some(OrderKind::Quarantine) => (
            "quarantined",
            format!("find out what is wrong with it, then: {}", release()),
        ),
        Some(OrderKind::Drain) => (
            "draining",
            format!(
                "what it holds ends, it takes nothing more; to undo: {}",
                release()
            ),
        ),
        _ if row.state == WorkerState::Draining => (
            "draining",
            "it leaves when what it holds has ended".to_owned(),
        ),
        _ => ("working", "takes units as its slots become free".to_owned()),
    };
    let order = row.order.filter(|order| order.kind != OrderKind::Release);
    WorkerView {
        worker: row.name,
        state: state.to_owned(),
        slots: row
            .slots
            .split(',')
            .filter(|s| !s.is_empty())
            .map(str::to_owned)
            .collect(),
        held: row.held,
        heard_at: row.heard_at.to_string(),
        reason: order.as_ref().map(|o| o.reason.clone()),
        by: order.as_ref().map(|o| o.actor.clone()),
        since: order.map(|o| o.at.to_string()),
        next,
        changes: Vec::new(),
        dry_run: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_was_to_end_is_no_loss() {
        let row = |state| WorkerRow {
            name: "w".into(),
            slots: String::new(),
            held: 2,
            heard_at: Timestamp(0),
            state,
            order: None,
        };
        let (soon, late) = (Timestamp(1_000_000), Timestamp(3_600_000_000));
        let seen = |state, now| view(row(state), now).state;
        assert_eq!(
            [WorkerState::Working, WorkerState::Draining].map(|state| seen(state, soon)),
            ["working", "draining"]
        );
        assert_eq!(
            [WorkerState::Working, WorkerState::Draining].map(|state| seen(state, late)),
            ["silent", "left"]
        );
    }
}
