//! Says that the worker lives and what it holds. On an arbiter, a runtime and a connection of its own, so that nothing a
//! unit does can silence it.
//!
//! One sign of life is under way at a time. It is made when it can be sent: what could not be sent is not kept, for after an
//! outage it would say what was true then.
use super::exit::ExitGuard;
use super::vitals::Vitals;
use crate::queue::WorkQueue;
use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, WrapFuture};
use protocol::wire::report::Report;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

/// Between two signs of life: five fit into the silence after which a lease lapses.
pub const EVERY: Duration = Duration::from_secs(3);
/// Before one that could not be sent is made anew.
const AGAIN: Duration = Duration::from_millis(500);

/// Where signs of life go.
#[derive(Clone)]
pub struct Pulse {
    /// Transport that carries the heartbeats.
    pub queue: Arc<dyn WorkQueue>,
    /// Where its connection lives: not where units run, or one that blocks a thread silences the worker.
    pub runtime: Handle,
}

/// Actor that sends heartbeats and the progress of units.
pub struct Heartbeat {
    vitals: Vitals,
    pulse: Pulse,
    /// Asks for a sign of life before the next is due.
    now: Arc<Notify>,
    _exit: ExitGuard,
}

impl Heartbeat {
    /// A heartbeat that also beats when `now` is notified.
    pub fn new(vitals: Vitals, pulse: Pulse, now: Arc<Notify>, exit: ExitGuard) -> Heartbeat {
        Heartbeat {
            vitals,
            pulse,
            now,
            _exit: exit,
        }
    }
}

/// Sends signs of life, one after the other.
async fn beat(
    vitals: Vitals,
    queue: Arc<dyn WorkQueue>,
    now: Arc<Notify>,
    (every, again): (Duration, Duration),
) {
    let make = || {
        let mut reports = vec![Report::Heartbeat(vitals.beat())];
        reports.extend(vitals.progress().map(Report::Progress));
        reports
    };
    loop {
        let pause = match queue.report_fresh(&make).await {
            Ok(()) => every,
            Err(error) => {
                tracing::debug!(%error, "heartbeat not sent");
                again
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = now.notified() => {}
        }
    }
}

impl Actor for Heartbeat {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let (queue, now) = (Arc::clone(&self.pulse.queue), Arc::clone(&self.now));
        let beating = beat(self.vitals.clone(), queue, now, (EVERY, AGAIN));
        // Where its connection lives, and no longer than this actor. That it ends means that it panicked.
        let beating = AbortOnDropHandle::new(self.pulse.runtime.spawn(beating));
        ctx.spawn(beating.into_actor(self).map(|_, _, ctx| ctx.stop()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::running::Running;
    use crate::actor::slots::Slots;
    use crate::queue::QueueError;
    use async_trait::async_trait;
    use parking_lot::Mutex;
    use protocol::id::{Kind, WorkerId};
    use protocol::wire::control::Control;
    use protocol::wire::unit::Unit;
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A transport that cannot be used at first.
    #[derive(Default)]
    struct Away {
        tries: AtomicUsize,
        sent: Mutex<Vec<Report>>,
    }

    /// Tries that fail.
    const FAIL: usize = 20;

    #[async_trait]
    impl WorkQueue for Away {
        async fn take(&self, _: Kind, _: usize) -> Result<Vec<Unit>, QueueError> {
            Err(QueueError::Closed)
        }

        fn hold(&self, _: bool) {}

        async fn drain(&self, _: Kind) -> Vec<Unit> {
            Vec::new()
        }

        async fn report(&self, _: Vec<Report>) -> Result<(), QueueError> {
            Err(QueueError::Closed)
        }

        async fn report_fresh(
            &self,
            make: &(dyn Fn() -> Vec<Report> + Send + Sync),
        ) -> Result<(), QueueError> {
            if self.tries.fetch_add(1, Ordering::Relaxed) < FAIL {
                return Err(QueueError::Away("it is away".into()));
            }
            self.sent.lock().extend(make());
            Ok(())
        }

        async fn control(&self) -> Result<Control, QueueError> {
            Err(QueueError::Closed)
        }
    }

    fn vitals() -> Vitals {
        Vitals {
            worker: WorkerId("w".into()),
            running: Running::default(),
            slots: BTreeMap::from([(Kind::Noop, Slots::new(1))]),
            draining: Arc::default(),
            drain_deadline: Arc::default(),
        }
    }

    #[tokio::test]
    async fn heartbeat_after_an_outage_is_one_and_says_what_is_true_now() {
        let (queue, vitals, now) = (Arc::new(Away::default()), vitals(), Arc::new(Notify::new()));
        let draining = Arc::clone(&vitals.draining);
        let transport: Arc<dyn WorkQueue> = Arc::clone(&queue) as Arc<dyn WorkQueue>;
        // No interval of an hour ends in this test.
        let pace = (Duration::from_secs(3_600), Duration::from_millis(1));
        let beating = AbortOnDropHandle::new(tokio::spawn(beat(
            vitals,
            transport,
            Arc::clone(&now),
            pace,
        )));
        while queue.tries.load(Ordering::Relaxed) < FAIL / 2 {
            tokio::task::yield_now().await;
        }
        draining.store(true, Ordering::Relaxed);
        let sent = async |count: usize| {
            while queue.sent.lock().len() < count {
                tokio::task::yield_now().await;
            }
            queue.sent.lock().clone()
        };
        let beats = sent(1).await;
        assert!(
            matches!(&beats[..], [Report::Heartbeat(beat)] if beat.draining),
            "{beats:?}"
        );
        draining.store(false, Ordering::Relaxed);
        now.notify_one();
        let beats = sent(2).await;
        assert!(
            matches!(&beats[..], [_, Report::Heartbeat(beat)] if !beat.draining),
            "{beats:?}"
        );
        assert_eq!(queue.tries.load(Ordering::Relaxed), FAIL + 2);
        drop(beating);
    }
}
