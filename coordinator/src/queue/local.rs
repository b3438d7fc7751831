//! The transport inside one process: channels, no bytes.
use super::{Collected, QueueError, Sent, UnitQueue};
use async_trait::async_trait;
use protocol::id::{Execution, Kind, WorkerId};
use protocol::model::priority::Priority;
use protocol::wire::control::Control;
use protocol::wire::report::Report;
use protocol::wire::unit::Unit;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};

/// Longest wait for reports in one read.
const BLOCK: Duration = Duration::from_millis(500);

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
        LocalQueue {
            units,
            reports: Mutex::new(reports),
            control,
        }
    }
}

#[async_trait]
impl UnitQueue for LocalQueue {
    async fn publish(&self, _: Priority, units: Vec<Unit>) -> Result<(), QueueError> {
        for unit in units {
            let channel = self.units.get(&unit.kind).ok_or(QueueError::Closed)?;
            channel.send(unit).map_err(|_| QueueError::Closed)?;
        }
        Ok(())
    }

    async fn collect(&self, max: usize) -> Result<Collected, QueueError> {
        let mut reports = self.reports.lock().await;
        let mut batch = match tokio::time::timeout(BLOCK, reports.recv()).await {
            Ok(batch) => batch.ok_or(QueueError::Closed)?,
            // Silence is an answer as well: leases are judged as of the last one.
            Err(_) => return Ok(Collected::default()),
        };
        while batch.len() < max {
            let Ok(more) = reports.try_recv() else { break };
            batch.extend(more);
        }
        let more = batch.len() >= max;
        Ok(Collected {
            reports: batch.into_iter().map(Sent::from).collect(),
            more,
            ..Collected::default()
        })
    }

    async fn settled(&self, _: Vec<String>) -> Result<(), QueueError> {
        Ok(())
    }

    async fn control(&self, message: Control) -> Result<(), QueueError> {
        self.control.send(message).map_err(|_| QueueError::Closed)
    }

    /// Channels of one process lose nothing.
    async fn lost(
        &self,
        _: Vec<Execution>,
        _: Vec<WorkerId>,
    ) -> Result<Vec<super::Lost>, QueueError> {
        Ok(Vec::new())
    }

    async fn wiped(&self) -> Result<bool, QueueError> {
        Ok(false)
    }
}
