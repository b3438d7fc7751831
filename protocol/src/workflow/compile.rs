//! From a job file to a workflow. Reports every problem it finds, each with its place, not just the first.
pub use super::compiler::{PolicyLoader, absolute};

use super::compiler::Compiler;
use super::cycle::find_cycle;
use super::file::{JobFile, PartitionBy};
use super::step::{KINDS, NoopFile, StepFile, StepForm, seal_of};
use super::{Action, Step, Workflow};
use crate::id::StepNo;
use crate::model::barrier::Scope;
use crate::rules::library::partition::{ASSETS_MAX, PartitionLimits};
use crate::rules::unit::retry::RetryPolicy;
use crate::time::Timestamp;
use crate::yaml::{self, Problem};
use std::sync::Arc;

/// Compiles a job file. `base` is the absolute directory of the file, `job_id` names the run, `now` is its submission.
pub fn compile(
    file: &str,
    source: &str,
    base: &str,
    job_id: &str,
    now: Timestamp,
    policies: &mut PolicyLoader<'_>,
) -> Result<Workflow, Vec<Problem>> {
    let (parsed, known) = match yaml::read_all::<JobFile>(file, source) {
        Ok(parsed) => (parsed, None),
        Err(mut mistakes) => match mistakes.rest.take() {
            Some(rest) => (rest, Some(mistakes)),
            None => return Err(mistakes.problems),
        },
    };
    let mut compiler = Compiler {
        file,
        source,
        base,
        job_id,
        now,
        policies,
        problems: Vec::new(),
        step: None,
        is_incomplete: known.is_some(),
        tree: None,
    };
    let workflow = compiler.workflow(parsed);
    if let Some(mistakes) = known {
        return Err(mistakes.with(file, compiler.problems));
    }
    if compiler.problems.is_empty() {
        Ok(workflow)
    } else {
        Err(compiler.problems)
    }
}

impl Compiler<'_> {
    fn workflow(&mut self, job: JobFile) -> Workflow {
        if job.job.trim().is_empty() {
            self.blame(
                "job:",
                "the job has no name".into(),
                "write `job: autumn-ingest`",
            );
        }
        let scan = self.library(&job.library);
        let deadline = job.deadline.as_deref().and_then(|text| {
            let moment = Timestamp::parse(text);
            if moment.is_none() {
                self.blame(
                    text,
                    format!("deadline {text:?} is not a time"),
                    "write 2026-12-01T18:00:00Z",
                );
            }
            moment
        });
        let titled = job
            .steps
            .iter()
            .any(|s| s.barrier.as_ref().is_some_and(|b| b.scope == Scope::Title));
        if titled && job.partition.by == Some(PartitionBy::Count) {
            self.blame(
                "by:",
                "a title barrier needs partitions that follow titles".into(),
                "write `by: title` or leave it out",
            );
        }
        if job.partition.max_assets == Some(0) {
            self.blame(
                "max_assets",
                "max_assets is 0".into(),
                "a unit carries at least one asset",
            );
        }
        if let Some(asked) = job.partition.max_assets.filter(|asked| *asked > ASSETS_MAX) {
            self.blame(
                "max_assets",
                format!("max_assets is {asked}; {ASSETS_MAX} are allowed"),
                "a unit and its results each have to fit into one message",
            );
        }
        let partition = PartitionLimits {
            by_title: titled || job.partition.by == Some(PartitionBy::Title),
            assets_max: job.partition.max_assets.unwrap_or(1),
            bytes_max: job.partition.max_bytes.map_or(u64::MAX, |b| b.0),
        };
        let steps = self.steps(job.steps);
        Workflow {
            name: job.job,
            scan: Arc::new(scan),
            deadline,
            priority: job.priority,
            tenant: job.tenant.unwrap_or_else(|| "default".into()),
            partition,
            steps,
        }
    }

    fn steps(&mut self, files: Vec<StepFile>) -> Vec<Step> {
        if files.is_empty() && !self.is_incomplete {
            self.blame(
                "steps",
                "the job has no steps".into(),
                "add at least one, e.g. a transfer",
            );
        }
        if files.len() > 200 {
            self.blame(
                "steps",
                format!("{} steps; 200 are allowed", files.len()),
                "split the job",
            );
            return Vec::new();
        }
        let ids: Vec<String> = files.iter().map(|s| s.id.clone()).collect();
        let mut steps: Vec<Step> = Vec::with_capacity(files.len());
        for (i, file) in files.iter().enumerate() {
            self.step = Some(i);
            self.step_id(&ids, i);
            let needs = self.needs(file, &ids);
            let form = self.form(file);
            let retry = self.retry(file, form.retry());
            let due_us = form
                .due()
                .map(|due| i64::try_from(due.0.as_micros()).unwrap_or(i64::MAX));
            let action = form.compile(file, self);
            steps.push(Step {
                id: file.id.clone(),
                needs,
                retry,
                on_failure: file.on_failure,
                due_us,
                action,
            });
        }
        self.step = None;
        if let Some(cycle) = find_cycle(&steps) {
            self.blame(
                "needs",
                format!("steps need each other in a circle: {cycle}"),
                "remove one of these needs",
            );
            return steps;
        }
        link_reads(&mut steps);
        self.link_purges(&files, &mut steps);
        self.check_barriers(&steps);
        let library = self.tree.clone();
        let seal = |(i, step)| seal_of(StepNo(i as u16), step, library.as_deref());
        let seals: Vec<Step> = steps.iter().enumerate().filter_map(seal).collect();
        steps.extend(seals);
        steps
    }

    fn step_id(&mut self, ids: &[String], i: usize) {
        let id = &ids[i];
        let needle = format!("id: {id}");
        let plain = !id.is_empty()
            && id.len() <= 64
            && id
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if !plain {
            self.blame(
                &needle,
                format!("step id {id:?} is not a plain name"),
                "use letters, digits, - and _, at most 64",
            );
        }
        if ids[..i].contains(id) {
            self.blame(
                &needle,
                format!("two steps are called {id:?}"),
                "step ids are unique in a job",
            );
        }
    }

    fn needs(&mut self, file: &StepFile, ids: &[String]) -> Vec<StepNo> {
        let mut needs = Vec::new();
        for need in &file.needs {
            match ids.iter().position(|id| id == need) {
                Some(no) if !needs.contains(&StepNo(no as u16)) => needs.push(StepNo(no as u16)),
                Some(_) => {}
                None if self.is_left_out(need) => {}
                None => {
                    let known: Vec<&str> = ids
                        .iter()
                        .map(String::as_str)
                        .filter(|id| *id != file.id)
                        .collect();
                    let hint = yaml::suggest(need, &known);
                    self.blame(
                        &format!("needs: {need}"),
                        format!("step {:?} needs {need:?}, which is not a step", file.id),
                        hint,
                    );
                }
            }
        }
        needs
    }

    fn retry(&mut self, file: &StepFile, mut policy: RetryPolicy) -> RetryPolicy {
        if let Some(retry) = &file.retry {
            if retry.attempts == Some(0) {
                self.blame("attempts", "attempts is 0".into(), "1 means no retry");
            }
            policy.attempts_max = retry.attempts.unwrap_or(policy.attempts_max);
            if let Some(range) = retry.backoff {
                (policy.backoff_min, policy.backoff_max) = (range.min, range.max);
            }
        }
        policy
    }

    /// The form of a step. One without a kind, or with several, is a problem.
    fn form<'f>(&mut self, file: &'f StepFile) -> &'f dyn StepForm {
        let (forms, later) = (file.forms(), file.later());
        let chosen = forms.len() + later.len();
        if chosen != 1 {
            let hint = format!("give it exactly one of {}", KINDS.join(", "));
            self.blame(
                &format!("id: {}", file.id),
                format!("step {:?} has {chosen} kinds", file.id),
                hint,
            );
        }
        if let Some(kind) = later.first() {
            let message = format!("step kind {kind:?} is not available in this version");
            self.blame(
                &format!("{kind}:"),
                message,
                format!("available: {}", KINDS.join(", ")),
            );
        }
        forms.first().copied().unwrap_or(&NO_FORM)
    }
}

/// The form that replaces the missing one of a step without a kind.
const NO_FORM: NoopFile = NoopFile {
    duration: None,
    fail: None,
};

/// The nearest transfer upstream decides which copy a step opens.
fn link_reads(steps: &mut [Step]) {
    for i in 0..steps.len() {
        let found = nearest_transfer(steps, i);
        if let Action::Units { reads, .. } = &mut steps[i].action {
            *reads = found;
        }
    }
}

fn nearest_transfer(steps: &[Step], from: usize) -> Option<StepNo> {
    let mut queue: Vec<StepNo> = steps[from].needs.clone();
    let mut seen = 0;
    while seen < queue.len() {
        let no = queue[seen];
        seen += 1;
        let step = &steps[usize::from(no.0)];
        if let Action::Units { task, .. } = &step.action
            && task.transfer().is_some()
        {
            return Some(no);
        }
        for need in &step.needs {
            if !queue.contains(need) {
                queue.push(*need);
            }
        }
    }
    None
}
