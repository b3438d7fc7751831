//! A coordinator over a transport that the test plays.
use async_trait::async_trait;
use coordinator::leader::{Coordinator, CoordinatorConfig};
use coordinator::metrics::Metrics;
use coordinator::queue::{Collected, Lost, QueueError, UnitQueue};
use coordinator::store::handle::Store;
use parking_lot::Mutex;
use protocol::id::{UnitId, WorkerId};
use protocol::model::priority::Priority;
use protocol::time::Timestamp;
use protocol::wire::control::Control;
use protocol::wire::unit::Unit;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What each read of reports brings; nothing more comes after the last.
struct Played(Mutex<VecDeque<Result<Collected, QueueError>>>);

#[async_trait]
impl UnitQueue for Played {
    async fn publish(&self, _: Priority, _: Vec<Unit>) -> Result<(), QueueError> {
        Ok(())
    }

    async fn collect(&self, _: usize) -> Result<Collected, QueueError> {
        let next = self.0.lock().pop_front();
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

    async fn lost(&self, _: Vec<(UnitId, u32)>, _: Vec<WorkerId>) -> Result<Vec<Lost>, QueueError> {
        Ok(Vec::new())
    }

    async fn wiped(&self) -> Result<bool, QueueError> {
        Ok(false)
    }
}

/// Whether a term over these reads ends by itself.
fn ends(reads: Vec<Result<Collected, QueueError>>) -> bool {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime starts").block_on(async {
        let (store, _thread) = Store::memory();
        let metrics = Arc::new(Metrics::new(&prometheus::Registry::new()).expect("registers"));
        let queue = Arc::new(Played(Mutex::new(reads.into())));
        let clock = Arc::new(|| Timestamp(1));
        let config = CoordinatorConfig { shared: true, ..CoordinatorConfig::default() };
        let coordinator = Coordinator::new(store, queue, clock, metrics, config);
        let stop = CancellationToken::new();
        let running = coordinator.run(stop.clone());
        let ended = tokio::time::timeout(Duration::from_secs(2), running).await.is_ok();
        stop.cancel();
        ended
    })
}

/// Units whose ends nobody reads must not be handed out: the term ends with its reports.
#[test]
fn term_whose_reports_cannot_be_read_any_more_ends() {
    assert!(ends(vec![Ok(Collected::default()), Err(QueueError::Closed)]));
}

#[test]
fn term_whose_reports_cannot_be_read_for_a_while_continues() {
    let away = || Err(QueueError::Away("restarts".into()));
    assert!(!ends(vec![away(), Err(QueueError::Refused("password".into())), Ok(Collected::default()), away()]));
}
