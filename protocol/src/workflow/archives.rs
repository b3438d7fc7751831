//! Steps that move content between storage classes, and those that remove it.
use super::compile::Compiler;
use super::file::StepFile;
use super::{Action, Step, targets};
use crate::id::StepNo;
use crate::wire::unit::{ArchiveTask, PurgeTask, RestoreTask, RestoreTier, TaskSpec};
use crate::yaml;
use std::sync::Arc;
use std::time::Duration;

/// Storage classes of the services, as they spell them.
const CLASSES: [&str; 11] = [
    "STANDARD",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "REDUCED_REDUNDANCY",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
    "NEARLINE",
    "COLDLINE",
    "ARCHIVE",
];
/// Days a readable copy is kept, when the job does not say.
const DAYS: u32 = 7;
/// How often it is looked for, when the job does not say: within minutes what comes within minutes.
const LOOK: Duration = Duration::from_secs(15 * 60);
const LOOK_EXPEDITED: Duration = Duration::from_secs(60);

impl Compiler<'_> {
    /// The task of a step of this kind; `None` for others.
    pub(super) fn stored(&mut self, file: &StepFile) -> Option<TaskSpec> {
        if let Some(archive) = &file.archive {
            if !CLASSES.contains(&archive.class.as_str()) {
                let hint = yaml::suggest(&archive.class, &CLASSES);
                self.blame(&archive.class, format!("{:?} is no storage class", archive.class), hint);
            }
            return Some(TaskSpec::Archive(ArchiveTask { class: archive.class.clone() }));
        }
        if let Some(restore) = &file.restore {
            let tier = restore.tier.unwrap_or_default();
            if restore.days == Some(0) {
                self.blame("days", "days is 0".into(), "a readable copy is kept for at least a day");
            }
            let usual = if tier == RestoreTier::Expedited { LOOK_EXPEDITED } else { LOOK };
            let look = restore.look.map_or(usual, |span| span.0);
            let look_again_us = u64::try_from(look.as_micros()).unwrap_or(u64::MAX);
            return Some(TaskSpec::Restore(RestoreTask { days: restore.days.unwrap_or(DAYS), tier, look_again_us }));
        }
        let purge = file.purge.as_ref()?;
        for (name, text) in [("ordered_by", &purge.ordered_by), ("reason", &purge.reason)] {
            if text.trim().is_empty() {
                let message = format!("{name} is empty: a purge removes content for good");
                self.blame(name, message, "say who orders it and why; both are kept with what is left of each file");
            }
        }
        Some(TaskSpec::Purge(PurgeTask {
            of: Vec::new(),
            keep: Vec::new(),
            proof: purge.proof,
            ordered_by: purge.ordered_by.clone(),
            reason: purge.reason.clone(),
            dry_run: purge.dry_run,
        }))
    }

    /// Finds the copies that purges speak of, once every step is known. A purge opens the library's own file and finds
    /// both copies from there.
    pub(super) fn link_purges(&mut self, files: &[StepFile], steps: &mut [Step]) {
        for (at, file) in files.iter().enumerate() {
            let Some(purge) = &file.purge else { continue };
            let keep = self.transfer_before(&purge.keep, "keep", at, steps);
            let of = purge.of.as_ref().map(|of| self.transfer_before(of, "of", at, steps));
            if purge.of.as_ref() == Some(&purge.keep) {
                self.blame("keep", format!("step {:?} purges the copy it keeps", file.id), "keep another step's copy");
            }
            let (Some(keep), Some(of)) = (keep, of.map_or(Some(Vec::new()), |of| of)) else { continue };
            if let Action::Units { task, reads, .. } = &mut steps[at].action
                && let TaskSpec::Purge(task) = Arc::make_mut(task)
            {
                (task.keep, task.of, *reads) = (keep, of, None);
            }
        }
    }

    /// Targets to the copy of the transfer called `id`, which the step at `at` must need, directly or through others:
    /// otherwise it might not be there yet.
    fn transfer_before(&mut self, id: &str, word: &str, at: usize, steps: &[Step]) -> Option<Vec<String>> {
        let found = steps.iter().position(|step| step.id == id);
        let transfer = found.filter(|no| match &steps[*no].action {
            Action::Units { task, .. } => task.transfer().is_some(),
            _ => false,
        });
        let Some(no) = transfer else {
            let known: Vec<&str> = steps.iter().filter(|step| is_transfer(step)).map(|step| step.id.as_str()).collect();
            self.blame(id, format!("{word}: {id:?} is no transfer step"), yaml::suggest(id, &known));
            return None;
        };
        if !is_needed(steps, at, no) {
            let message = format!("step {:?} does not need {id:?}, whose copy it speaks of", steps[at].id);
            self.blame(&format!("id: {}", steps[at].id), message, format!("add {id} to its needs"));
            return None;
        }
        Some(targets(steps, StepNo(no as u16)).into_iter().map(str::to_owned).collect())
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
