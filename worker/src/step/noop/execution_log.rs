//! A log of executions for tests: one line when a `noop` unit starts and one when it ends.
use protocol::wire::unit::Unit;
use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// A file that executions append to. Several workers may share one: each line is a single write at the end of the file.
#[derive(Debug, Clone)]
pub struct ExecutionLog(Arc<File>);

impl ExecutionLog {
    /// Opens or makes the file.
    pub fn open(path: &Path) -> io::Result<ExecutionLog> {
        Ok(ExecutionLog(Arc::new(
            File::options().create(true).append(true).open(path)?,
        )))
    }

    /// Appends `unit epoch attempt worker event nanoseconds`, counted since the machine started: a clock that is set
    /// changes no order.
    pub(super) fn record(&self, unit: &Unit, worker: &str, event: &str) {
        let at = clock_gettime(ClockId::Monotonic);
        let at = i128::from(at.tv_sec) * 1_000_000_000 + i128::from(at.tv_nsec);
        let line = format!(
            "{} {} {} {worker} {event} {at}\n",
            unit.id, unit.epoch, unit.attempt
        );
        if let Err(error) = self.0.as_ref().write_all(line.as_bytes()) {
            tracing::warn!(%error, "the log of executions could not be written");
        }
    }
}
