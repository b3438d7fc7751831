//! Limits and intervals of a coordinator. Each duty declares its own next to its code, with defaults.
use crate::leader::outbox::CleanupConfig;
use crate::leader::rescue::RescueConfig;
use crate::leader::turns::TurnConfig;
use crate::leader::worker_tick::WorkerTickConfig;
use protocol::rules::cluster::retention::RetentionLimits;
use protocol::rules::schedule::endpoint::EndpointLimit;
use protocol::rules::storage::multipart::SliceLimits;
use protocol::rules::unit::lease::LeaseLimits;
use std::time::Duration;
use thiserror::Error;

/// The configuration of a coordinator.
#[derive(Debug, Clone, Default)]
pub struct CoordinatorConfig {
    /// When a lease lapses.
    pub leases: LeaseLimits,
    /// Limits of endpoints, for all units together.
    pub endpoints: Vec<EndpointLimit>,
    /// Which transfers several workers share.
    pub slicing: SliceLimits,
    /// When ended jobs are removed; `None` keeps them.
    pub retention: Option<RetentionLimits>,
    /// Workers are processes of their own and outlive this one: what is out at its start may still run.
    pub shared: bool,
    /// The loop of turns.
    pub turns: TurnConfig,
    /// Taking back lapsed leases.
    pub rescue: RescueConfig,
    /// The list of workers, and quarantine.
    pub workers: WorkerTickConfig,
    /// Cleaning up behind workers that are gone.
    pub cleanup: CleanupConfig,
}

/// A duty that cannot be done with its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{duty}: {what} is zero")]
pub struct InvalidConfig {
    /// The duty that cannot run.
    pub duty: &'static str,
    /// The limit or interval.
    pub what: &'static str,
}

impl CoordinatorConfig {
    /// Refuses intervals and limits of zero: a duty would run without pause or do nothing.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        let CoordinatorConfig {
            turns,
            rescue,
            workers,
            cleanup,
            ..
        } = self;
        let durations: [(&str, &str, Duration); 8] = [
            ("turns", "the interval", turns.every),
            ("turns", "the standstill", turns.standstill),
            ("rescue", "the interval", rescue.every),
            ("rescue", "the age of a missing unit", rescue.unseen),
            ("workers", "the interval", workers.every),
            (
                "workers",
                "the interval of health checks",
                workers.judge_every,
            ),
            ("cleanup", "the interval", cleanup.every),
            (
                "cleanup",
                "the idle time of a dead consumer",
                cleanup.dead_idle,
            ),
        ];
        let zero = durations
            .into_iter()
            .find(|(.., duration)| duration.is_zero());
        let zero = zero.map(|(duty, what, _)| InvalidConfig { duty, what });
        let page = (rescue.page == 0).then_some(InvalidConfig {
            duty: "rescue",
            what: "the page",
        });
        zero.or(page).map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_default_is_valid_and_zero_is_named() {
        assert_eq!(CoordinatorConfig::default().validate(), Ok(()));
        let rescue = RescueConfig {
            every: Duration::ZERO,
            ..RescueConfig::default()
        };
        let refused = CoordinatorConfig {
            rescue,
            ..CoordinatorConfig::default()
        }
        .validate();
        assert_eq!(
            refused.map_err(|error| error.to_string()),
            Err("rescue: the interval is zero".to_owned())
        );
        let rescue = RescueConfig {
            page: 0,
            ..RescueConfig::default()
        };
        let refused = CoordinatorConfig {
            rescue,
            ..CoordinatorConfig::default()
        }
        .validate();
        assert_eq!(
            refused.map_err(|error| error.to_string()),
            Err("rescue: the page is zero".to_owned())
        );
    }
}
