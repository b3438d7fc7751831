//! Units as lists show them, the same over every database.
use protocol::id::{PartNo, StepNo};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One unit as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnitView {
    /// Public id: job/step/partition.
    pub unit: String,
    /// The step.
    pub step: String,
    /// Capacity class.
    pub kind: String,
    /// Partition number.
    #[schema(value_type = i64)]
    pub part: PartNo,
    /// Title, where partitions follow titles.
    pub title: String,
    /// First asset of the partition.
    pub first_asset: String,
    /// Assets in the partition.
    pub assets: u64,
    /// State.
    pub state: String,
    /// Fencing token.
    pub epoch: u32,
    /// Attempts that failed.
    pub attempt: u32,
    /// Microseconds of its last execution.
    pub duration_us: Option<u64>,
}

/// Which units.
#[derive(Debug, Clone, Default)]
pub struct UnitFilter {
    /// In this state.
    pub state: Option<String>,
    /// Of this step.
    pub step: Option<String>,
    /// This partition.
    pub part: Option<PartNo>,
    /// Only units after this one, in the order of the list.
    pub after: Option<(PartNo, StepNo)>,
    /// Units at most.
    pub limit: u32,
}
