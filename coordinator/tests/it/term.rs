//! A coordinator over a transport that the test plays.
use async_trait::async_trait;
use coordinator::leader::{Coordinator, CoordinatorConfig};
use coordinator::metrics::Metrics;
use coordinator::queue::{Cleaned, Collected, IsOut, Lost, QueueError, UnitQueue};
use coordinator::store::handle::Store;
use parking_lot::Mutex;
use protocol::id::{Execution, WorkerId};
use protocol::model::priority::Priority;
use protocol::time::Timestamp;
use protocol::wire::control::Control;
use protocol::wire::unit::Unit;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What each read of reports brings; nothing more comes after the last.
#[derive(Default)]
struct Played {
    reads: Mutex<VecDeque<Result<Collected, QueueError>>>,
    /// A round of cleaning up does not end.
    cleaning_hangs: bool,
    cleaned: AtomicU32,
    /// Questions that the loop of turns asks, once a second by the clock.
    asked: AtomicU32,
}

#[async_trait]
impl UnitQueue for Played {
    async fn publish(&self, _: Priority, _: Vec<Unit>) -> Result<(), QueueError> {
        Ok(())
    }

    async fn collect(&self, _: usize) -> Result<Collected, QueueError> {
        let next = self.reads.lock().pop_front();
        match next {
            Some(read) => read,
            None => std::future::pending().await,
        }
    }

    async fn settled(&self, _: Vec<String>) -> Result<(), QueueError> {
        Ok(())
    }

    async fn control(&self, _: Control) -> Result<(), QueueError> {
        Ok(())
    }

    async fn lost(&self, _: Vec<Execution>, _: Vec<WorkerId>) -> Result<Vec<Lost>, QueueError> {
        Ok(Vec::new())
    }

    async fn wiped(&self) -> Result<bool, QueueError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(false)
    }

    async fn clean(&self, _: Vec<WorkerId>, _: IsOut, _: Duration) -> Result<Cleaned, QueueError> {
        self.cleaned.fetch_add(1, Ordering::Relaxed);
        if self.cleaning_hangs {
            std::future::pending::<()>().await;
        }
        Ok(Cleaned::default())
    }
}

/// Whether a term over these reads ends by itself.
fn ends(reads: Vec<Result<Collected, QueueError>>) -> bool {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime starts").block_on(async {
        let (store, _thread) = Store::memory();
        let metrics = Arc::new(Metrics::new(&prometheus::Registry::new()).expect("registers"));
        let queue = Arc::new(Played {
            reads: Mutex::new(reads.into()),
            ..Played::default()
        });
        let clock = Arc::new(|| Timestamp(1));
        let config = CoordinatorConfig {
            shared: true,
            ..CoordinatorConfig::default()
        };
        let coordinator = Coordinator::new(store, queue, clock, metrics, config);
        let stop = CancellationToken::new();
        let running = coordinator.run(stop.clone());
        let ended = tokio::time::timeout(Duration::from_secs(2), running)
            .await
            .is_ok();
        stop.cancel();
        ended
    })
}

/// Units whose ends nobody reads must not be handed out: the term ends with its reports.
#[test]
fn term_whose_reports_cannot_be_read_any_more_ends() {
    assert!(ends(vec![
        Ok(Collected::default()),
        Err(QueueError::Closed)
    ]));
}

#[test]
fn term_whose_reports_cannot_be_read_for_a_while_continues() {
    let away = || Err(QueueError::Away("restarts".into()));
    assert!(!ends(vec![
        away(),
        Err(QueueError::Refused("password".into())),
        Ok(Collected::default()),
        away()
    ]));
}

/// A round of cleaning up asks the transport about every worker that is gone.
#[test]
fn turns_continue_while_a_round_of_cleaning_up_lasts() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime starts").block_on(async {
        let (store, _thread) = Store::memory();
        let metrics = Arc::new(Metrics::new(&prometheus::Registry::new()).expect("registers"));
        let queue = Arc::new(Played {
            cleaning_hangs: true,
            ..Played::default()
        });
        let seconds = AtomicI64::new(0);
        // Every look at the clock finds a second gone.
        let clock =
            Arc::new(move || Timestamp(1_000_000 * seconds.fetch_add(1, Ordering::Relaxed)));
        let config = CoordinatorConfig {
            shared: true,
            ..CoordinatorConfig::default()
        };
        let coordinator = Coordinator::new(
            store,
            Arc::clone(&queue) as Arc<dyn UnitQueue>,
            clock,
            metrics,
            config,
        );
        let stop = CancellationToken::new();
        let (running, looking) = (coordinator.clone(), stop.clone());
        let term = tokio::spawn(async move { running.run(looking).await });
        let count = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
        let goes_on = async {
            while count(&queue.cleaned) == 0 || count(&queue.asked) < 30 {
                coordinator.wake();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), goes_on)
            .await
            .expect("turns are taken");
        assert_eq!(count(&queue.cleaned), 1, "one round at a time");
        stop.cancel();
        term.await.expect("no panic").expect("the term ends well");
    });
}
