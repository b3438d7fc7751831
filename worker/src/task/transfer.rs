//! Copies and verifies: every asset of a unit from its location to the place its target names, visible there only when
//! complete and proven (EFF-1), reported only when it would survive a power loss.
//!
//! - what is wanted of an asset is decided before anything is opened
//! - small files are copied whole, a batch at a time, and share the syncs; large ones stream through a pipeline of
//!   reader, hashes, writer and verifier, and resume where an interrupted copy stopped
//! - one bad asset never stops the others
//! - what is no file, on either side, streams through [`across`]
mod across;
mod existing;
mod fault;
mod large;
mod plan;
mod small;
mod source;
mod unit;
mod wants;

pub(super) use fault::root as unopened;

use super::TaskContext;
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::wire::report::UnitResult;
use protocol::wire::unit::{AssembleTask, Assembly, CutTask, SliceTask, TransferTask, Unit};
use std::sync::LazyLock;
use storage::Durability;

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
        // Each look at the processors reads files of the system; a unit of one small file would notice.
        static PROCESSORS: LazyLock<usize> =
            LazyLock::new(|| std::thread::available_parallelism().map_or(2, usize::from));
        Settings { durability: Durability::PowerLoss, lanes: PROCESSORS.clamp(2, 4) }
    }
}

/// Copies and verifies.
pub async fn run(task: &TransferTask, unit: &Unit, context: &TaskContext) -> UnitResult {
    run_with(task, unit, context, Settings::default()).await
}

/// Copies and verifies, and replaces other content at the destination, which stays there as an older version.
pub async fn replace(task: &TransferTask, unit: &Unit, context: &TaskContext) -> UnitResult {
    let execution = (unit.id, unit.epoch, unit.attempt);
    across::transfer(task, across::OnConflict::Replaced, execution, unit.assets.clone(), &[], context).await
}

/// Begins what is large and reports the unit as cut; copies and verifies where nothing is.
pub async fn cut(task: &CutTask, unit: &Unit, context: &TaskContext) -> UnitResult {
    match across::cut::begin(task, &unit.assets, context).await {
        Some(drafts) => UnitResult::Cut(drafts),
        None => run(&task.transfer, unit, context).await,
    }
}

/// Carries one slice of a large asset.
pub async fn slice(task: &SliceTask, unit: &Unit, context: &TaskContext) -> UnitResult {
    across::slice::carry(task, unit, context).await
}

/// Copies and verifies; what slices have carried is completed.
pub async fn assemble(task: &AssembleTask, unit: &Unit, context: &TaskContext) -> UnitResult {
    if task.discard {
        across::cut::discard(task, &unit.assets, context).await;
        return UnitResult::Cancelled;
    }
    carry(&task.transfer, unit, &task.drafts, context, Settings::default()).await
}

/// Copies and verifies with other settings than the default.
pub async fn run_with(task: &TransferTask, unit: &Unit, context: &TaskContext, settings: Settings) -> UnitResult {
    carry(task, unit, &[], context, settings).await
}

async fn carry(
    task: &TransferTask,
    unit: &Unit,
    assemblies: &[Assembly],
    context: &TaskContext,
    settings: Settings,
) -> UnitResult {
    let execution = (unit.id, unit.epoch, unit.attempt);
    if !task.to.starts_with("file:") {
        return across::transfer(
            task,
            across::OnConflict::Refused,
            execution,
            unit.assets.clone(),
            assemblies,
            context,
        )
        .await;
    }
    let (remote, local): (Vec<Asset>, Vec<Asset>) =
        unit.assets.iter().cloned().partition(|asset| across::is_remote(&asset.location));
    if remote.is_empty() {
        return copy_files(task, local, context, settings).await;
    }
    let carried = across::transfer(task, across::OnConflict::Refused, execution, remote, assemblies, context).await;
    if local.is_empty() {
        return carried;
    }
    both(carried, copy_files(task, local, context, settings).await)
}

/// From directory to directory, the fastest way there is.
async fn copy_files(task: &TransferTask, assets: Vec<Asset>, context: &TaskContext, settings: Settings) -> UnitResult {
    let (task, context) = (task.clone(), context.clone());
    let work = move || unit::transfer(&task, &assets, &context, settings);
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => {
            UnitResult::Failed(Failure::transient("worker_stopping", format!("the copy did not run: {error}")))
        }
    }
}

/// The result of a unit that was done in two pieces.
fn both(one: UnitResult, other: UnitResult) -> UnitResult {
    match (one, other) {
        (UnitResult::Finished { mut facts, mut failures }, UnitResult::Finished { facts: more, failures: failed }) => {
            facts.extend(more);
            failures.extend(failed);
            UnitResult::Finished { facts, failures }
        }
        (UnitResult::Finished { .. }, ended) | (ended, _) => ended,
    }
}
