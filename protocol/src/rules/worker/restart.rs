//! Restart budget of the tasks of a process. Above it the process ends, so that another one takes over.
use crate::time::Timestamp;
use std::time::Duration;

/// Restarts allowed within a time window.
#[derive(Debug, Clone, Copy)]
pub struct RestartBudget {
    /// Restarts within the window.
    pub restarts_max: usize,
    /// Length of the window.
    pub window: Duration,
}

impl Default for RestartBudget {
    fn default() -> RestartBudget {
        RestartBudget {
            restarts_max: 5,
            window: Duration::from_secs(60),
        }
    }
}

/// Whether a crashed task restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartDecision {
    /// The task restarts.
    Restart,
    /// The process ends: restarts do not fix the cause.
    GiveUp,
}

/// Decides after a crash at `now`, given the earlier ones in any order.
pub fn decide(budget: RestartBudget, earlier: &[Timestamp], now: Timestamp) -> RestartDecision {
    let recent = earlier
        .iter()
        .filter(|at| now.since(**at) < budget.window)
        .count();
    if recent >= budget.restarts_max {
        RestartDecision::GiveUp
    } else {
        RestartDecision::Restart
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_loop_gives_up_and_rare_crashes_do_not() {
        let budget = RestartBudget {
            restarts_max: 2,
            window: Duration::from_secs(10),
        };
        let at = |s: i64| Timestamp(s * 1_000_000);
        assert_eq!(decide(budget, &[at(1)], at(2)), RestartDecision::Restart);
        assert_eq!(
            decide(budget, &[at(1), at(2)], at(3)),
            RestartDecision::GiveUp
        );
        assert_eq!(
            decide(budget, &[at(1), at(2)], at(20)),
            RestartDecision::Restart
        );
    }
}
