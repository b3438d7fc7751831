//! Tasks of people: approvals, and rework over several redeliveries.
use serde::{Deserialize, Serialize};

/// Kind of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// Content failed its checks: a redelivery or a waiver is needed.
    Rework,
    /// A step waits for the consent of a person.
    Approval,
}

impl TaskKind {
    /// Every kind of task.
    pub const ALL: [TaskKind; 2] = [TaskKind::Rework, TaskKind::Approval];

    /// Spelling in SQL, API and CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            TaskKind::Rework => "rework",
            TaskKind::Approval => "approval",
        }
    }

    /// Reads the spelling of [`TaskKind::as_str`].
    pub fn parse(text: &str) -> Option<TaskKind> {
        TaskKind::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// State of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// No decision yet.
    Open,
    /// Refused. A rework task stays pending until a redelivery passes.
    Rejected,
    /// The person agreed.
    Approved,
    /// The findings were waived.
    Waived,
    /// No decision is needed: the redelivery passed, or the unit changed.
    Closed,
}

impl TaskState {
    /// Every state of a task.
    pub const ALL: [TaskState; 5] = [
        TaskState::Open,
        TaskState::Rejected,
        TaskState::Approved,
        TaskState::Waived,
        TaskState::Closed,
    ];

    /// Spelling in SQL, API and CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            TaskState::Open => "open",
            TaskState::Rejected => "rejected",
            TaskState::Approved => "approved",
            TaskState::Waived => "waived",
            TaskState::Closed => "closed",
        }
    }

    /// Reads the spelling of [`TaskState::as_str`].
    pub fn parse(text: &str) -> Option<TaskState> {
        TaskState::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
    }

    /// Whether a decision or a redelivery is outstanding.
    pub fn is_pending(self, kind: TaskKind) -> bool {
        self == TaskState::Open || (self == TaskState::Rejected && kind == TaskKind::Rework)
    }
}

/// Decision of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Agree to the step.
    Approve,
    /// Refuse the content.
    Reject,
    /// Continue in spite of the findings.
    Waive,
}

impl Decision {
    /// Every possible decision.
    pub const ALL: [Decision; 3] = [Decision::Approve, Decision::Reject, Decision::Waive];

    /// Spelling in records, API and CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            Decision::Approve => "approve",
            Decision::Reject => "reject",
            Decision::Waive => "waive",
        }
    }
}

/// Why a decision is not possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionError {
    /// The task has been decided.
    AlreadyDecided(TaskState),
    /// The task has already been rejected.
    AlreadyRejected,
    /// Failed content cannot be approved; its findings are waived by name.
    NotApproved,
}

/// The state of a task after a decision.
pub fn decide(
    kind: TaskKind,
    state: TaskState,
    decision: Decision,
) -> Result<TaskState, DecisionError> {
    if !state.is_pending(kind) {
        return Err(DecisionError::AlreadyDecided(state));
    }
    match (kind, decision) {
        (TaskKind::Rework, Decision::Approve) => Err(DecisionError::NotApproved),
        (_, Decision::Reject) if state == TaskState::Rejected => {
            Err(DecisionError::AlreadyRejected)
        }
        (_, Decision::Approve) => Ok(TaskState::Approved),
        (_, Decision::Reject) => Ok(TaskState::Rejected),
        (_, Decision::Waive) => Ok(TaskState::Waived),
    }
}

/// A pending rework task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingRework<'a> {
    /// Hash of the bytes that failed last; empty when they could not be read.
    pub hash: &'a str,
    /// Number of deliveries so far.
    pub round: u32,
}

/// The verdict of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement<'a> {
    /// Hash of its bytes; empty when they could not be read.
    pub hash: &'a str,
    /// Whether every check passed or is waived.
    pub passes: bool,
    /// Whether a failure opens a task.
    pub asks: bool,
}

/// Change of the rework task of an asset under a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rework {
    /// There is no change.
    Nothing,
    /// A new task opens.
    Open,
    /// The task stays for the same bytes; its findings are updated.
    Renew,
    /// A redelivery failed too: the next round of the task.
    NextRound,
    /// The pending task closes.
    Close {
        /// Whether a redelivery closed it.
        redelivered: bool,
    },
}

/// The change that a verdict causes. Repeating the same verdict changes nothing.
pub fn rework(pending: Option<PendingRework<'_>>, judged: Judgement<'_>) -> Rework {
    // Unreadable bytes are not counted as a redelivery.
    let other = |known: &str| !judged.hash.is_empty() && known != judged.hash;
    match (pending, judged.passes) {
        (None, true) => Rework::Nothing,
        (None, false) if judged.asks => Rework::Open,
        (None, false) => Rework::Nothing,
        (Some(known), true) => Rework::Close {
            redelivered: other(known.hash),
        },
        (Some(known), false) if other(known.hash) && !known.hash.is_empty() => Rework::NextRound,
        (Some(_), false) => Rework::Renew,
    }
}

/// Number of deliveries after a verdict.
pub fn round_after(pending: Option<PendingRework<'_>>, what: Rework) -> u32 {
    let before = pending.map_or(0, |known| known.round);
    match what {
        Rework::Nothing | Rework::Renew | Rework::Close { redelivered: false } => before,
        Rework::Open => 1,
        Rework::NextRound | Rework::Close { redelivered: true } => before.saturating_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_read_back() {
        for kind in TaskKind::ALL {
            assert_eq!(TaskKind::parse(kind.as_str()), Some(kind));
        }
        for state in TaskState::ALL {
            assert_eq!(TaskState::parse(state.as_str()), Some(state));
        }
    }

    #[test]
    fn failed_delivery_is_never_approved_and_rejected_one_can_be_waived() {
        use TaskState as S;
        assert_eq!(
            decide(TaskKind::Rework, S::Open, Decision::Approve),
            Err(DecisionError::NotApproved)
        );
        assert_eq!(
            decide(TaskKind::Rework, S::Rejected, Decision::Waive),
            Ok(S::Waived)
        );
        assert_eq!(
            decide(TaskKind::Rework, S::Rejected, Decision::Reject),
            Err(DecisionError::AlreadyRejected)
        );
        assert_eq!(
            decide(TaskKind::Approval, S::Open, Decision::Approve),
            Ok(S::Approved)
        );
        assert_eq!(
            decide(TaskKind::Approval, S::Rejected, Decision::Approve),
            Err(DecisionError::AlreadyDecided(S::Rejected))
        );
    }

    #[derive(Debug, Clone)]
    struct Look {
        hash: u8,
        passes: bool,
        asks: bool,
    }

    fn look() -> impl Strategy<Value = Look> {
        (0u8..4, any::<bool>(), any::<bool>()).prop_map(|(hash, passes, asks)| Look {
            hash,
            passes,
            asks,
        })
    }

    fn name(hash: u8) -> String {
        if hash == 0 {
            String::new()
        } else {
            format!("xxh128:{hash}")
        }
    }

    proptest! {
        /// Over any history: a pass leaves nothing pending, a task is opened only where one asks, a round is a change of
        /// bytes, and the same judgement again changes nothing.
        #[test]
        fn rounds_count_deliveries(looks in prop::collection::vec(look(), 0..30)) {
            let mut pending: Option<(String, u32)> = None;
            for look in looks {
                let hash = name(look.hash);
                let judged = Judgement { hash: &hash, passes: look.passes, asks: look.asks };
                let before = pending.clone();
                let known = before.as_ref().map(|(hash, round)| PendingRework { hash, round: *round });
                let what = rework(known, judged);
                let round = round_after(known, what);
                pending = match what {
                    Rework::Nothing => before.clone(),
                    Rework::Close { .. } => None,
                    Rework::Renew => before.clone().map(|(was, round)| (if was.is_empty() { hash.clone() } else { was }, round)),
                    Rework::Open | Rework::NextRound => Some((hash.clone(), round)),
                };
                if look.passes {
                    prop_assert!(pending.is_none());
                }
                prop_assert!(look.asks || before.is_some() || pending.is_none());
                let rounds = |p: &Option<(String, u32)>| p.as_ref().map_or(0, |(_, round)| *round);
                if let (Some(old), Some(new)) = (&before, &pending) {
                    prop_assert!(new.1 == old.1 || (new.1 == old.1 + 1 && new.0 != old.0));
                }
                if let Some((hash, round)) = &pending {
                    let again = rework(Some(PendingRework { hash, round: *round }), judged);
                    prop_assert!(look.passes || again == Rework::Renew, "{:?}", again);
                }
                prop_assert!(rounds(&pending) <= 31);
            }
        }

        /// A decision never changes a task that is not pending.
        #[test]
        fn an_ended_task_stays_ended(kind in 0usize..2, state in 0usize..5, decision in 0usize..3) {
            let (kind, state) = (TaskKind::ALL[kind], TaskState::ALL[state]);
            let decided = decide(kind, state, Decision::ALL[decision]);
            if !state.is_pending(kind) {
                prop_assert_eq!(decided, Err(DecisionError::AlreadyDecided(state)));
            } else if let Ok(to) = decided {
                prop_assert!(to != state);
            }
        }
    }
}
