//! Takes time.
use super::TaskContext;
use protocol::failure::Failure;
use protocol::wire::report::UnitResult;
use protocol::wire::unit::{NoopTask, Unit};

/// Takes time.
pub async fn run(_task: &NoopTask, _unit: &Unit, _context: &TaskContext) -> UnitResult {
    UnitResult::Failed(Failure::permanent("not_built", "this build cannot do this yet"))
}
