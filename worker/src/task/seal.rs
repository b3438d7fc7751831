//! Closes a destination tree with an ASC MHL generation.
use super::TaskContext;
use protocol::failure::Failure;
use protocol::wire::report::UnitResult;
use protocol::wire::unit::{SealTask, Unit};

/// Closes a destination tree with an ASC MHL generation.
pub async fn run(_task: &SealTask, _unit: &Unit, _context: &TaskContext) -> UnitResult {
    UnitResult::Failed(Failure::permanent("not_built", "this build cannot do this yet"))
}
