//! Job files: what a person writes ([`mod@file`]), checked and compiled to steps ([`compile`]).
//!
//! A job runs the revision it started with: the compiled [`Workflow`] is stored with it as JSON, paths absolute and
//! policies resolved, so that later edits of the files change nothing under way.
pub mod compile;
mod compiler;
mod cycle;
pub mod file;
mod library;
pub mod on_failure;
pub mod step;
pub mod waivers;

#[cfg(test)]
mod tests;

use crate::id::{Kind, StepNo};
use crate::media::role_pattern::RolePattern;
use crate::model::barrier::Scope;
use crate::model::priority::Priority;
use crate::rules::barrier::BarrierPolicy;
use crate::rules::library::partition::PartitionLimits;
use crate::rules::unit::retry::RetryPolicy;
use crate::time::Timestamp;
use crate::wire::step::TaskSpec;
use crate::wire::step::qc::QcTask;
use crate::wire::step::scan::{ScanSource, ScanTask};
use on_failure::OnFailure;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A job file, checked and compiled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workflow {
    /// Name of the job.
    pub name: String,
    /// How the library is listed.
    pub scan: Arc<TaskSpec>,
    /// When the job must be finished.
    pub deadline: Option<Timestamp>,
    /// Class of the job.
    pub priority: Priority,
    /// Who the work is for.
    pub tenant: String,
    /// How assets are cut into units.
    pub partition: PartitionLimits,
    /// Declared steps in declared order, then the seals they imply.
    pub steps: Vec<Step>,
}

/// One step of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Name of the step.
    pub id: String,
    /// Steps it needs.
    pub needs: Vec<StepNo>,
    /// How often and how soon to try again.
    pub retry: RetryPolicy,
    /// What an asset's failure means.
    pub on_failure: OnFailure,
    /// Time a reviewer has to decide about an asset, in microseconds.
    #[serde(default)]
    pub due_us: Option<i64>,
    /// What it does.
    pub action: Action,
}

/// The forms of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Action {
    /// One unit a partition.
    Units {
        /// Kind of its units.
        kind: Kind,
        /// What each unit does.
        task: Arc<TaskSpec>,
        /// The transfer whose copies this step opens instead of the library's own files.
        reads: Option<StepNo>,
    },
    /// Holds partitions together until its policy opens it.
    Barrier {
        /// What it holds together.
        scope: Scope,
        /// Units in a batch, for scope batch.
        batch_units: u32,
        /// When it opens.
        policy: BarrierPolicy,
        /// Microseconds after submission when it counts as overdue.
        deadline_us: Option<i64>,
    },
    /// One unit per partition, which waits for the approval of a person.
    Approval {
        /// Who may give it.
        role: String,
        /// Which assets it is asked for, as a [`crate::rules::review::approval::Condition`]; all when not given.
        when: Option<String>,
    },
    /// One unit for the whole job, once every unit of the step it closes has ended: writes the ASC MHL generation.
    Seal {
        /// The transfer step it closes.
        of: StepNo,
        /// What it does.
        task: Arc<TaskSpec>,
    },
}

impl Action {
    /// One unit a partition, over the library's own files.
    fn units(kind: Kind, task: TaskSpec) -> Action {
        Action::Units {
            kind,
            task: Arc::new(task),
            reads: None,
        }
    }
}

impl Workflow {
    /// Whether its library is a folder or a bucket that is listed, and not a manifest that declares what it holds.
    pub fn lists_its_library(&self) -> bool {
        let listed = |scan: &ScanTask| {
            matches!(
                scan.source,
                ScanSource::Folder { .. } | ScanSource::Bucket { .. }
            )
        };
        self.scan_task().is_some_and(listed)
    }

    /// The pattern that declares roles of its library; `None` when every role is declared by a manifest or inferred.
    pub fn role_pattern(&self) -> Option<RolePattern> {
        match &self.scan_task()?.source {
            ScanSource::Folder { pattern, .. } | ScanSource::Bucket { pattern, .. } => {
                RolePattern::new(pattern.as_deref()?)
            }
            ScanSource::Manifest { .. } => None,
        }
    }

    /// The step with this number.
    pub fn step(&self, no: StepNo) -> Option<&Step> {
        self.steps.get(usize::from(no.0))
    }

    /// Every step with its number.
    pub fn numbered(&self) -> impl Iterator<Item = (StepNo, &Step)> {
        self.steps
            .iter()
            .enumerate()
            .map(|(i, step)| (StepNo(i as u16), step))
    }

    /// The number of the step with this name.
    pub fn step_no(&self, id: &str) -> Option<StepNo> {
        self.numbered()
            .find(|(_, step)| step.id == id)
            .map(|(no, _)| no)
    }

    /// Steps that name `no` among their needs.
    pub fn dependents(&self, no: StepNo) -> impl Iterator<Item = (StepNo, &Step)> {
        self.numbered()
            .filter(move |(_, step)| step.needs.contains(&no))
    }

    /// Targets that lead from the library's own file to the copy that the transfer `no` makes, first to last.
    pub fn targets_to(&self, no: StepNo) -> Vec<&str> {
        targets(&self.steps, no)
    }

    /// Unit steps that can start as soon as their partition is planned.
    pub fn roots(&self) -> impl Iterator<Item = (StepNo, &Step)> {
        self.numbered().filter(|(_, step)| {
            step.needs.is_empty() && matches!(step.action, Action::Units { .. })
        })
    }

    /// The scan that lists the library.
    pub fn scan_task(&self) -> Option<&ScanTask> {
        self.scan.scan()
    }
}

impl Step {
    /// Capacity class of its units; `None` for what no worker does.
    pub fn kind(&self) -> Option<Kind> {
        match &self.action {
            Action::Units { kind, .. } => Some(*kind),
            Action::Seal { .. } => Some(Kind::Transfer),
            Action::Barrier { .. } | Action::Approval { .. } => None,
        }
    }

    /// Whether it runs one unit a partition.
    pub fn has_units(&self) -> bool {
        matches!(self.action, Action::Units { .. } | Action::Approval { .. })
    }

    /// Whether its units copy assets.
    pub fn carries(&self) -> bool {
        matches!(&self.action, Action::Units { task, .. } if task.transfer().is_some())
    }

    /// What its units judge by, when it judges media.
    pub fn qc(&self) -> Option<&QcTask> {
        match &self.action {
            Action::Units { task, .. } => match task.as_ref() {
                TaskSpec::Qc(qc) => Some(qc),
                _ => None,
            },
            _ => None,
        }
    }

    /// The kind word of the product (`transfer`, `qc`, `barrier`, …).
    pub fn kind_word(&self) -> &'static str {
        match &self.action {
            Action::Units { kind, task, .. } => task.word().unwrap_or(kind.as_str()),
            Action::Barrier { .. } => "barrier",
            Action::Approval { .. } => "approval",
            Action::Seal { .. } => "seal",
        }
    }
}

fn targets(steps: &[Step], no: StepNo) -> Vec<&str> {
    let (mut targets, mut at) = (Vec::new(), Some(no));
    // A step reads what an earlier one made, so this ends; a stored workflow that says otherwise must not hang us.
    while let Some(step) = at
        .and_then(|no| steps.get(usize::from(no.0)))
        .filter(|_| targets.len() < steps.len())
    {
        let Action::Units { task, reads, .. } = &step.action else {
            break;
        };
        if let Some(transfer) = task.transfer() {
            targets.push(transfer.to.as_str());
        }
        at = *reads;
    }
    targets.reverse();
    targets
}
