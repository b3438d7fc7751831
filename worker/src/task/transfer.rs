//! Copies and verifies: every asset of a unit from its location to the place its target names, visible there only when
//! complete and proven (EFF-1), reported only when it would survive a power loss.
//!
//! - what is wanted of an asset is decided before anything is opened
//! - small files are copied whole, a batch at a time, and share the syncs; large ones stream through a pipeline of
//!   reader, hashes, writer and verifier, and resume where an interrupted copy stopped
//! - one bad asset never stops the others
mod existing;
mod fault;
mod large;
mod plan;
mod small;
mod source;
mod unit;

use super::TaskContext;
use crate::storage::Durability;
use protocol::failure::Failure;
use protocol::wire::report::UnitResult;
use protocol::wire::unit::{TransferTask, Unit};

/// How a worker transfers; the defaults are what a cluster runs with.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// What a reported transfer survives.
    pub durability: Durability,
    /// Assets of one unit copied at the same time.
    pub lanes: usize,
}

impl Default for Settings {
    /// Survives power loss; as many lanes as processors, between two and four.
    fn default() -> Settings {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Settings { durability: Durability::PowerLoss, lanes: processors.clamp(2, 4) }
    }
}

/// Copies and verifies.
pub async fn run(task: &TransferTask, unit: &Unit, context: &TaskContext) -> UnitResult {
    run_with(task, unit, context, Settings::default()).await
}

/// Copies and verifies with other settings than the default.
pub async fn run_with(task: &TransferTask, unit: &Unit, context: &TaskContext, settings: Settings) -> UnitResult {
    let (task, assets, context) = (task.clone(), unit.assets.clone(), context.clone());
    let work = move || unit::transfer(&task, &assets, &context, settings);
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => {
            UnitResult::Failed(Failure::transient("worker_stopping", format!("the copy did not run: {error}")))
        }
    }
}
