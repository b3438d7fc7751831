//! Reports on their way to the coordinator, gathered into batches; knows when none is left.
use crate::queue::{QueueError, WorkQueue};
use protocol::wire::report::Report;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Reports waiting to be sent; bounded, so that a slow coordinator slows the work and not the memory.
const REPORTS_WAITING: usize = 8_192;
/// Reports sent in one message.
const REPORTS_BATCH: usize = 2_048;
/// Between two looks at what is left.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Where reports are put.
#[derive(Clone)]
pub struct Outbox {
    sender: mpsc::Sender<Report>,
    /// Reports that the transport has not taken yet.
    left: Arc<AtomicUsize>,
}

impl Outbox {
    /// An outbox that is emptied on `runtime`.
    pub fn start(queue: Arc<dyn WorkQueue>, runtime: &Handle) -> Outbox {
        let (sender, receiver) = mpsc::channel(REPORTS_WAITING);
        let left = Arc::new(AtomicUsize::new(0));
        drop(runtime.spawn(send_all(receiver, Arc::clone(&left), queue)));
        Outbox { sender, left }
    }

    /// Puts a report in, and waits while it is full.
    pub async fn send(&self, report: Report) {
        self.left.fetch_add(1, Ordering::Relaxed);
        if self.sender.send(report).await.is_err() {
            // The process is going down; the lease then lapses.
            self.left.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Waits until the transport has taken every report, but no longer than this.
    pub async fn emptied(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while self.left.load(Ordering::Relaxed) > 0 && Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Sends reports in batches: as many as have gathered while the last batch was on its way.
async fn send_all(
    mut receiver: mpsc::Receiver<Report>,
    left: Arc<AtomicUsize>,
    queue: Arc<dyn WorkQueue>,
) {
    let mut batch = Vec::with_capacity(REPORTS_BATCH);
    while receiver.recv_many(&mut batch, REPORTS_BATCH).await > 0 {
        let sent = std::mem::replace(&mut batch, Vec::with_capacity(REPORTS_BATCH));
        let count = sent.len();
        match queue.report(sent).await {
            Ok(()) => {}
            Err(QueueError::Closed) => return,
            // One report is no reason to keep back those that follow.
            Err(error) => tracing::error!(%error, "a report was not sent"),
        }
        left.fetch_sub(count, Ordering::Relaxed);
    }
}
