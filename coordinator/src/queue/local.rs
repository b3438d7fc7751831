//! The transport inside one process: channels, no bytes.
use super::{QueueError, UnitQueue};
use async_trait::async_trait;
use protocol::id::Kind;
use protocol::wire::control::Control;
use protocol::wire::report::Report;
use protocol::wire::unit::Unit;
use std::collections::BTreeMap;
use tokio::sync::{Mutex, mpsc};

/// The coordinator's ends of the channels.
pub struct LocalQueue {
    units: BTreeMap<Kind, mpsc::UnboundedSender<Unit>>,
    reports: Mutex<mpsc::Receiver<Vec<Report>>>,
    control: mpsc::UnboundedSender<Control>,
}

impl LocalQueue {
    /// A transport over these channels. The unit channels are unbounded because the publisher's window bounds them.
    pub fn new(
        units: BTreeMap<Kind, mpsc::UnboundedSender<Unit>>,
        reports: mpsc::Receiver<Vec<Report>>,
        control: mpsc::UnboundedSender<Control>,
    ) -> LocalQueue {
        LocalQueue { units, reports: Mutex::new(reports), control }
    }
}

#[async_trait]
impl UnitQueue for LocalQueue {
    async fn publish(&self, units: Vec<Unit>) -> Result<(), QueueError> {
        for unit in units {
            let channel = self.units.get(&unit.kind).ok_or(QueueError::Closed)?;
            channel.send(unit).map_err(|_| QueueError::Closed)?;
        }
        Ok(())
    }

    async fn collect(&self, max: usize) -> Result<Vec<Report>, QueueError> {
        let mut reports = self.reports.lock().await;
        let mut batch = reports.recv().await.ok_or(QueueError::Closed)?;
        while batch.len() < max {
            let Ok(more) = reports.try_recv() else { break };
            batch.extend(more);
        }
        Ok(batch)
    }

    async fn control(&self, message: Control) -> Result<(), QueueError> {
        self.control.send(message).map_err(|_| QueueError::Closed)
    }
}
