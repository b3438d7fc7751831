//! The event log of a run: the last events for people, a digest of all of them to prove that a seed repeats itself.
use protocol::time::Timestamp;
use std::collections::VecDeque;

const KEPT: usize = 50;

/// What has happened.
#[derive(Debug, Default)]
pub(crate) struct History {
    last: VecDeque<String>,
    /// Events in all.
    pub events: u64,
    /// Digest of all events in order.
    pub digest: u64,
}

impl History {
    /// Notes an event.
    pub(crate) fn note(&mut self, now: Timestamp, event: String) {
        self.events += 1;
        for byte in event.bytes().chain(now.0.to_le_bytes()) {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last
            .push_back(format!("{:>11.3}  {event}", now.0 as f64 / 1e6));
    }

    /// The last events, one a line.
    pub(crate) fn tail(&self) -> String {
        self.last.iter().cloned().collect::<Vec<_>>().join("\n")
    }
}
