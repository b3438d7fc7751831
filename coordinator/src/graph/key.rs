//! Keys of barrier instances.
use crate::store::Partition;
use protocol::id::{PartNo, StepNo};
use protocol::model::barrier::Scope;
use protocol::workflow::{Action, Workflow};

/// The key of the barrier instance that a partition belongs to.
pub fn barrier_key(workflow: &Workflow, barrier: StepNo, partition: &Partition) -> String {
    match workflow.step(barrier).map(|s| &s.action) {
        Some(Action::Barrier {
            scope: Scope::Title,
            ..
        }) => partition.title.clone(),
        Some(Action::Barrier {
            scope: Scope::Batch,
            batch_units,
            ..
        }) => batch_key(partition.origin(), *batch_units),
        _ => String::new(),
    }
}

/// The batch a planned partition belongs to; padded so that text order is number order.
pub fn batch_key(part: PartNo, batch_units: u32) -> String {
    format!("{:010}", (part - 1).max(0) / i64::from(batch_units.max(1)))
}
