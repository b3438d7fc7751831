//! Faults that tests plant in a worker. Without the environment variables that select them, none occurs.
use protocol::failure::Failure;
use protocol::wire::unit::Unit;

/// Faults of the `noop` units of one worker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultPlan {
    /// A unit with this asset ends the process at once, as a fault in a decoder would.
    pub kill: Option<String>,
    /// Every unit fails for this reason, as on a machine where something is broken.
    pub sick: Option<String>,
    /// Every unit holds its thread while it waits, as one does that computes without a pause.
    pub block: bool,
}

impl FaultPlan {
    /// The planted failure of a unit, if there is one.
    pub(super) fn failure_of(&self, unit: &Unit) -> Option<Failure> {
        if let Some(asset) = &self.kill
            && unit.assets.iter().any(|one| one.id == *asset)
        {
            std::process::abort();
        }
        let reason = self.sick.as_deref()?;
        Some(Failure::transient(
            reason,
            format!(
                "unit {} failed: the fault plan of this worker says so",
                unit.id
            ),
        ))
    }
}
