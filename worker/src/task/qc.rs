//! Measures and judges media.
use super::TaskContext;
use protocol::failure::Failure;
use protocol::wire::report::UnitResult;
use protocol::wire::unit::{QcTask, Unit};

/// Measures and judges media.
pub async fn run(_task: &QcTask, _unit: &Unit, _context: &TaskContext) -> UnitResult {
    UnitResult::Failed(Failure::permanent("not_built", "this build cannot do this yet"))
}
