//! Owns the running units. Receives `Execute` and `Revoke`; each unit becomes a task on the multi-thread runtime, so a
//! panic fails one unit, and a busy unit delays no heartbeat.
use super::drain_deadline::DrainDeadline;
use super::exit::ExitGuard;
use super::running::{Begun, Running};
use crate::metrics::WorkerMetrics;
use crate::outbox::Outbox;
use crate::queue::{QueueError, REPORT_TOO_LONG, WorkQueue};
use crate::step::noop::Rehearsal;
use crate::step::{self, Effect, Effects, Registry, StepContext, Tools};
use actix::{Actor, Context, Handler, Message};
use async_trait::async_trait;
use futures_util::FutureExt;
use protocol::failure::Failure;
use protocol::id::WorkerId;
use protocol::wire::report::{Outcome, Report, UnitResult};
use protocol::wire::step::TaskSpec;
use protocol::wire::unit::Unit;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use tokio::runtime::Handle;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, OwnedSemaphorePermit, RwLock};
use tokio_util::sync::CancellationToken;

/// What every execution shares.
#[derive(Clone)]
pub struct Execution {
    /// Incarnation of the worker, as reports name it.
    pub worker: WorkerId,
    /// The runtime units run on.
    pub runtime: Handle,
    /// Where reports go.
    pub outbox: Outbox,
    /// The transport, for pages of listings: they are large and must wait for the coordinator one by one.
    pub queue: Arc<dyn WorkQueue>,
    /// What is under way.
    pub running: Running,
    /// Whether the worker takes no more work.
    pub draining: Arc<AtomicBool>,
    /// Media programs, with their time limits.
    pub tools: Arc<Tools>,
    /// What tests add to `noop` units.
    pub rehearsal: Arc<Rehearsal>,
    /// Storage of every kind.
    pub storage: Arc<Registry>,
    /// When the worker must be gone.
    pub drain_deadline: Arc<DrainDeadline>,
    /// Held by every execution; alone by one that runs alone.
    pub turns: Arc<RwLock<()>>,
    /// What is counted.
    pub metrics: WorkerMetrics,
}

impl Execution {
    /// Gives units back that have not started: no attempt is used.
    pub async fn hand_back(&self, units: Vec<Unit>) {
        for unit in units {
            let (worker, result) = (self.worker.clone(), UnitResult::Returned);
            let outcome = Outcome {
                unit: unit.id,
                epoch: unit.epoch,
                worker,
                result,
                duration_us: 0,
            };
            self.outbox.send(Report::Settled(outcome)).await;
        }
    }
}

impl Execution {
    /// Says that nothing was done for a unit that was taken back, so that its entry leaves the transport.
    async fn give_up(&self, unit: Unit) {
        let (worker, result) = (self.worker.clone(), UnitResult::Cancelled);
        let outcome = Outcome {
            unit: unit.id,
            epoch: unit.epoch,
            worker,
            result,
            duration_us: 0,
        };
        self.outbox.send(Report::Settled(outcome)).await;
    }
}

/// Actor that starts and revokes executions.
pub struct Executor {
    execution: Execution,
    _exit: ExitGuard,
}

impl Executor {
    /// An executor; `exit` tells the supervisor when it is gone.
    pub fn new(execution: Execution, exit: ExitGuard) -> Executor {
        Executor {
            execution,
            _exit: exit,
        }
    }
}

impl Actor for Executor {
    type Context = Context<Self>;
}

/// Run these units, each in the slot that comes with it.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Execute(pub Vec<(Unit, OwnedSemaphorePermit)>);

impl Handler<Execute> for Executor {
    type Result = ();

    fn handle(&mut self, Execute(units): Execute, _: &mut Context<Self>) {
        for (unit, slot) in units {
            if self.execution.draining.load(Ordering::Relaxed) {
                let execution = self.execution.clone();
                drop(
                    self.execution
                        .runtime
                        .spawn(async move { execution.hand_back(vec![unit]).await }),
                );
                continue;
            }
            let token = CancellationToken::new();
            // The coordinator may have taken the unit back and given it to us again.
            let begun = self
                .execution
                .running
                .begin(unit.id, unit.epoch, token.clone());
            let execution = self.execution.clone();
            drop(self.execution.runtime.spawn(async move {
                match begun {
                    Begun::Runs(bytes) => execute(unit, token, bytes, &execution).await,
                    Begun::Outdated => execution.give_up(unit).await,
                    Begun::Already => {
                        tracing::debug!(unit.id = %unit.id, "handed over twice; it runs already")
                    }
                }
                drop(slot);
            }));
        }
    }
}

/// Stop these executions.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Revoke(pub Vec<protocol::id::Execution>);

impl Handler<Revoke> for Executor {
    type Result = ();

    fn handle(&mut self, Revoke(executions): Revoke, _: &mut Context<Self>) {
        for execution in executions {
            self.execution
                .running
                .revoke(execution.unit, execution.epoch);
        }
    }
}

/// Waits until a unit may run: at once as a rule, when nothing else runs for one that runs alone. Of that the coordinator
/// hears before it begins, so that it knows what to make of a worker that falls silent.
async fn turn(unit: &Unit, execution: &Execution) -> Turn {
    if !matches!(unit.task.as_ref(), TaskSpec::Alone(_)) {
        return Turn::Shared(Arc::clone(&execution.turns).read_owned().await);
    }
    let turn = Arc::clone(&execution.turns).write_owned().await;
    let report = Report::Isolated {
        execution: unit.id.execution(unit.epoch),
        worker: execution.worker.clone(),
    };
    if let Err(error) = execution.queue.report(vec![report]).await {
        tracing::debug!(%error, "that a unit runs alone could not be reported");
    }
    Turn::Alone(turn)
}

/// Held while an execution runs.
#[expect(dead_code, reason = "a guard is held, never looked at")]
enum Turn {
    Shared(OwnedRwLockReadGuard<()>),
    Alone(OwnedRwLockWriteGuard<()>),
}

async fn execute(
    unit: Unit,
    cancel: CancellationToken,
    bytes: Arc<AtomicU64>,
    execution: &Execution,
) {
    let turn = cancel.run_until_cancelled(turn(&unit, execution)).await;
    let started = Instant::now();
    let context = StepContext {
        cancel,
        worker: execution.worker.clone(),
        effects: Arc::new(Reports(Arc::clone(&execution.queue))),
        bytes,
        tools: Arc::clone(&execution.tools),
        rehearsal: Arc::clone(&execution.rehearsal),
        storage: Arc::clone(&execution.storage),
    };
    // What would not end before this worker is gone goes back at once, without using an attempt.
    let allowed = execution.drain_deadline.allows(&unit);
    let result = if allowed {
        run_caught(&unit, &context).await
    } else {
        UnitResult::Returned
    };
    let outcome = Outcome {
        unit: unit.id,
        epoch: unit.epoch,
        worker: execution.worker.clone(),
        result,
        duration_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
    };
    if matches!(outcome.result, UnitResult::Finished { .. }) {
        execution
            .drain_deadline
            .record_duration(&unit, outcome.duration_us);
    }
    drop(turn);
    execution
        .metrics
        .executed(unit.kind, &outcome.result, started.elapsed());
    execution.outbox.send(Report::Settled(outcome)).await;
    execution.running.end(unit.id, unit.epoch);
}

async fn run_caught(unit: &Unit, context: &StepContext) -> UnitResult {
    match AssertUnwindSafe(step::run(unit, context))
        .catch_unwind()
        .await
    {
        Ok(result) => result,
        Err(panic) => {
            let what = panic_text(panic.as_ref());
            tracing::error!(unit.id = %unit.id, panic = %what, "a unit panicked");
            UnitResult::Failed(Failure::transient(
                "panic",
                format!("the task panicked: {what}"),
            ))
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}

/// Pages go straight to the transport: a page is in it before the end of its scan is reported, so their order holds.
struct Reports(Arc<dyn WorkQueue>);

/// What was removed, in one message: each names two locations.
const BURIALS_MAX: usize = 128;

/// Why the coordinator did not get what a step sent it.
fn untaken(error: QueueError) -> Failure {
    match error {
        QueueError::TooLong(error) => {
            Failure::permanent(REPORT_TOO_LONG, format!("a part of a listing: {error}"))
        }
        _ => Failure::transient(
            "coordinator_gone",
            "the coordinator no longer takes what this worker reports",
        ),
    }
}

#[async_trait]
impl Effects for Reports {
    async fn send(&self, effect: Effect) -> Result<(), Failure> {
        match effect {
            Effect::Page { page, last_key } => {
                self.0.room().await;
                self.0
                    .report(vec![Report::Page {
                        page,
                        up_to: last_key,
                    }])
                    .await
                    .map_err(untaken)
            }
            Effect::Tombstones {
                unit,
                epoch,
                burials,
            } => {
                let execution = protocol::id::Execution { unit, epoch };
                for few in burials.chunks(BURIALS_MAX) {
                    let report = Report::Buried {
                        execution,
                        burials: few.to_vec(),
                    };
                    self.0.report(vec![report]).await.map_err(untaken)?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::{JobNo, StepNo, UnitId};

    /// An entry that waited in the transport while its unit was taken back and handed over again under a new epoch.
    #[test]
    fn execution_of_an_earlier_epoch_stops_none_of_a_later_one() {
        let (running, unit) = (Running::default(), UnitId::new(JobNo(1), StepNo::SCAN, 0));
        let token = CancellationToken::new();
        assert!(matches!(
            running.begin(unit, 2, token.clone()),
            Begun::Runs(_)
        ));
        assert!(matches!(
            running.begin(unit, 1, CancellationToken::new()),
            Begun::Outdated
        ));
        assert!(matches!(
            running.begin(unit, 2, CancellationToken::new()),
            Begun::Already
        ));
        assert!(!token.is_cancelled(), "it keeps running");
        assert_eq!(running.held(), [unit.execution(2)]);
        assert!(matches!(
            running.begin(unit, 3, CancellationToken::new()),
            Begun::Runs(_)
        ));
        assert!(token.is_cancelled(), "only a later epoch replaces it");
    }
}
