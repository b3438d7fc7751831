//! What a person must decide, and how a task of rework goes from delivery to delivery.
use serde::{Deserialize, Serialize};

/// The sort of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// A delivery failed its checks: another one is needed, or a waiver.
    Rework,
    /// A step waits for somebody's consent.
    Approval,
}

impl TaskKind {
    /// Every kind.
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

/// Where a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Nobody has decided.
    Open,
    /// Refused. A task of rework stays until a new delivery passes.
    Rejected,
    /// Agreed to.
    Approved,
    /// What stood in the way was waived.
    Waived,
    /// Nothing is left to decide: the new delivery passed, or the question fell away.
    Closed,
}

impl TaskState {
    /// Every state.
    pub const ALL: [TaskState; 5] =
        [TaskState::Open, TaskState::Rejected, TaskState::Approved, TaskState::Waived, TaskState::Closed];

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
        TaskState::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether something is still waited for.
    pub fn is_pending(self, kind: TaskKind) -> bool {
        self == TaskState::Open || (self == TaskState::Rejected && kind == TaskKind::Rework)
    }
}

/// What a person says to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Agree.
    Approve,
    /// Refuse.
    Reject,
    /// Go on in spite of it.
    Waive,
}

impl Decision {
    /// Every decision.
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
pub enum Undecidable {
    /// It has been decided, as this says.
    Ended(TaskState),
    /// It has been refused before.
    Again,
    /// A delivery that failed is not agreed to; its findings are waived, by name.
    NotApproved,
}

/// What a decision makes of a task.
pub fn decide(kind: TaskKind, state: TaskState, decision: Decision) -> Result<TaskState, Undecidable> {
    if !state.is_pending(kind) {
        return Err(Undecidable::Ended(state));
    }
    match (kind, decision) {
        (TaskKind::Rework, Decision::Approve) => Err(Undecidable::NotApproved),
        (_, Decision::Reject) if state == TaskState::Rejected => Err(Undecidable::Again),
        (_, Decision::Approve) => Ok(TaskState::Approved),
        (_, Decision::Reject) => Ok(TaskState::Rejected),
        (_, Decision::Waive) => Ok(TaskState::Waived),
    }
}

/// A pending task of rework, as far as the rule needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending<'a> {
    /// Hash of the bytes that failed last; empty when they could not be read.
    pub hash: &'a str,
    /// Deliveries so far.
    pub round: u32,
}

/// A delivery that was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged<'a> {
    /// Hash of its bytes; empty when they could not be read.
    pub hash: &'a str,
    /// Whether nothing stands in its way, waived or passed.
    pub passes: bool,
    /// Whether a failure is a person's to decide on.
    pub asks: bool,
}

/// What becomes of the rework of an asset under a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rework {
    /// Nothing.
    Nothing,
    /// A task is opened.
    Open,
    /// The pending task is about the same bytes still; what is wrong is written anew.
    Renew,
    /// The pending task is about a new delivery, which failed too.
    NextRound,
    /// The pending task is done with.
    Close {
        /// Whether new bytes did it.
        redelivered: bool,
    },
}

/// What a judgement means for the rework of its asset. The same judgement twice changes nothing the second time.
pub fn rework(pending: Option<Pending<'_>>, judged: Judged<'_>) -> Rework {
    // Bytes that could not be read are nobody's delivery: what was not seen is not counted as new.
    let other = |known: &str| !judged.hash.is_empty() && known != judged.hash;
    match (pending, judged.passes) {
        (None, true) => Rework::Nothing,
        (None, false) if judged.asks => Rework::Open,
        (None, false) => Rework::Nothing,
        (Some(known), true) => Rework::Close { redelivered: other(known.hash) },
        (Some(known), false) if other(known.hash) && !known.hash.is_empty() => Rework::NextRound,
        (Some(_), false) => Rework::Renew,
    }
}

/// Deliveries counted after a judgement.
pub fn round_after(pending: Option<Pending<'_>>, what: Rework) -> u32 {
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
    fn a_failed_delivery_is_never_approved_and_a_refused_one_may_still_be_waived() {
        use TaskState as S;
        assert_eq!(decide(TaskKind::Rework, S::Open, Decision::Approve), Err(Undecidable::NotApproved));
        assert_eq!(decide(TaskKind::Rework, S::Rejected, Decision::Waive), Ok(S::Waived));
        assert_eq!(decide(TaskKind::Rework, S::Rejected, Decision::Reject), Err(Undecidable::Again));
        assert_eq!(decide(TaskKind::Approval, S::Open, Decision::Approve), Ok(S::Approved));
        assert_eq!(decide(TaskKind::Approval, S::Rejected, Decision::Approve), Err(Undecidable::Ended(S::Rejected)));
    }

    #[derive(Debug, Clone)]
    struct Look {
        hash: u8,
        passes: bool,
        asks: bool,
    }

    fn look() -> impl Strategy<Value = Look> {
        (0u8..4, any::<bool>(), any::<bool>()).prop_map(|(hash, passes, asks)| Look { hash, passes, asks })
    }

    fn name(hash: u8) -> String {
        if hash == 0 { String::new() } else { format!("xxh128:{hash}") }
    }

    proptest! {
        /// Over any history: a pass leaves nothing pending, a task is opened only where one asks, a round is a change of
        /// bytes, and the same judgement again changes nothing.
        #[test]
        fn rounds_count_deliveries(looks in prop::collection::vec(look(), 0..30)) {
            let mut pending: Option<(String, u32)> = None;
            for look in looks {
                let hash = name(look.hash);
                let judged = Judged { hash: &hash, passes: look.passes, asks: look.asks };
                let before = pending.clone();
                let known = before.as_ref().map(|(hash, round)| Pending { hash, round: *round });
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
                    let again = rework(Some(Pending { hash, round: *round }), judged);
                    prop_assert!(look.passes || again == Rework::Renew, "{:?}", again);
                }
                prop_assert!(rounds(&pending) <= 31);
            }
        }

        /// Whatever is decided, a task that is not pending stays as it is.
        #[test]
        fn an_ended_task_stays_ended(kind in 0usize..2, state in 0usize..5, decision in 0usize..3) {
            let (kind, state) = (TaskKind::ALL[kind], TaskState::ALL[state]);
            let decided = decide(kind, state, Decision::ALL[decision]);
            if !state.is_pending(kind) {
                prop_assert_eq!(decided, Err(Undecidable::Ended(state)));
            } else if let Ok(to) = decided {
                prop_assert!(to != state);
            }
        }
    }
}
