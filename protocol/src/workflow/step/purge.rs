//! `purge`: removes content that is proven to be elsewhere.
use super::{StepFile, StepForm};
use crate::id::{Kind, StepNo};
use crate::model::purge_proof::PurgeProof;
use crate::wire::step::TaskSpec;
use crate::wire::step::purge::PurgeTask;
use crate::workflow::compiler::Compiler;
use crate::workflow::{Action, Step, targets};
use crate::yaml;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Parameters of a purge step.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PurgeFile {
    /// The transfer step whose copy is removed; without it the library's own file is.
    pub of: Option<String>,
    /// The transfer step whose copy stays, and proves each file before it is removed.
    pub keep: String,
    /// How the copy is proven (default content: both are read at that moment).
    #[serde(default)]
    pub proof: PurgeProof,
    /// Who orders it; kept with what is left of each file.
    pub ordered_by: String,
    /// Why; kept with what is left of each file.
    pub reason: String,
    /// Look and report, remove nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl StepForm for PurgeFile {
    fn compile(&self, _: &StepFile, compiler: &mut Compiler<'_>) -> Action {
        for (name, text) in [("ordered_by", &self.ordered_by), ("reason", &self.reason)] {
            if text.trim().is_empty() {
                let message = format!("{name} is empty: a purge removes content for good");
                compiler.blame(
                    name,
                    message,
                    "say who orders it and why; both are kept with what is left of each file",
                );
            }
        }
        let task = PurgeTask {
            of: Vec::new(),
            keep: Vec::new(),
            proof: self.proof,
            ordered_by: self.ordered_by.clone(),
            reason: self.reason.clone(),
            dry_run: self.dry_run,
        };
        Action::units(Kind::Transfer, TaskSpec::Purge(task))
    }
}

impl Compiler<'_> {
    /// Finds the copies that purges speak of, once every step is known. A purge opens the library's own file and finds
    /// both copies from there.
    pub(in crate::workflow) fn link_purges(&mut self, files: &[StepFile], steps: &mut [Step]) {
        for (at, file) in files.iter().enumerate() {
            let Some(purge) = &file.purge else { continue };
            let keep = self.transfer_before(&purge.keep, "keep", at, steps);
            let of = purge
                .of
                .as_ref()
                .map(|of| self.transfer_before(of, "of", at, steps));
            if purge.of.as_ref() == Some(&purge.keep) {
                self.blame(
                    "keep",
                    format!("step {:?} purges the copy it keeps", file.id),
                    "keep another step's copy",
                );
            }
            let (Some(keep), Some(of)) = (keep, of.map_or(Some(Vec::new()), |of| of)) else {
                continue;
            };
            if let Action::Units { task, reads, .. } = &mut steps[at].action
                && let TaskSpec::Purge(task) = Arc::make_mut(task)
            {
                (task.keep, task.of, *reads) = (keep, of, None);
            }
        }
    }

    /// Targets to the copy of the transfer called `id`, which the step at `at` must need, directly or through others:
    /// otherwise it might not be there yet.
    fn transfer_before(
        &mut self,
        id: &str,
        word: &str,
        at: usize,
        steps: &[Step],
    ) -> Option<Vec<String>> {
        let found = steps.iter().position(|step| step.id == id);
        let transfer = found.filter(|no| match &steps[*no].action {
            Action::Units { task, .. } => task.transfer().is_some(),
            _ => false,
        });
        let Some(no) = transfer else {
            let known: Vec<&str> = steps
                .iter()
                .filter(|step| is_transfer(step))
                .map(|step| step.id.as_str())
                .collect();
            self.blame(
                id,
                format!("{word}: {id:?} is no transfer step"),
                yaml::suggest(id, &known),
            );
            return None;
        };
        if !is_needed(steps, at, no) {
            let message = format!(
                "step {:?} does not need {id:?}, whose copy it speaks of",
                steps[at].id
            );
            self.blame(
                &format!("id: {}", steps[at].id),
                message,
                format!("add {id} to its needs"),
            );
            return None;
        }
        Some(
            targets(steps, StepNo(no as u16))
                .into_iter()
                .map(str::to_owned)
                .collect(),
        )
    }
}

fn is_transfer(step: &Step) -> bool {
    matches!(&step.action, Action::Units { task, .. } if task.transfer().is_some())
}

/// Whether the step at `at` needs the one at `no`.
fn is_needed(steps: &[Step], at: usize, no: usize) -> bool {
    let (mut open, mut seen) = (vec![at], vec![false; steps.len()]);
    while let Some(step) = open.pop() {
        for need in steps[step].needs.iter().map(|need| usize::from(need.0)) {
            if need == no {
                return true;
            }
            if !std::mem::replace(&mut seen[need], true) {
                open.push(need);
            }
        }
    }
    false
}
