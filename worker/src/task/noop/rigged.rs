//! Misbehaviour that a rehearsal asks for, to see what the cluster makes of it. Nothing of it happens unless the process
//! was started with it.
use protocol::failure::Failure;
use protocol::wire::unit::Unit;

/// How noop units misbehave in this worker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rigged {
    /// A unit with this asset ends the process at once, as a fault in a decoder would.
    pub kill: Option<String>,
    /// Every unit fails for this reason, as on a machine where something is broken.
    pub sick: Option<String>,
    /// Every unit holds its thread while it waits, as one does that computes without a pause.
    pub block: bool,
}

impl Rigged {
    /// What becomes of a unit here, when not what its task says.
    pub(super) fn strike(&self, unit: &Unit) -> Option<Failure> {
        if let Some(asset) = &self.kill
            && unit.assets.iter().any(|one| one.id == *asset)
        {
            std::process::abort();
        }
        let reason = self.sick.as_deref()?;
        Some(Failure::transient(reason, format!("unit {} failed, as this worker was told to", unit.id)))
    }
}
