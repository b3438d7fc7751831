//! Slots of a worker.
use crate::id::Kind;
use serde::{Deserialize, Serialize};

/// Slots of one kind in a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotCount {
    /// Kind of work.
    pub kind: Kind,
    /// Slots it has.
    pub total: u32,
    /// Slots that are free.
    pub free: u32,
}
