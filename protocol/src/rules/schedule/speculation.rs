//! Whether a unit that runs far longer than its like gets a second execution.
use std::time::Duration;

/// A unit straggles when it runs this many times as long as nine of ten do.
const MULTIPLE: u32 = 3;
/// Below this nothing is worth a copy.
const RUNNING_MIN: Duration = Duration::from_secs(5);

/// Facts about a running unit and the work around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Straggler {
    /// How long it has run.
    pub running: Duration,
    /// What nine of ten units of its kind and size do not exceed, when enough have been measured.
    pub p90: Option<Duration>,
    /// Whether running it twice does no harm.
    pub idempotent: bool,
    /// Whether units of its kind wait.
    pub others_wait: bool,
    /// Slots of its kind that nobody needs.
    pub free_slots: u32,
    /// Live workers with such slots: a copy on the same worker would be slow for the same reason.
    pub workers: u32,
}

/// Whether it gets a copy now.
pub fn deserves_copy(facts: &Straggler) -> bool {
    let Some(p90) = facts.p90 else { return false };
    let straggles = facts.running >= RUNNING_MIN.max(p90.saturating_mul(MULTIPLE));
    straggles && facts.idempotent && !facts.others_wait && facts.free_slots > 0 && facts.workers > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_straggler_nobody_waits_behind_gets_a_copy() {
        let straggler = Straggler {
            running: Duration::from_secs(31),
            p90: Some(Duration::from_secs(10)),
            idempotent: true,
            others_wait: false,
            free_slots: 1,
            workers: 2,
        };
        assert!(deserves_copy(&straggler));
        let not = [
            Straggler { running: Duration::from_secs(29), ..straggler },
            Straggler { running: Duration::from_secs(4), p90: Some(Duration::from_millis(1)), ..straggler },
            Straggler { p90: None, ..straggler },
            Straggler { idempotent: false, ..straggler },
            Straggler { others_wait: true, ..straggler },
            Straggler { free_slots: 0, ..straggler },
            Straggler { workers: 1, ..straggler },
        ];
        not.iter().for_each(|facts| assert!(!deserves_copy(facts), "{facts:?}"));
    }
}
