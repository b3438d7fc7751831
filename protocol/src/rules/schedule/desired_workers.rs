//! The number of workers that a kind needs, with an explanation.
use crate::id::Kind;
use crate::time::Timestamp;
use std::time::Duration;

/// Reserve before a deadline for starting a worker and for the last units.
const MARGIN: Duration = Duration::from_secs(120);
/// Scaling up: at most this factor per step, one step every fifteen seconds.
const UP_FACTOR: u32 = 2;
const UP_EVERY: Duration = Duration::from_secs(15);
/// Scaling down: a quarter per minute, after five minutes of lower demand.
const DOWN_AFTER: Duration = Duration::from_secs(300);
const DOWN_EVERY: Duration = Duration::from_secs(60);
/// Target time for the backlog without a deadline.
const PATIENCE: Duration = Duration::from_secs(600);

/// Work with a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueWork {
    /// The deadline of the work.
    pub due: Timestamp,
    /// Number of units.
    pub units: u64,
    /// Total duration of the units on one slot.
    pub service: Duration,
}

/// Demand of one kind of work. `None` is unknown, never zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    /// The kind of work.
    pub kind: Kind,
    /// Units ready for dispatch; `None` when the store did not answer.
    pub ready: Option<u64>,
    /// Units that are leased.
    pub out: Option<u64>,
    /// Mean duration of a unit, when enough have been measured.
    pub mean: Option<Duration>,
    /// Work with a deadline.
    pub due: Vec<DueWork>,
    /// Slots of one worker.
    pub slots_per_worker: u32,
    /// Number of live workers.
    pub workers: u32,
    /// Live workers that hold a unit.
    pub busy_workers: u32,
    /// Units the endpoints in use admit at once, where they are limited.
    pub endpoint_units: Option<u32>,
}

/// Limits of the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerLimits {
    /// Minimum number of workers.
    pub min: u32,
    /// Maximum number of workers.
    pub max: u32,
}

/// The result of the previous decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LastRequest {
    /// Number of workers requested.
    pub workers: u32,
    /// Time of the last change of that number.
    pub changed_at: Timestamp,
    /// Start of the present phase of lower demand.
    pub low_since: Option<Timestamp>,
}

/// The number of workers that a kind needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// Number of workers to run.
    pub workers: u32,
    /// Explanation for people.
    pub why: String,
    /// Whether a value was unknown, so that the previous number is kept.
    pub held: bool,
    /// State for the next decision.
    pub asked: LastRequest,
}

/// Decides for one kind at `now`.
pub fn decide(
    demand: &Demand,
    limits: WorkerLimits,
    before: LastRequest,
    now: Timestamp,
) -> Desired {
    let max = limits.max.max(limits.min);
    let hold = |why: &str| {
        let workers = before.workers.max(demand.workers).clamp(limits.min, max);
        Desired {
            workers,
            why: format!("{workers}: {why}; hold"),
            held: true,
            asked: before,
        }
    };
    let (Some(ready), Some(out)) = (demand.ready, demand.out) else {
        return hold("how much waits is unknown");
    };
    if demand.slots_per_worker == 0 {
        return hold("how many slots a worker has is unknown");
    }
    let (needed, mut why) = needed(demand, ready, out, now);
    // A worker with a unit stays until the unit has ended (case 74), also at lower demand.
    let kept = needed.max(demand.busy_workers);
    if kept > needed {
        why.push(format!("{} workers are busy", demand.busy_workers));
    }
    let bounded = kept.clamp(limits.min, max);
    match bounded {
        n if n < kept => why.push(format!("capped at {max}")),
        n if n > kept => why.push(format!("at least {}", limits.min)),
        _ => {}
    }
    let (workers, asked) = paced(bounded, before, now);
    match workers {
        n if n < bounded => why.push(format!("on the way to {bounded}")),
        n if n > bounded => why.push(format!("on the way down to {bounded}")),
        _ => {}
    }
    Desired {
        workers,
        why: format!("{workers}: {}", why.join("; ")),
        held: false,
        asked,
    }
}

/// Workers needed, independent of the present number, with reasons.
fn needed(demand: &Demand, ready: u64, out: u64, now: Timestamp) -> (u32, Vec<String>) {
    let slots = u64::from(demand.slots_per_worker);
    let mut why = Vec::new();
    let waiting = ready + out;
    if waiting == 0 {
        return (0, vec!["nothing waits".into()]);
    }
    // Workers above the number of units would be idle.
    let useful = waiting.div_ceil(slots);
    let backlog = match demand.mean {
        Some(mean) => {
            let all = u128::from(waiting) * mean.as_micros();
            let rounds = all
                .div_ceil(PATIENCE.as_micros().max(1))
                .div_ceil(u128::from(slots));
            u64::try_from(rounds).unwrap_or(u64::MAX).clamp(1, useful)
        }
        // Without a measurement one worker starts, to get one.
        None => 1,
    };
    let mut need = backlog;
    why.push(format!(
        "{ready} ready and {out} out need {backlog} within {} min",
        PATIENCE.as_secs() / 60
    ));
    let mut due = demand.due.clone();
    due.sort_by_key(|work| work.due);
    let (mut units, mut service) = (0u64, Duration::ZERO);
    for work in due {
        units += work.units;
        service = service.saturating_add(work.service);
        let left = work.due.since(now).saturating_sub(MARGIN).as_micros();
        if left == 0 {
            // A worker that starts now does not meet the deadline, so late work needs as many as a backlog.
            why.push(format!(
                "{units} units due by {} are late whatever starts now, and count as backlog",
                work.due
            ));
            continue;
        }
        let wanted = service
            .as_micros()
            .div_ceil(left)
            .div_ceil(u128::from(slots));
        let wanted = u64::try_from(wanted).unwrap_or(u64::MAX).min(useful);
        if wanted > need {
            need = wanted;
            // What was said of the backlog is no longer the reason; what is late is still said.
            why[0] = format!("{units} units due by {} need {wanted}", work.due);
        }
    }
    if let Some(units) = demand.endpoint_units {
        let usable = u64::from(units).div_ceil(slots).max(1);
        if usable < need {
            need = usable;
            why.push(format!(
                "endpoints take {units} units at once, enough for {usable}"
            ));
        }
    }
    (u32::try_from(need).unwrap_or(u32::MAX), why)
}

/// Limits the change per step: fast up, slow down.
fn paced(wanted: u32, before: LastRequest, now: Timestamp) -> (u32, LastRequest) {
    let since = now.since(before.changed_at);
    if wanted >= before.workers {
        let step = before.workers.saturating_mul(UP_FACTOR).max(1);
        let may = before.workers == 0 || since >= UP_EVERY;
        let workers = if may {
            wanted.min(step)
        } else {
            before.workers
        };
        let changed_at = if workers == before.workers {
            before.changed_at
        } else {
            now
        };
        return (
            workers,
            LastRequest {
                workers,
                changed_at,
                low_since: None,
            },
        );
    }
    let low_since = before.low_since.unwrap_or(now);
    let may = now.since(low_since) >= DOWN_AFTER && since >= DOWN_EVERY;
    if !may {
        return (
            before.workers,
            LastRequest {
                low_since: Some(low_since),
                ..before
            },
        );
    }
    let workers = wanted.max(before.workers - before.workers.div_ceil(4));
    (
        workers,
        LastRequest {
            workers,
            changed_at: now,
            low_since: Some(low_since),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: WorkerLimits = WorkerLimits { min: 0, max: 20 };

    fn demand(ready: u64, out: u64) -> Demand {
        Demand {
            kind: Kind::Transfer,
            ready: Some(ready),
            out: Some(out),
            mean: Some(Duration::from_secs(60)),
            due: Vec::new(),
            slots_per_worker: 8,
            workers: 0,
            busy_workers: 0,
            endpoint_units: None,
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    /// Case 73: an unknown value keeps the number.
    #[test]
    fn unknown_holds() {
        let asked = LastRequest {
            workers: 7,
            ..LastRequest::default()
        };
        let got = decide(
            &Demand {
                ready: None,
                workers: 7,
                ..demand(0, 0)
            },
            LIMITS,
            asked,
            at(9_999),
        );
        assert_eq!((got.workers, got.held), (7, true));
        assert!(
            got.why.contains("unknown") && got.why.contains("hold"),
            "{}",
            got.why
        );
        // Neither has a coordinator that has just started forgotten who lives.
        let got = decide(
            &Demand {
                out: None,
                workers: 4,
                ..demand(0, 0)
            },
            LIMITS,
            LastRequest::default(),
            at(0),
        );
        assert_eq!(got.workers, 4);
    }

    /// Case 74: busy workers stay.
    #[test]
    fn busy_workers_stay() {
        let idle = Demand {
            workers: 6,
            busy_workers: 3,
            ..demand(0, 3)
        };
        let mut asked = LastRequest {
            workers: 6,
            ..LastRequest::default()
        };
        for second in (0..10_000).step_by(15) {
            let got = decide(&idle, LIMITS, asked, at(second));
            assert!(got.workers >= 3, "{}", got.why);
            asked = got.asked;
        }
        assert_eq!(asked.workers, 3);
        let done = Demand {
            busy_workers: 0,
            ..demand(0, 0)
        };
        (0..10_000)
            .step_by(15)
            .for_each(|second| asked = decide(&done, LIMITS, asked, at(20_000 + second)).asked);
        assert_eq!(asked.workers, 0);
    }

    /// Case 75: one unit needs one worker.
    #[test]
    fn one_unit_wakes_one_worker() {
        for mean in [
            None,
            Some(Duration::from_millis(1)),
            Some(Duration::from_secs(86_400)),
        ] {
            let got = decide(
                &Demand {
                    mean,
                    ..demand(1, 0)
                },
                LIMITS,
                LastRequest::default(),
                at(0),
            );
            assert_eq!(got.workers, 1, "{}", got.why);
        }
    }

    #[test]
    fn deadlines_ask_for_more_and_say_so() {
        let due = DueWork {
            due: at(3_720),
            units: 412,
            service: Duration::from_secs(412 * 600),
        };
        let busy = Demand {
            due: vec![due],
            ..demand(412, 0)
        };
        let asked = LastRequest {
            workers: 8,
            ..LastRequest::default()
        };
        let got = decide(&busy, LIMITS, asked, at(0).after(Duration::from_secs(60)));
        // 247,200 s of work on 8 slots a worker within 3,540 s.
        assert_eq!(got.workers, 9, "{}", got.why);
        assert!(
            got.why
                .contains("412 units due by 1970-01-01T01:02:00Z need 9"),
            "{}",
            got.why
        );
        let capped = decide(
            &Demand {
                endpoint_units: Some(16),
                ..busy.clone()
            },
            LIMITS,
            asked,
            at(60),
        );
        assert!(
            capped.why.contains("endpoints take 16 units"),
            "{}",
            capped.why
        );
        let bounded = decide(&busy, WorkerLimits { min: 0, max: 5 }, asked, at(60));
        assert!(bounded.why.contains("capped at 5"), "{}", bounded.why);
    }

    #[test]
    fn late_work_asks_for_the_workers_of_a_backlog() {
        let work = |due| DueWork {
            due: at(due),
            units: 80_000,
            service: Duration::from_secs(160_000),
        };
        let asked = LastRequest {
            workers: 10,
            ..LastRequest::default()
        };
        let limits = WorkerLimits { min: 0, max: 1_000 };
        let wanted = |due: Vec<DueWork>| {
            let demand = Demand {
                mean: Some(Duration::from_secs(2)),
                slots_per_worker: 512,
                due,
                ..demand(80_000, 0)
            };
            decide(&demand, limits, asked, at(10_000))
        };
        let backlog = wanted(Vec::new()).workers;
        for due in [9_000, 10_000, 10_100] {
            let late = wanted(vec![work(due)]);
            assert_eq!(late.workers, backlog, "{}", late.why);
            assert!(
                late.why.contains("are late whatever starts now"),
                "{}",
                late.why
            );
        }
        let both = wanted(vec![work(9_000), work(10_155)]);
        assert!(
            both.workers > backlog && both.why.contains("are late"),
            "{}",
            both.why
        );
    }

    #[test]
    fn up_fast_and_down_slowly() {
        let much = demand(100_000, 0);
        let mut asked = LastRequest::default();
        let mut seen = Vec::new();
        for second in (0..120).step_by(5) {
            asked = decide(&much, LIMITS, asked, at(1_000 + second)).asked;
            seen.push(asked.workers);
        }
        seen.dedup();
        assert_eq!(seen, [1, 2, 4, 8, 16, 20]);
        seen.clear();
        for second in (0..1_200).step_by(15) {
            asked = decide(&demand(0, 0), LIMITS, asked, at(10_000 + second)).asked;
            seen.push(asked.workers);
        }
        assert_eq!(
            seen[..20],
            [20; 20],
            "five minutes of lower demand before a worker leaves"
        );
        seen.dedup();
        assert_eq!(seen, [20, 15, 11, 8, 6, 4, 3, 2, 1, 0]);
    }

    proptest! {
        /// Within the limits, never fewer than the busy ones the limit allows, and waiting work always has a worker.
        #[test]
        fn stays_within_reason(ready in 0u64..1 << 40, out in 0u64..1_000, busy in 0u32..50, min in 0u32..5, max in 1u32..100, asked in 0u32..100, moments in 0i64..1_000_000) {
            let limits = WorkerLimits { min, max };
            let demand = Demand { busy_workers: busy, ..demand(ready, out) };
            let asked = LastRequest { workers: asked.min(max), ..LastRequest::default() };
            let got = decide(&demand, limits, asked, at(moments));
            prop_assert!(got.workers <= max.max(min));
            let wait_for_step = asked.workers > 0;
            prop_assert!(got.workers >= 1 || ready + out == 0 || wait_for_step);
            prop_assert!(got.workers >= busy.min(max).min(asked.workers.max(1)) || busy == 0);
            prop_assert!(!got.why.is_empty() && !got.held);
        }
    }
}
