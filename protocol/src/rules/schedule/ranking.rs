//! Ranking of steps for the next slots of a kind: classes with reserved shares, shares for light work, fair shares between
//! tenants, and then the job with the least slack.
//!
//! One call visits every claimant once or twice and grants runs of units, never single units.
use super::fairness::{Usage, is_above_share, out_max};
use super::wait_reason::WaitReason;
use crate::model::priority::Priority;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// Of a hundred granted units, these are reserved for waiting normal and bulk work.
const RESERVED_PERCENT: [(Priority, u64); 2] = [(Priority::Normal, 20), (Priority::Bulk, 10)];
/// Units with a longer typical duration are heavy.
pub const HEAVY: Duration = Duration::from_secs(60);
/// From this number of slots, one in eight (at least one) is kept free of heavy work; one in four while light work waits.
const KEPT_FROM_SLOTS: u32 = 4;
/// A job without a deadline is ranked as if it were due after this time, so it moves up while it waits.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// A step of a job that may have units to dispatch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claimant {
    /// Class of its job.
    pub class: Priority,
    /// Tenant of its job within its class, by number; usage in other classes does not count.
    pub tenant: usize,
    /// Latest start of its job: see [`latest_start`].
    pub latest_start: Timestamp,
    /// Tie breaker: later steps of a job first, then older jobs.
    pub place: (i64, i64),
    /// Maximum number of units it could dispatch.
    pub wanted: u32,
    /// Leased units of the step.
    pub out: u32,
    /// Whether its units are heavy.
    pub heavy: bool,
}

/// Capacity of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// Units that may be dispatched now.
    pub room: u32,
    /// Maximum number of leased units.
    pub window: u32,
    /// Slots of workers that take work.
    pub slots: u32,
}

/// Saved shares of lower classes in hundredths of a unit. They may be lost, since they build up again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credits(BTreeMap<Priority, u64>);

/// Units for a claimant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Index of the claimant.
    pub claimant: usize,
    /// Number of granted units.
    pub units: u32,
}

/// Grants of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HandOut {
    /// Grants in ranking order.
    pub grants: Vec<Grant>,
    /// For each claimant with less than it wanted: the wait reason.
    pub withheld: Vec<Option<WaitReason>>,
}

/// The latest start that meets the deadline, when `remaining` is the p90 of the remaining work. The least slack (deadline − now
/// − remaining) has the earliest latest start.
pub fn latest_start(
    deadline: Option<Timestamp>,
    submitted: Timestamp,
    remaining: Duration,
) -> Timestamp {
    let due = deadline.unwrap_or_else(|| submitted.after(PATIENCE));
    Timestamp(
        due.0
            .saturating_sub(i64::try_from(remaining.as_micros()).unwrap_or(i64::MAX)),
    )
}

/// Grants `pool.room` units of one kind. `usage` is the usage of each tenant, by number.
pub fn hand_out(
    pool: Pool,
    claimants: &[Claimant],
    usage: &[Usage],
    credits: &mut Credits,
) -> HandOut {
    let mut round = Round::new(pool, claimants, usage);
    let waits = |class: Priority| claimants.iter().any(|c| c.class == class && c.wanted > 0);
    let higher = |class: Priority| claimants.iter().any(|c| c.class < class && c.wanted > 0);
    for (class, percent) in RESERVED_PERCENT {
        let credit = credits.0.entry(class).or_default();
        if !waits(class) || !higher(class) {
            *credit = 0;
            continue;
        }
        *credit += percent * u64::from(pool.room);
        let due = u32::try_from(*credit / 100).unwrap_or(u32::MAX);
        let given = round.class(class, due);
        // Unused credit is saved up to the share of one window.
        let kept = *credit - u64::from(given) * 100;
        *credit = kept.min(percent * u64::from(pool.window.max(1)) + 99);
    }
    for class in [Priority::Urgent, Priority::Normal, Priority::Bulk] {
        let left = round.left;
        round.class(class, left);
    }
    round.finish()
}

struct Round<'a> {
    claimants: &'a [Claimant],
    order: Vec<usize>,
    given: Vec<u32>,
    granted: Vec<Grant>,
    withheld: Vec<Option<WaitReason>>,
    left: u32,
    heavy_left: u32,
    window: u64,
    usage: Vec<Usage>,
}

impl<'a> Round<'a> {
    fn new(pool: Pool, claimants: &'a [Claimant], usage: &[Usage]) -> Round<'a> {
        let mut order: Vec<usize> = (0..claimants.len())
            .filter(|i| claimants[*i].wanted > 0)
            .collect();
        order.sort_by_key(|i| (claimants[*i].latest_start, claimants[*i].place));
        Round {
            claimants,
            order,
            given: vec![0; claimants.len()],
            granted: Vec::new(),
            withheld: vec![None; claimants.len()],
            left: pool.room,
            heavy_left: heavy_left(pool, claimants),
            window: u64::from(pool.window),
            usage: usage.to_vec(),
        }
    }

    /// Grants at most `most` units to a class: first to tenants within both shares, then to those within the share of
    /// processing time, then to all.
    fn class(&mut self, class: Priority, most: u32) -> u32 {
        let mut budget = most.min(self.left);
        let before = budget;
        let shares = self.shares(class);
        for pass in 0..3 {
            for at in 0..self.order.len() {
                let i = self.order[at];
                let claimant = &self.claimants[i];
                if budget == 0 {
                    break;
                }
                if claimant.class != class
                    || (pass < 2 && shares.above(&self.usage, claimant.tenant))
                {
                    continue;
                }
                let held = self.usage[claimant.tenant].out;
                let share = if pass == 0 {
                    shares.out_max.saturating_sub(held)
                } else {
                    u64::MAX
                };
                let heavy = if claimant.heavy {
                    self.heavy_left
                } else {
                    u32::MAX
                };
                let wanted = claimant.wanted - self.given[i];
                let units = wanted
                    .min(budget)
                    .min(heavy)
                    .min(u32::try_from(share).unwrap_or(u32::MAX));
                if units == 0 {
                    continue;
                }
                budget -= units;
                self.give(i, units);
            }
        }
        before - budget
    }

    fn give(&mut self, i: usize, units: u32) {
        let claimant = &self.claimants[i];
        self.left -= units;
        self.given[i] += units;
        self.usage[claimant.tenant].out += u64::from(units);
        if claimant.heavy {
            self.heavy_left -= units;
        }
        match self.granted.last_mut().filter(|last| last.claimant == i) {
            Some(last) => last.units += units,
            None => self.granted.push(Grant { claimant: i, units }),
        }
    }

    /// The shares of the tenants with waiting units of a class; other tenants do not count.
    fn shares(&self, class: Priority) -> Shares {
        let mut wants = vec![false; self.usage.len()];
        self.claimants
            .iter()
            .filter(|c| c.class == class && c.wanted > 0)
            .for_each(|c| wants[c.tenant] = true);
        let tenants = wants.iter().filter(|wants| **wants).count() as u64;
        let busy = self
            .usage
            .iter()
            .zip(&wants)
            .filter(|(_, wants)| **wants)
            .map(|(own, _)| own.busy_us);
        Shares {
            tenants,
            all: Usage {
                out: 0,
                busy_us: busy.sum(),
            },
            out_max: out_max(self.window, tenants),
        }
    }

    fn finish(mut self) -> HandOut {
        let classes = [Priority::Urgent, Priority::Normal, Priority::Bulk]
            .map(|class| (class, self.shares(class)));
        let shares: BTreeMap<Priority, Shares> = classes.into_iter().collect();
        let got: Vec<bool> = self.given.iter().map(|n| *n > 0).collect();
        for i in std::mem::take(&mut self.order) {
            let claimant = &self.claimants[i];
            if self.given[i] >= claimant.wanted {
                continue;
            }
            let took = |filter: &dyn Fn(&Claimant) -> bool| {
                self.claimants
                    .iter()
                    .zip(&got)
                    .any(|(other, got)| *got && filter(other))
            };
            self.withheld[i] = Some(if claimant.heavy && self.heavy_left == 0 && self.left > 0 {
                WaitReason::ClassShare
            } else if shares[&claimant.class].used_up(&self.usage, claimant.tenant)
                && took(&|o| o.tenant != claimant.tenant)
            {
                WaitReason::TenantShare
            } else if took(&|o| o.class < claimant.class) {
                WaitReason::ClassShare
            } else {
                WaitReason::NoSlot
            });
        }
        HandOut {
            grants: self.granted,
            withheld: self.withheld,
        }
    }
}

/// Heavy units that may be granted: some slots are reserved, so that light work never waits for the end of a heavy unit.
fn heavy_left(pool: Pool, claimants: &[Claimant]) -> u32 {
    if pool.slots < KEPT_FROM_SLOTS {
        return pool.room;
    }
    let light_waits = claimants.iter().any(|c| !c.heavy && c.wanted > 0);
    let kept = (pool.slots / if light_waits { 4 } else { 8 }).max(1);
    let out: u32 = claimants.iter().filter(|c| c.heavy).map(|c| c.out).sum();
    (pool.slots - kept).saturating_sub(out).min(pool.room)
}

/// Equal shares among tenants with waiting units.
#[derive(Debug, Clone, Copy)]
struct Shares {
    tenants: u64,
    all: Usage,
    /// Units a tenant may hold before the others have their part.
    out_max: u64,
}

impl Shares {
    /// Whether a tenant used more processing time than its share.
    fn above(&self, usage: &[Usage], tenant: usize) -> bool {
        is_above_share(usage[tenant], self.all, self.tenants)
    }

    fn used_up(&self, usage: &[Usage], tenant: usize) -> bool {
        usage[tenant].out >= self.out_max || self.above(usage, tenant)
    }
}

#[cfg(test)]
mod tests;
