//! Speculative execution: whether a straggler gets a second execution.
use std::time::Duration;

/// A unit is a straggler from this multiple of the 90th percentile.
const MULTIPLE: u32 = 3;
/// Minimum run time of a straggler.
const RUNNING_MIN: Duration = Duration::from_secs(5);

/// Facts about a running unit and the work around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Straggler {
    /// Present run time.
    pub running: Duration,
    /// 90th percentile of its kind and size, when enough units have been measured.
    pub p90: Option<Duration>,
    /// Whether two executions are safe.
    pub idempotent: bool,
    /// Whether other units of its kind wait.
    pub others_wait: bool,
    /// Idle slots of its kind.
    pub free_slots: u32,
    /// Live workers with such slots. A second execution on the same worker would be slow for the same reason.
    pub workers: u32,
}

/// Whether the unit gets a second execution now.
pub fn should_speculate(facts: &Straggler) -> bool {
    let Some(p90) = facts.p90 else { return false };
    let straggles = facts.running >= RUNNING_MIN.max(p90.saturating_mul(MULTIPLE));
    straggles && facts.idempotent && !facts.others_wait && facts.free_slots > 0 && facts.workers > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_straggler_without_waiting_units_is_speculated() {
        let straggler = Straggler {
            running: Duration::from_secs(31),
            p90: Some(Duration::from_secs(10)),
            idempotent: true,
            others_wait: false,
            free_slots: 1,
            workers: 2,
        };
        assert!(should_speculate(&straggler));
        let not = [
            Straggler {
                running: Duration::from_secs(29),
                ..straggler
            },
            Straggler {
                running: Duration::from_secs(4),
                p90: Some(Duration::from_millis(1)),
                ..straggler
            },
            Straggler {
                p90: None,
                ..straggler
            },
            Straggler {
                idempotent: false,
                ..straggler
            },
            Straggler {
                others_wait: true,
                ..straggler
            },
            Straggler {
                free_slots: 0,
                ..straggler
            },
            Straggler {
                workers: 1,
                ..straggler
            },
        ];
        not.iter()
            .for_each(|facts| assert!(!should_speculate(facts), "{facts:?}"));
    }
}
