//! Owns the factories of its children and starts a fallen one again with fresh state, within a budget. actix's own
//! supervisor does not survive a panic, so this one listens to guards that the children drop.
use super::consumer::{Consumer, Resume};
use super::executor::{Execution, Executor, Revoke};
use super::exit::{Child, ChildExited, ExitGuard};
use super::heartbeat::{Heartbeat, Pulse};
use super::vitals::Vitals;
use crate::queue::WorkQueue;
use actix::{Actor, Addr, Arbiter, AsyncContext, Context, Handler, Message, ResponseFuture};
use protocol::id::Kind;
use protocol::rules::worker::restart::{RestartBudget, RestartDecision, decide};
use protocol::time::Timestamp;
use protocol::wire::control::Control;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What a worker is made of.
#[derive(Clone)]
pub struct Parts {
    /// Transport that delivers units and carries reports.
    pub queue: Arc<dyn WorkQueue>,
    /// Where signs of life go.
    pub pulse: Pulse,
    /// What executions share.
    pub execution: Execution,
    /// What heartbeats show.
    pub vitals: Vitals,
    /// Called when the worker can no longer go on.
    pub give_up: Arc<dyn Fn() + Send + Sync>,
    /// Cancelled when an operator asks this worker to leave.
    pub leave: CancellationToken,
}

/// Actor that owns the other actors of a worker and restarts them.
pub struct WorkerSupervisor {
    parts: Parts,
    executor: Option<Addr<Executor>>,
    consumers: BTreeMap<Kind, Addr<Consumer>>,
    heartbeat: Option<Arbiter>,
    /// Asks for a sign of life at once.
    beat_now: Arc<Notify>,
    crashes: Vec<Timestamp>,
    started: Instant,
    draining: bool,
    stopping: bool,
}

impl WorkerSupervisor {
    /// A supervisor with no children yet.
    pub fn new(parts: Parts) -> WorkerSupervisor {
        WorkerSupervisor {
            parts,
            executor: None,
            consumers: BTreeMap::new(),
            heartbeat: None,
            beat_now: Arc::default(),
            crashes: Vec::new(),
            started: Instant::now(),
            draining: false,
            stopping: false,
        }
    }

    fn start(&mut self, child: Child, me: &Addr<WorkerSupervisor>) {
        let exit = ExitGuard::new(child, me.clone().recipient());
        match child {
            Child::Executor => {
                let execution = self.parts.execution.clone();
                self.executor = Some(Executor::create(|ctx| {
                    ctx.set_mailbox_capacity(64);
                    Executor::new(execution, exit)
                }));
            }
            Child::Consumer(kind) => {
                let Some(executor) = self.executor.clone() else {
                    return;
                };
                let Some(slots) = self.parts.vitals.slots.get(&kind) else {
                    return;
                };
                let (queue, vitals) = (Arc::clone(&self.parts.queue), &self.parts.vitals);
                let (drain_deadline, draining) = (
                    Arc::clone(&vitals.drain_deadline),
                    Arc::clone(&vitals.draining),
                );
                let consumer = Consumer::new(
                    kind,
                    slots.clone(),
                    queue,
                    executor,
                    drain_deadline,
                    draining,
                    exit,
                );
                self.consumers.insert(kind, consumer.start());
            }
            Child::Heartbeat => {
                let (vitals, pulse) = (self.parts.vitals.clone(), self.parts.pulse.clone());
                let (arbiter, now) = (Arbiter::new(), Arc::clone(&self.beat_now));
                let heartbeat = move |_: &mut _| Heartbeat::new(vitals, pulse, now, exit);
                drop(Heartbeat::start_in_arbiter(&arbiter.handle(), heartbeat));
                self.heartbeat = Some(arbiter);
            }
        }
    }

    fn start_all(&mut self, me: &Addr<WorkerSupervisor>) {
        self.start(Child::Executor, me);
        let kinds: Vec<Kind> = self.parts.vitals.slots.keys().copied().collect();
        for kind in kinds {
            self.start(Child::Consumer(kind), me);
        }
        self.start(Child::Heartbeat, me);
    }
}

impl Actor for WorkerSupervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(64);
        self.start_all(&ctx.address());
        let queue = Arc::clone(&self.parts.queue);
        let (me, running) = (ctx.address(), self.parts.execution.running.clone());
        let (worker, leave) = (self.parts.vitals.worker.clone(), self.parts.leave.clone());
        drop(self.parts.execution.runtime.spawn(async move {
            while let Ok(message) = queue.control().await {
                match message {
                    Control::Revoke(executions) => {
                        // A full mailbox must not hold a cancellation back.
                        for execution in &executions {
                            running.revoke(execution.unit, execution.epoch);
                        }
                        if me.send(Revoke(executions)).await.is_err() {
                            return;
                        }
                    }
                    Control::Drain(whom) if whom == worker => {
                        if me.send(StopConsuming).await.is_err() {
                            return;
                        }
                        leave.cancel();
                    }
                    Control::Hold(whom) if whom == worker => {
                        if me.send(StopConsuming).await.is_err() {
                            return;
                        }
                    }
                    Control::Release(whom) if whom == worker => {
                        if me.send(ResumeConsuming).await.is_err() {
                            return;
                        }
                    }
                    // One stream for all workers: what is for another is none of our business.
                    Control::Drain(_) | Control::Hold(_) | Control::Release(_) => {}
                }
            }
        }));
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        if let Some(arbiter) = self.heartbeat.take() {
            arbiter.stop();
        }
    }
}

impl Handler<ChildExited> for WorkerSupervisor {
    type Result = ();

    fn handle(&mut self, ChildExited(child): ChildExited, ctx: &mut Context<Self>) {
        // A worker that takes no work has no use for consumers until it is released.
        let drained = self.draining && matches!(child, Child::Consumer(_));
        if self.stopping || drained {
            return;
        }
        let now = Timestamp(i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX));
        let decision = decide(RestartBudget::default(), &self.crashes, now);
        self.crashes.push(now);
        tracing::error!(
            ?child,
            ?decision,
            "an actor of the worker stopped unexpectedly"
        );
        if decision == RestartDecision::GiveUp {
            self.stopping = true;
            (self.parts.give_up)();
            return;
        }
        self.start(child, &ctx.address());
        if child == Child::Executor {
            // Consumers hold the address of the executor that is gone.
            let kinds: Vec<Kind> = self.consumers.keys().copied().collect();
            for kind in kinds {
                self.start(Child::Consumer(kind), &ctx.address());
            }
        }
    }
}

impl Handler<Revoke> for WorkerSupervisor {
    type Result = ();

    fn handle(&mut self, message: Revoke, _: &mut Context<Self>) {
        if let Some(executor) = &self.executor {
            // The token is set already; the executor only learns of it.
            drop(executor.try_send(message));
        }
    }
}

/// Stops the intake of units and returns units that have not started; running units continue. Answers once their
/// reports are in the outbox.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StopConsuming;

impl Handler<StopConsuming> for WorkerSupervisor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: StopConsuming, _: &mut Context<Self>) -> ResponseFuture<()> {
        Box::pin(self.stop_consuming())
    }
}

impl WorkerSupervisor {
    fn stop_consuming(&mut self) -> impl Future<Output = ()> + use<> {
        self.draining = true;
        self.parts.vitals.draining.store(true, Ordering::Relaxed);
        // Before anything can ask it to take units again.
        self.parts.queue.hold(true);
        let (queue, vitals) = (Arc::clone(&self.parts.queue), self.parts.vitals.clone());
        let (execution, kinds) = (self.parts.execution.clone(), vitals.slots.keys().copied());
        let lanes: Vec<_> = kinds
            .map(|kind| {
                let (queue, execution) = (Arc::clone(&queue), execution.clone());
                self.parts
                    .execution
                    .runtime
                    .spawn(async move { execution.hand_back(queue.drain(kind).await).await })
            })
            .collect();
        // The coordinator stops counting on its slots now, not with the next sign of life.
        self.beat_now.notify_one();
        async move {
            for lane in lanes {
                // A lane that panicked has no more units to return.
                drop(lane.await);
            }
        }
    }
}

/// Take units again.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ResumeConsuming;

impl Handler<ResumeConsuming> for WorkerSupervisor {
    type Result = ();

    fn handle(&mut self, _: ResumeConsuming, ctx: &mut Context<Self>) {
        // A worker that is leaving does not come back.
        if self.stopping {
            return;
        }
        self.draining = false;
        self.parts.vitals.draining.store(false, Ordering::Relaxed);
        self.parts.queue.hold(false);
        let kinds: Vec<Kind> = self.parts.vitals.slots.keys().copied().collect();
        for kind in kinds {
            let resumed = self
                .consumers
                .get(&kind)
                .is_some_and(|consumer| consumer.try_send(Resume).is_ok());
            if !resumed {
                self.start(Child::Consumer(kind), &ctx.address());
            }
        }
        // What the coordinator counts on it for, it counts on from now on.
        self.beat_now.notify_one();
    }
}

/// Drain, wait for what runs as long as `grace`, then stop it: stopped units go back without using an attempt.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Shutdown {
    /// How long running units may go on.
    pub grace: Duration,
}

impl Handler<Shutdown> for WorkerSupervisor {
    type Result = ResponseFuture<()>;

    fn handle(
        &mut self,
        Shutdown { grace }: Shutdown,
        _: &mut Context<Self>,
    ) -> ResponseFuture<()> {
        self.stopping = true;
        let returned = self.stop_consuming();
        let running = self.parts.execution.running.clone();
        Box::pin(async move {
            let poll = Duration::from_millis(20);
            let deadline = Instant::now() + grace;
            returned.await;
            // What a consumer had just taken is on its way to the executor.
            tokio::time::sleep(poll).await;
            while !running.is_empty() && Instant::now() < deadline {
                tokio::time::sleep(poll).await;
            }
            running.revoke_all();
            // A cancelled step gets a moment to clean up behind itself.
            let deadline = Instant::now() + Duration::from_secs(5);
            while !running.is_empty() && Instant::now() < deadline {
                tokio::time::sleep(poll).await;
            }
        })
    }
}
