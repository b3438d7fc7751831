//! The transport inside one process: channels, no bytes.
use super::gate::Gate;
use super::{QueueError, WorkQueue};
use async_trait::async_trait;
use protocol::id::Kind;
use protocol::wire::control::Control;
use protocol::wire::report::Report;
use protocol::wire::unit::Unit;
use std::collections::BTreeMap;
use tokio::sync::{Mutex, mpsc};

/// The worker's ends of the channels.
pub struct LocalQueue {
    units: BTreeMap<Kind, Mutex<mpsc::UnboundedReceiver<Unit>>>,
    reports: mpsc::Sender<Vec<Report>>,
    control: Mutex<mpsc::UnboundedReceiver<Control>>,
    gate: Gate,
}

impl LocalQueue {
    /// A transport over these channels.
    pub fn new(
        units: BTreeMap<Kind, mpsc::UnboundedReceiver<Unit>>,
        reports: mpsc::Sender<Vec<Report>>,
        control: mpsc::UnboundedReceiver<Control>,
    ) -> LocalQueue {
        let units = units
            .into_iter()
            .map(|(kind, receiver)| (kind, Mutex::new(receiver)))
            .collect();
        LocalQueue {
            units,
            reports,
            control: Mutex::new(control),
            gate: Gate::default(),
        }
    }
}

#[async_trait]
impl WorkQueue for LocalQueue {
    async fn take(&self, kind: Kind, max: usize) -> Result<Vec<Unit>, QueueError> {
        let mut receiver = self
            .units
            .get(&kind)
            .ok_or(QueueError::Closed)?
            .lock()
            .await;
        let mut units = Vec::with_capacity(max.min(256));
        tokio::select! {
            biased;
            () = self.gate.closed() => Err(QueueError::Held),
            taken = receiver.recv_many(&mut units, max.max(1)) => if taken == 0 { Err(QueueError::Closed) } else { Ok(units) },
        }
    }

    fn hold(&self, held: bool) {
        self.gate.set(!held);
    }

    async fn drain(&self, kind: Kind) -> Vec<Unit> {
        let Some(receiver) = self.units.get(&kind) else {
            return Vec::new();
        };
        let mut receiver = receiver.lock().await;
        if self.gate.is_open() {
            return Vec::new();
        }
        std::iter::from_fn(|| receiver.try_recv().ok()).collect()
    }

    async fn report(&self, reports: Vec<Report>) -> Result<(), QueueError> {
        self.reports
            .send(reports)
            .await
            .map_err(|_| QueueError::Closed)
    }

    async fn control(&self) -> Result<Control, QueueError> {
        self.control
            .lock()
            .await
            .recv()
            .await
            .ok_or(QueueError::Closed)
    }
}
