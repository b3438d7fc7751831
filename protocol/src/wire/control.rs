//! Control messages from the coordinator to workers, outside of units.
use crate::id::{Execution, WorkerId};
use serde::{Deserialize, Serialize};

/// One message to workers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Control {
    /// Stop these executions; their results would not count.
    Revoke(Vec<Execution>),
    /// Take no more work, finish what runs, leave.
    Drain(WorkerId),
    /// Take no more units until released; running units continue.
    Hold(WorkerId),
    /// Take work again.
    Release(WorkerId),
}
