//! Pulls units of one kind. Holds slots *before* it asks and asks for exactly as many units, so nothing is fetched that
//! cannot start at once. Receives `Pull` (from itself) and `Drain`; sends `Execute`.
use super::departure::Departure;
use super::executor::{Execute, Executor};
use super::slots::Slots;
use super::supervisor::ExitGuard;
use crate::queue::{QueueError, WorkQueue};
use actix::{Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, WrapFuture};
use protocol::id::Kind;
use std::sync::Arc;

/// The consumer of one kind.
pub struct Consumer {
    kind: Kind,
    slots: Slots,
    queue: Arc<dyn WorkQueue>,
    executor: Addr<Executor>,
    departure: Arc<Departure>,
    draining: bool,
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
        departure: Arc<Departure>,
        exit: ExitGuard,
    ) -> Consumer {
        Consumer { kind, slots, queue, executor, departure, draining: false, pulling: false, _exit: exit }
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
        if self.draining || !self.departure.allows_some(self.kind) {
            return;
        }
        self.pulling = true;
        let (slots, queue, executor, kind) =
            (self.slots.clone(), Arc::clone(&self.queue), self.executor.clone(), self.kind);
        let pulled = async move { pull(kind, &slots, queue.as_ref(), &executor).await };
        ctx.spawn(pulled.into_actor(self).map(|result, actor, ctx| {
            actor.pulling = false;
            match result {
                Ok(()) if !actor.draining => ctx.notify(Pull),
                Ok(()) => {}
                // The transport or the executor is gone: the supervisor decides what that means.
                Err(_) => ctx.stop(),
            }
        }));
    }
}

async fn pull(kind: Kind, slots: &Slots, queue: &dyn WorkQueue, executor: &Addr<Executor>) -> Result<(), QueueError> {
    let free = slots.take().await.map_err(|_| QueueError::Closed)?;
    let offer = slots.offer(free.len());
    let units = queue.take(kind, free.len()).await?;
    drop(offer);
    let filled = units.into_iter().zip(free).collect();
    executor.send(Execute(filled)).await.map_err(|_| QueueError::Closed)
}

/// Take no more units.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain;

impl Handler<Drain> for Consumer {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Context<Self>) {
        self.draining = true;
    }
}

/// Take units again.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Resume;

impl Handler<Resume> for Consumer {
    type Result = ();

    fn handle(&mut self, _: Resume, ctx: &mut Context<Self>) {
        // A pull that was under way when it was told to stop pulls on by itself.
        if std::mem::replace(&mut self.draining, false) && !self.pulling {
            ctx.notify(Pull);
        }
    }
}
