//! A work unit as a worker receives it.
use crate::id::{Kind, UnitId};
use crate::media::asset::Asset;
use crate::time::Timestamp;
use crate::wire::step::TaskSpec;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One step over one partition, ready to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    /// Which unit this is.
    pub id: UnitId,
    /// Fencing token: a report with another epoch changes nothing (FEN-1).
    pub epoch: u32,
    /// Attempts that already failed.
    pub attempt: u32,
    /// Capacity class whose slot it takes.
    pub kind: Kind,
    /// What to do; shared by all units of a step.
    pub task: Arc<TaskSpec>,
    /// What to do it to. Locations are those the step must open (the landed copy, once there is one).
    pub assets: Vec<Asset>,
    /// When the job must be finished, if it must.
    pub deadline: Option<Timestamp>,
}
