//! Workers as the leader sees them by their heartbeats.
use protocol::id::Kind;
use protocol::model::slot_count::SlotCount;
use protocol::time::Timestamp;
use std::collections::BTreeMap;

/// A worker as its last heartbeat showed it.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerSeen {
    /// Slots by kind: total and free.
    pub slots: Vec<SlotCount>,
    /// Time of its last heartbeat.
    pub heard_at: Timestamp,
    /// Whether it takes no more work.
    pub draining: bool,
    /// Units it holds.
    pub held: usize,
    /// Bytes it has moved.
    pub bytes: u64,
    /// When it will be gone, where it has said so.
    pub leaves_at: Option<Timestamp>,
    /// Executions it holds of units that are out, under whatever epoch, by kind.
    pub busy: BTreeMap<Kind, u32>,
}
