//! How often a part of a process may fall over before the process itself gives up and lets another take over.
use crate::time::Timestamp;
use std::time::Duration;

/// Restarts allowed.
#[derive(Debug, Clone, Copy)]
pub struct RestartBudget {
    /// Restarts within the window.
    pub restarts_max: usize,
    /// The window.
    pub window: Duration,
}

impl Default for RestartBudget {
    fn default() -> RestartBudget {
        RestartBudget { restarts_max: 5, window: Duration::from_secs(60) }
    }
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartDecision {
    /// Start it again.
    Restart,
    /// Leave: something is wrong that restarting does not mend.
    GiveUp,
}

/// Decides after a crash at `now`, given the earlier ones in any order.
pub fn decide(budget: RestartBudget, earlier: &[Timestamp], now: Timestamp) -> RestartDecision {
    let recent = earlier.iter().filter(|at| now.since(**at) < budget.window).count();
    if recent >= budget.restarts_max { RestartDecision::GiveUp } else { RestartDecision::Restart }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_loop_gives_up_and_rare_crashes_do_not() {
        let budget = RestartBudget { restarts_max: 2, window: Duration::from_secs(10) };
        let at = |s: i64| Timestamp(s * 1_000_000);
        assert_eq!(decide(budget, &[at(1)], at(2)), RestartDecision::Restart);
        assert_eq!(decide(budget, &[at(1), at(2)], at(3)), RestartDecision::GiveUp);
        assert_eq!(decide(budget, &[at(1), at(2)], at(20)), RestartDecision::Restart);
    }
}
