//! Wait reasons: exactly one from a closed list for each unit that does not run (WAIT-1).
use crate::rules::unit::transition::UnitState;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Why a unit does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// The job is paused.
    JobPaused,
    /// The job has been cancelled.
    JobCancelled,
    /// The library is still being listed.
    Scanning,
    /// Its partition has not been planned yet.
    Planning,
    /// A step it needs has not ended for its partition.
    NeedsStep,
    /// A barrier it needs is not open yet.
    BarrierWaiting,
    /// A barrier it needs is held.
    BarrierHeld,
    /// A step it needs failed for its partition.
    NeedsFailed,
    /// A decision or a redelivery is outstanding.
    TaskOpen,
    /// It failed and its backoff has not elapsed.
    Backoff,
    /// Its source is being restored from an archive.
    Restoring,
    /// No live worker has slots of its kind.
    NoWorker,
    /// An endpoint it uses requested a pause.
    EndpointBackoff,
    /// An endpoint it uses is at its limit.
    EndpointLimit,
    /// Its tenant exceeds its fair share.
    TenantShare,
    /// A higher class, or the share reserved for light work, comes first.
    ClassShare,
    /// Every worker with slots of its kind leaves before the unit would end.
    WorkersLeave,
    /// It is transferred in slices that have not all ended.
    SlicesOpen,
    /// Every slot of its kind is busy.
    NoSlot,
    /// A worker executes it.
    Running,
    /// It has ended.
    Ended,
}

impl WaitReason {
    /// Every wait reason.
    pub const ALL: [WaitReason; 21] = [
        WaitReason::JobPaused,
        WaitReason::JobCancelled,
        WaitReason::Scanning,
        WaitReason::Planning,
        WaitReason::NeedsStep,
        WaitReason::BarrierWaiting,
        WaitReason::BarrierHeld,
        WaitReason::NeedsFailed,
        WaitReason::TaskOpen,
        WaitReason::Backoff,
        WaitReason::Restoring,
        WaitReason::NoWorker,
        WaitReason::EndpointBackoff,
        WaitReason::EndpointLimit,
        WaitReason::TenantShare,
        WaitReason::ClassShare,
        WaitReason::WorkersLeave,
        WaitReason::SlicesOpen,
        WaitReason::NoSlot,
        WaitReason::Running,
        WaitReason::Ended,
    ];

    /// Spelling in SQL, JSON and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            WaitReason::JobPaused => "job_paused",
            WaitReason::JobCancelled => "job_cancelled",
            WaitReason::Scanning => "scanning",
            WaitReason::Planning => "planning",
            WaitReason::NeedsStep => "needs_step",
            WaitReason::BarrierWaiting => "barrier_waiting",
            WaitReason::BarrierHeld => "barrier_held",
            WaitReason::NeedsFailed => "needs_failed",
            WaitReason::TaskOpen => "task_open",
            WaitReason::Backoff => "backoff",
            WaitReason::Restoring => "restoring",
            WaitReason::NoWorker => "no_worker",
            WaitReason::EndpointBackoff => "endpoint_backoff",
            WaitReason::EndpointLimit => "endpoint_limit",
            WaitReason::TenantShare => "tenant_share",
            WaitReason::ClassShare => "class_share",
            WaitReason::WorkersLeave => "workers_leave",
            WaitReason::SlicesOpen => "slices_open",
            WaitReason::NoSlot => "no_slot",
            WaitReason::Running => "running",
            WaitReason::Ended => "ended",
        }
    }

    /// Reads the spelling of [`WaitReason::as_str`].
    pub fn parse(text: &str) -> Option<WaitReason> {
        WaitReason::ALL
            .into_iter()
            .find(|reason| reason.as_str() == text)
    }
}

/// Facts about one unit and its surroundings.
#[derive(Debug, Clone, Copy, Default)]
pub struct WaitFacts {
    /// Where it is.
    pub state: Option<UnitState>,
    /// The job is paused.
    pub paused: bool,
    /// The job has been cancelled.
    pub cancelled: bool,
    /// The library has been listed to its end.
    pub scanned: bool,
    /// Its partition exists.
    pub planned: bool,
    /// A step it needs has not ended.
    pub step_open: bool,
    /// A step it needs failed.
    pub step_failed: bool,
    /// A task about its partition is pending.
    pub task_open: bool,
    /// It is an approval itself: nothing but the decision is waited for.
    pub approval: bool,
    /// A barrier it needs waits.
    pub barrier_open: bool,
    /// A barrier it needs holds.
    pub barrier_held: bool,
    /// Slots of its kind over all live workers, when known.
    pub slots: Option<u32>,
    /// Its pause is no consequence of a failure: what it reads is being restored.
    pub restoring: bool,
    /// When its pause ends.
    pub due_at: Option<Timestamp>,
    /// It is cut into slices that have not all ended.
    pub slices_open: bool,
    /// What the scheduler withheld its step for, when it did in its last turn.
    pub withheld: Option<WaitReason>,
}

/// The one reason. Ends and executions come first, then what a person did, then what is missing, then capacity.
pub fn reason(facts: &WaitFacts) -> WaitReason {
    match facts.state {
        Some(UnitState::Succeeded | UnitState::Dead | UnitState::Cancelled) => {
            return WaitReason::Ended;
        }
        // Leased without a worker: its slices are with workers.
        Some(UnitState::Leased) if facts.slices_open => return WaitReason::SlicesOpen,
        Some(UnitState::Leased) => return WaitReason::Running,
        _ => {}
    }
    let ordered = [
        (facts.cancelled, WaitReason::JobCancelled),
        (facts.paused, WaitReason::JobPaused),
        (
            facts.state == Some(UnitState::Retrying) && facts.restoring,
            WaitReason::Restoring,
        ),
        (
            facts.state == Some(UnitState::Retrying),
            WaitReason::Backoff,
        ),
        (!facts.scanned, WaitReason::Scanning),
        (!facts.planned, WaitReason::Planning),
        (
            facts.task_open && (facts.step_failed || facts.approval),
            WaitReason::TaskOpen,
        ),
        (facts.step_failed, WaitReason::NeedsFailed),
        (facts.barrier_held, WaitReason::BarrierHeld),
        (facts.step_open, WaitReason::NeedsStep),
        (facts.barrier_open, WaitReason::BarrierWaiting),
        (facts.slots == Some(0), WaitReason::NoWorker),
    ];
    let missing = ordered
        .into_iter()
        .find(|(holds, _)| *holds)
        .map(|(_, reason)| reason);
    missing.or(facts.withheld).unwrap_or(WaitReason::NoSlot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_cause_is_named() {
        let ready = WaitFacts {
            state: Some(UnitState::Ready),
            scanned: true,
            planned: true,
            ..WaitFacts::default()
        };
        assert_eq!(reason(&ready), WaitReason::NoSlot);
        assert_eq!(
            reason(&WaitFacts {
                slots: Some(0),
                ..ready
            }),
            WaitReason::NoWorker
        );
        assert_eq!(
            reason(&WaitFacts {
                paused: true,
                ..ready
            }),
            WaitReason::JobPaused
        );
        assert_eq!(
            reason(&WaitFacts {
                barrier_held: true,
                barrier_open: true,
                ..ready
            }),
            WaitReason::BarrierHeld
        );
        assert_eq!(
            reason(&WaitFacts {
                state: Some(UnitState::Dead),
                paused: true,
                ..ready
            }),
            WaitReason::Ended
        );
        assert_eq!(reason(&WaitFacts::default()), WaitReason::Scanning);
        let leased = WaitFacts {
            state: Some(UnitState::Leased),
            ..ready
        };
        assert_eq!(reason(&leased), WaitReason::Running);
        assert_eq!(
            reason(&WaitFacts {
                slices_open: true,
                ..leased
            }),
            WaitReason::SlicesOpen
        );
        let pausing = WaitFacts {
            state: Some(UnitState::Retrying),
            ..ready
        };
        assert_eq!(reason(&pausing), WaitReason::Backoff);
        assert_eq!(
            reason(&WaitFacts {
                restoring: true,
                ..pausing
            }),
            WaitReason::Restoring
        );
        assert_eq!(
            reason(&WaitFacts {
                restoring: true,
                ..ready
            }),
            WaitReason::NoSlot
        );
        let failed = WaitFacts {
            state: Some(UnitState::Planned),
            step_failed: true,
            ..ready
        };
        assert_eq!(reason(&failed), WaitReason::NeedsFailed);
        assert_eq!(
            reason(&WaitFacts {
                task_open: true,
                ..failed
            }),
            WaitReason::TaskOpen
        );
        assert_eq!(
            reason(&WaitFacts {
                task_open: true,
                approval: true,
                ..ready
            }),
            WaitReason::TaskOpen
        );
        assert_eq!(
            reason(&WaitFacts {
                task_open: true,
                ..ready
            }),
            WaitReason::NoSlot
        );
        let withheld = WaitFacts {
            withheld: Some(WaitReason::TenantShare),
            ..ready
        };
        assert_eq!(reason(&withheld), WaitReason::TenantShare);
        assert_eq!(
            reason(&WaitFacts {
                slots: Some(0),
                ..withheld
            }),
            WaitReason::NoWorker
        );
    }
}
