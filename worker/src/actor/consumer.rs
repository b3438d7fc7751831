//! Pulls units of one kind. Reserves slots *before* it asks and asks for exactly as many units, so every fetched unit can
//! start at once. While its worker drains it asks for nothing but keeps running, because a release ends the drain.
//! Receives `Pull` (from itself) and `Resume`; sends `Execute`.
use super::drain_deadline::DrainDeadline;
use super::executor::{Execute, Executor};
use super::exit::ExitGuard;
use super::slots::Slots;
use crate::queue::{QueueError, WorkQueue};
use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, WrapFuture,
};
use protocol::id::Kind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The consumer of one kind.
pub struct Consumer {
    kind: Kind,
    slots: Slots,
    queue: Arc<dyn WorkQueue>,
    executor: Addr<Executor>,
    drain_deadline: Arc<DrainDeadline>,
    /// Whether its worker takes no more work.
    draining: Arc<AtomicBool>,
    pulling: bool,
    _exit: ExitGuard,
}

impl Consumer {
    /// A consumer that fills `slots`.
    pub fn new(
        kind: Kind,
        slots: Slots,
        queue: Arc<dyn WorkQueue>,
        executor: Addr<Executor>,
        drain_deadline: Arc<DrainDeadline>,
        draining: Arc<AtomicBool>,
        exit: ExitGuard,
    ) -> Consumer {
        Consumer {
            kind,
            slots,
            queue,
            executor,
            drain_deadline,
            draining,
            pulling: false,
            _exit: exit,
        }
    }
}

impl Actor for Consumer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.notify(Pull);
    }
}

/// Fill the free slots.
#[derive(Message)]
#[rtype(result = "()")]
struct Pull;

impl Handler<Pull> for Consumer {
    type Result = ();

    fn handle(&mut self, _: Pull, ctx: &mut Context<Self>) {
        if self.pulling
            || self.draining.load(Ordering::Relaxed)
            || !self.drain_deadline.allows_some(self.kind)
        {
            return;
        }
        self.pulling = true;
        let (slots, queue, executor, kind) = (
            self.slots.clone(),
            Arc::clone(&self.queue),
            self.executor.clone(),
            self.kind,
        );
        let pulled = async move { pull(kind, &slots, queue.as_ref(), &executor).await };
        ctx.spawn(pulled.into_actor(self).map(|result, actor, ctx| {
            actor.pulling = false;
            match result {
                // The pull of a draining worker ends here and restarts on release.
                Ok(()) | Err(QueueError::Held) => ctx.notify(Pull),
                // The transport or the executor is gone: the supervisor decides what that means.
                Err(_) => ctx.stop(),
            }
        }));
    }
}

async fn pull(
    kind: Kind,
    slots: &Slots,
    queue: &dyn WorkQueue,
    executor: &Addr<Executor>,
) -> Result<(), QueueError> {
    let free = slots.take().await.map_err(|_| QueueError::Closed)?;
    let offer = slots.offer(free.len());
    let units = queue.take(kind, free.len()).await?;
    drop(offer);
    let filled = units.into_iter().zip(free).collect();
    executor
        .send(Execute(filled))
        .await
        .map_err(|_| QueueError::Closed)
}

/// Take units again.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Resume;

impl Handler<Resume> for Consumer {
    type Result = ();

    fn handle(&mut self, _: Resume, ctx: &mut Context<Self>) {
        // A pull that is still under way pulls on by itself.
        ctx.notify(Pull);
    }
}
