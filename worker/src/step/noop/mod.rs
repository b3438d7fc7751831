//! Takes time and fails at a given rate, for load tests.
//!
//! How long a unit takes and whether it fails depend on its id and attempt alone, so that a load test is repeatable.
mod execution_log;
mod fault_plan;

pub use execution_log::ExecutionLog;
pub use fault_plan::FaultPlan;

use super::StepContext;
use protocol::failure::Failure;
use protocol::id::UnitId;
use protocol::wire::report::UnitResult;
use protocol::wire::step::noop::NoopTask;
use protocol::wire::unit::Unit;
use std::time::Duration;

/// The shortest wait the runtime's timer can tell from none.
const TIMER_GRAIN: Duration = Duration::from_millis(1);

/// What tests add to the `noop` units of one worker.
#[derive(Debug, Clone, Default)]
pub struct Rehearsal {
    /// Where starts and ends are logged.
    pub log: Option<ExecutionLog>,
    /// Which faults are planted.
    pub faults: FaultPlan,
}

/// Waits as long as the step asks of this unit, then succeeds or fails according to its seeded failure rate.
pub async fn run(task: &NoopTask, unit: &Unit, context: &StepContext) -> UnitResult {
    let Some(log) = &context.rehearsal.log else {
        return take_time(task, unit, context).await;
    };
    log.record(unit, &context.worker.0, "start");
    let result = take_time(task, unit, context).await;
    let event = if matches!(result, UnitResult::Cancelled) {
        "cancelled"
    } else {
        "end"
    };
    log.record(unit, &context.worker.0, event);
    result
}

async fn take_time(task: &NoopTask, unit: &Unit, context: &StepContext) -> UnitResult {
    let (length, fails) = lot(task, unit.id, unit.attempt);
    if context.rehearsal.faults.block {
        std::thread::sleep(length);
    }
    let rest = if context.rehearsal.faults.block {
        Duration::ZERO
    } else {
        length
    };
    if context.cancel.is_cancelled()
        || context
            .cancel
            .run_until_cancelled(wait(rest))
            .await
            .is_none()
    {
        return UnitResult::Cancelled;
    }
    if let Some(failure) = context.rehearsal.faults.failure_of(unit) {
        return UnitResult::Failed(failure);
    }
    if fails {
        let message = format!(
            "unit {} failed on attempt {}, as its job asked for",
            unit.id, unit.attempt
        );
        return UnitResult::Failed(Failure::transient("noop_failed", message));
    }
    UnitResult::Finished {
        facts: Vec::new(),
        failures: Vec::new(),
    }
}

/// Waits. Nothing at all for zero; the timer from a millisecond on (it rounds up to the next one); below that a sleep
/// on a blocking thread, which is true to some 60 µs: spinning would take the processor from what is being measured.
async fn wait(length: Duration) {
    if length.is_zero() {
        return;
    }
    if length >= TIMER_GRAIN {
        return tokio::time::sleep(length).await;
    }
    if let Err(join) = tokio::task::spawn_blocking(move || std::thread::sleep(length)).await {
        tracing::debug!(error = %join, "a short wait was cut off by the runtime's end");
    }
}

/// Length and failure of one attempt.
fn lot(task: &NoopTask, unit: UnitId, attempt: u32) -> (Duration, bool) {
    let mut state = mix(unit.job.0.cast_unsigned());
    for part in [
        u64::from(unit.step.0),
        unit.part.cast_unsigned(),
        u64::from(attempt),
    ] {
        state = mix(state ^ part);
    }
    let span = task.duration_max_us.saturating_sub(task.duration_min_us);
    // Multiplying instead of dividing keeps every length equally likely.
    let above = (u128::from(state) * (u128::from(span) + 1)) >> 64;
    let above = u64::try_from(above).unwrap_or(span);
    let chance = (mix(state) >> 11) as f64 / (1u64 << 53) as f64;
    (
        Duration::from_micros(task.duration_min_us.saturating_add(above)),
        chance < task.fail,
    )
}

/// SplitMix64: written out, since a load test must not change with the version of a library.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::{Effect, Effects};
    use protocol::id::{JobNo, Kind, StepNo, WorkerId};
    use protocol::wire::step::TaskSpec;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};
    use tokio_util::sync::CancellationToken;

    struct NoPages;

    #[async_trait::async_trait]
    impl Effects for NoPages {
        async fn send(&self, _effect: Effect) -> Result<(), Failure> {
            Err(Failure::permanent("unexpected", "a noop lists nothing"))
        }
    }

    fn context() -> StepContext {
        StepContext {
            cancel: CancellationToken::new(),
            worker: WorkerId("w".into()),
            effects: Arc::new(NoPages),
            storage: Arc::default(),
            bytes: Arc::default(),
            tools: Arc::default(),
            rehearsal: Arc::default(),
        }
    }

    fn unit(part: i64, attempt: u32, task: NoopTask) -> Unit {
        let id = UnitId::new(JobNo(1), StepNo(0), part);
        let task = Arc::new(TaskSpec::Noop(task));
        Unit {
            id,
            epoch: 1,
            attempt,
            kind: Kind::Noop,
            task,
            assets: Vec::new(),
            deadline: None,
        }
    }

    fn task(min: u64, max: u64, fail: f64) -> NoopTask {
        NoopTask {
            duration_min_us: min,
            duration_max_us: max,
            fail,
        }
    }

    fn finished() -> UnitResult {
        UnitResult::Finished {
            facts: Vec::new(),
            failures: Vec::new(),
        }
    }

    #[test]
    fn zero_is_done_at_once_and_without_a_timer() {
        let (task, context) = (task(0, 0, 0.0), context());
        let unit = unit(1, 0, task);
        // Outside any runtime: a timer would panic here, and a wait would not be ready.
        let poll = std::pin::pin!(run(&task, &unit, &context))
            .poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(poll, Poll::Ready(finished()));
    }

    #[tokio::test]
    async fn lengths_stay_in_their_range_and_repeat() {
        let task = task(2_000, 9_000, 0.0);
        let mut seen = std::collections::BTreeSet::new();
        for part in 0..200 {
            let (length, _) = lot(&task, unit(part, 0, task).id, 0);
            assert!((2_000..=9_000).contains(&length.as_micros()), "{length:?}");
            assert_eq!(lot(&task, unit(part, 0, task).id, 0).0, length);
            seen.insert(length);
        }
        assert!(
            seen.len() > 150,
            "lengths differ between units: {}",
            seen.len()
        );
        let started = tokio::time::Instant::now();
        assert_eq!(run(&task, &unit(7, 0, task), &context()).await, finished());
        assert!(started.elapsed() >= lot(&task, unit(7, 0, task).id, 0).0);
    }

    #[test]
    fn failures_come_as_often_as_asked_and_another_attempt_draws_again() {
        let task = task(0, 0, 0.25);
        let fails = |part, attempt| lot(&task, unit(part, attempt, task).id, attempt).1;
        let count = (0..4_000).filter(|part| fails(*part, 0)).count();
        assert!(
            (880..=1_120).contains(&count),
            "{count} of 4000 failed, 1000 were asked for"
        );
        assert!((0..100).any(|part| fails(part, 0) && !fails(part, 1)));
        for (fail, all) in [(0.0, 0), (1.0, 100)] {
            let task = NoopTask { fail, ..task };
            assert_eq!(
                (0..100)
                    .filter(|part| lot(&task, unit(*part, 0, task).id, 0).1)
                    .count(),
                all
            );
        }
    }

    #[tokio::test]
    async fn a_failure_is_worth_another_attempt() {
        let task = task(300, 300, 1.0);
        let UnitResult::Failed(failure) = run(&task, &unit(1, 0, task), &context()).await else {
            panic!("a failure rate of 1 fails every unit");
        };
        assert_eq!(failure.reason, "noop_failed");
        assert!(failure.class.retryable());
    }

    #[tokio::test]
    async fn revoking_ends_it_early() {
        let (task, context) = (task(3_600_000_000, 3_600_000_000, 0.0), context());
        let unit = unit(1, 0, task);
        let started = tokio::time::Instant::now();
        let revoke = async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            context.cancel.cancel();
        };
        let (result, ()) = tokio::join!(run(&task, &unit, &context), revoke);
        assert_eq!(result, UnitResult::Cancelled);
        assert!(started.elapsed() < Duration::from_secs(60));
    }
}
