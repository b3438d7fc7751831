//! Copies and verifies.
use super::TaskContext;
use protocol::failure::Failure;
use protocol::wire::report::UnitResult;
use protocol::wire::unit::{TransferTask, Unit};

/// Copies and verifies.
pub async fn run(_task: &TransferTask, _unit: &Unit, _context: &TaskContext) -> UnitResult {
    UnitResult::Failed(Failure::permanent("not_built", "this build cannot do this yet"))
}
