//! Counters of steps.
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
mod memory;
mod postgres;
mod sql;
mod sqlite;

use crate::cost;
use crate::error::StoreResult;
use protocol::id::{JobNo, PartNo, StepNo};
use protocol::rules::unit::transition::UnitState;
use std::collections::BTreeMap;

/// Counters of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepRow {
    /// Number of the step in its workflow.
    pub step: StepNo,
    /// Number of planned units.
    pub total: u64,
    /// Number of succeeded units.
    pub succeeded: u64,
    /// Number of dead units.
    pub dead: u64,
    /// Number of cancelled units.
    pub cancelled: u64,
    /// Number of rows that are ready, leased or retrying.
    pub live: u64,
    /// Number of rows that are retrying.
    pub retrying: u64,
    /// Computed units up to this partition have been dispatched.
    pub cursor: PartNo,
    /// Sum of execution times in microseconds.
    pub busy_us: u64,
    /// Number of reported executions.
    pub executions: u64,
}

impl StepRow {
    /// Applies a change. A counter that would go below zero stays at zero, and the defect is counted.
    pub(crate) fn add(&mut self, delta: StepDelta) {
        let fields = [
            (&mut self.total, delta.total),
            (&mut self.succeeded, delta.succeeded),
            (&mut self.dead, delta.dead),
            (&mut self.cancelled, delta.cancelled),
            (&mut self.live, delta.live),
            (&mut self.retrying, delta.retrying),
            (&mut self.busy_us, delta.busy_us),
            (&mut self.executions, delta.executions),
        ];
        for (count, change) in fields {
            let sum = count.checked_add_signed(change);
            cost::counts(sum.is_some(), || {
                format!("a counter of step {} would go below 0", self.step.0)
            });
            *count = count.saturating_add_signed(change);
        }
    }
}

/// A change of a step's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StepDelta {
    /// Change of [`StepRow::total`].
    pub total: i64,
    /// Change of [`StepRow::succeeded`].
    pub succeeded: i64,
    /// Change of [`StepRow::dead`].
    pub dead: i64,
    /// Change of [`StepRow::cancelled`].
    pub cancelled: i64,
    /// Change of [`StepRow::live`].
    pub live: i64,
    /// Change of [`StepRow::retrying`].
    pub retrying: i64,
    /// Change of [`StepRow::busy_us`].
    pub busy_us: i64,
    /// Change of [`StepRow::executions`].
    pub executions: i64,
}

impl StepDelta {
    /// The change of one unit that moves from one state (`None`: no row) to another.
    pub fn transition(from: Option<UnitState>, to: UnitState) -> StepDelta {
        let mut delta = StepDelta::default();
        if let Some(from) = from {
            delta.count(from, -1);
        }
        delta.count(to, 1);
        delta
    }

    fn count(&mut self, state: UnitState, n: i64) {
        match state {
            UnitState::Planned => {}
            UnitState::Ready | UnitState::Leased => self.live += n,
            UnitState::Retrying => {
                self.live += n;
                self.retrying += n;
            }
            UnitState::Succeeded => self.succeeded += n,
            UnitState::Dead => self.dead += n,
            UnitState::Cancelled => self.cancelled += n,
        }
    }

    /// Whether a counter decreases.
    pub(crate) fn is_less(&self) -> bool {
        let counts = [
            self.total,
            self.succeeded,
            self.dead,
            self.cancelled,
            self.live,
            self.retrying,
        ];
        counts.into_iter().any(|change| change < 0)
    }

    /// Adds another change to this one.
    pub fn add(&mut self, other: StepDelta) {
        self.total += other.total;
        self.succeeded += other.succeeded;
        self.dead += other.dead;
        self.cancelled += other.cancelled;
        self.live += other.live;
        self.retrying += other.retrying;
        self.busy_us = self.busy_us.saturating_add(other.busy_us);
        self.executions += other.executions;
    }
}

/// Counters of steps.
pub trait StepTx {
    /// Counters of every step.
    fn steps(&mut self, job: JobNo) -> StoreResult<Vec<StepRow>>;
    /// Adds to a step's counters.
    fn add_to_step(&mut self, job: JobNo, step: StepNo, delta: StepDelta) -> StoreResult<()>;
    /// Moves the cursor of a step whose units are computed.
    fn set_cursor(&mut self, job: JobNo, step: StepNo, part: PartNo) -> StoreResult<()>;
}

/// Counters in memory.
pub(crate) type Table = BTreeMap<(JobNo, StepNo), StepRow>;
