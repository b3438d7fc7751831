//! Lists a library.
use super::TaskContext;
use protocol::failure::Failure;
use protocol::wire::report::UnitResult;
use protocol::wire::unit::{ScanTask, Unit};

/// Lists a library.
pub async fn run(_task: &ScanTask, _unit: &Unit, _context: &TaskContext) -> UnitResult {
    UnitResult::Failed(Failure::permanent("not_built", "this build cannot do this yet"))
}
