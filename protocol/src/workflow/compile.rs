//! From a job file to a workflow. Reports every problem it finds, each with its place, not just the first.
use super::cycle::find_cycle;
use super::file::{ApprovalFile, BarrierFile, JobFile, PartitionBy, ReplaceFile, StepFile, TransferFile};
use super::{Action, Step, Workflow};
use crate::id::{Kind, StepNo};
use crate::media::template;
use crate::model::barrier::Scope;
use crate::model::location::Scheme;
use crate::rules::barrier::BarrierPolicy;
use crate::rules::library::partition::{ASSETS_MAX, PartitionLimits};
use crate::rules::review::approval::Condition;
use crate::rules::unit::retry::RetryPolicy;
use crate::time::Timestamp;
use crate::wire::unit::{HashAlgorithm, NoopTask, QcTask, SealTask, TaskSpec, TransferTask};
use crate::yaml::{self, Problem};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Loads and resolves a delivery spec for a `qc` step, given its path as written.
pub type PolicyLoader<'a> = dyn FnMut(&str) -> Result<QcTask, Problem> + 'a;

const BATCH_UNITS: u32 = 1_000;

/// Compiles a job file. `base` is the absolute directory of the file, `job_id` names the run, `now` is its submission.
pub fn compile(
    file: &str,
    source: &str,
    base: &str,
    job_id: &str,
    now: Timestamp,
    policies: &mut PolicyLoader<'_>,
) -> Result<Workflow, Vec<Problem>> {
    let parsed: JobFile = yaml::read(file, source).map_err(|p| vec![p])?;
    let mut compiler = Compiler { file, source, base, job_id, now, problems: Vec::new(), step: None, tree: None };
    let workflow = compiler.workflow(parsed, policies);
    if compiler.problems.is_empty() { Ok(workflow) } else { Err(compiler.problems) }
}

pub(super) struct Compiler<'a> {
    file: &'a str,
    source: &'a str,
    base: &'a str,
    job_id: &'a str,
    now: Timestamp,
    problems: Vec<Problem>,
    /// The step that is compiled now: its problems lie within it.
    step: Option<usize>,
    /// The tree that the library is: a folder or a bucket prefix.
    pub(super) tree: Option<String>,
}

impl Compiler<'_> {
    pub(super) fn blame(&mut self, needle: &str, message: String, hint: impl Into<String>) {
        let problem = Problem::new(self.file, message).hint(hint);
        self.problems.push(match self.step {
            Some(step) => problem.within(self.source, needle, "steps", step),
            None => problem.near(self.source, needle),
        });
    }

    fn workflow(&mut self, job: JobFile, policies: &mut PolicyLoader<'_>) -> Workflow {
        if job.job.trim().is_empty() {
            self.blame("job:", "the job has no name".into(), "write `job: autumn-ingest`");
        }
        let scan = self.library(&job.library);
        let deadline = job.deadline.as_deref().and_then(|text| {
            let moment = Timestamp::parse(text);
            if moment.is_none() {
                self.blame(text, format!("deadline {text:?} is not a time"), "write 2026-12-01T18:00:00Z");
            }
            moment
        });
        let titled = job.steps.iter().any(|s| s.barrier.as_ref().is_some_and(|b| b.scope == Scope::Title));
        if titled && job.partition.by == Some(PartitionBy::Count) {
            self.blame(
                "by:",
                "a title barrier needs partitions that follow titles".into(),
                "write `by: title` or leave it out",
            );
        }
        if job.partition.max_assets == Some(0) {
            self.blame("max_assets", "max_assets is 0".into(), "a unit carries at least one asset");
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
        let steps = self.steps(job.steps, policies);
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

    pub(super) fn absolute(&self, path: &str) -> String {
        absolute(self.base, path)
    }

    fn steps(&mut self, files: Vec<StepFile>, policies: &mut PolicyLoader<'_>) -> Vec<Step> {
        if files.is_empty() {
            self.blame("steps", "the job has no steps".into(), "add at least one, e.g. a transfer");
        }
        if files.len() > 200 {
            self.blame("steps", format!("{} steps; 200 are allowed", files.len()), "split the job");
            return Vec::new();
        }
        let ids: Vec<String> = files.iter().map(|s| s.id.clone()).collect();
        let mut steps: Vec<Step> = Vec::with_capacity(files.len());
        for (i, file) in files.iter().enumerate() {
            self.step = Some(i);
            self.step_id(&ids, i);
            let needs = self.needs(file, &ids);
            let retry = self.retry(file);
            let action = self.action(file, policies);
            let due = file.qc.as_ref().and_then(|qc| qc.due).or(file.approval.as_ref().and_then(|a| a.due));
            let due_us = due.map(|due| i64::try_from(due.0.as_micros()).unwrap_or(i64::MAX));
            steps.push(Step { id: file.id.clone(), needs, retry, on_failure: file.on_failure, due_us, action });
        }
        self.step = None;
        if let Some(cycle) = find_cycle(&steps) {
            self.blame("needs", format!("steps need each other in a circle: {cycle}"), "remove one of these needs");
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
        let plain =
            !id.is_empty() && id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if !plain {
            self.blame(
                &needle,
                format!("step id {id:?} is not a plain name"),
                "use letters, digits, - and _, at most 64",
            );
        }
        if ids[..i].contains(id) {
            self.blame(&needle, format!("two steps are called {id:?}"), "step ids are unique in a job");
        }
    }

    fn needs(&mut self, file: &StepFile, ids: &[String]) -> Vec<StepNo> {
        let mut needs = Vec::new();
        for need in &file.needs {
            match ids.iter().position(|id| id == need) {
                Some(no) if !needs.contains(&StepNo(no as u16)) => needs.push(StepNo(no as u16)),
                Some(_) => {}
                None => {
                    let known: Vec<&str> = ids.iter().map(String::as_str).filter(|id| *id != file.id).collect();
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

    fn retry(&mut self, file: &StepFile) -> RetryPolicy {
        let measures = file.qc.is_some() || file.noop.is_some();
        let mut policy = if measures { RetryPolicy::measuring() } else { RetryPolicy::default() };
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

    fn transfer(&mut self, transfer: &TransferFile) -> TaskSpec {
        let to = self.target(&transfer.to);
        self.outside_library(&transfer.to, &to);
        let verify = transfer.verify.map_or(Some(HashAlgorithm::Xxh128), |v| v.0);
        if transfer.mhl && verify.is_none_or(|a| a == HashAlgorithm::Crc64nvme || a == HashAlgorithm::Sha256) {
            self.blame(
                "mhl",
                "mhl: true needs a verify hash that ASC MHL knows".into(),
                "verify: xxh128, xxh3, xxh64, md5, sha1 or c4",
            );
        }
        let (job, mhl, hashes) = (self.job_id.to_owned(), transfer.mhl, transfer.hashes.clone());
        let task = TransferTask { to, verify, hashes, job, mhl };
        match transfer.replace {
            None => TaskSpec::Transfer(task),
            Some(ReplaceFile::Versioned) => {
                self.unsealed(mhl);
                TaskSpec::Replace(task)
            }
        }
    }

    /// A history is a promise about one content of each name.
    fn unsealed(&mut self, mhl: bool) {
        if mhl {
            self.blame(
                "replace",
                "replace: versioned cannot go with mhl: true, whose history takes other content under a known name for damage".into(),
                "leave out one of them, or give each delivery a folder of its own, e.g. with {version} in `to`",
            );
        }
    }

    fn action(&mut self, file: &StepFile, policies: &mut PolicyLoader<'_>) -> Action {
        let later: BTreeMap<&str, bool> = BTreeMap::from([
            ("sync", file.sync.is_some()),
            ("notify", file.notify.is_some()),
            ("deliver", file.deliver.is_some()),
        ]);
        let chosen = available(file).into_iter().chain(later.values().copied()).filter(|set| *set).count();
        let needle = format!("id: {}", file.id);
        if chosen != 1 {
            self.blame(
                &needle,
                format!("step {:?} has {chosen} kinds", file.id),
                "give it exactly one of transfer, qc, archive, restore, purge, barrier, approval, noop",
            );
        }
        if let Some((kind, _)) = later.iter().find(|(_, set)| **set) {
            self.blame(
                &format!("{kind}:"),
                format!("step kind {kind:?} is not available in this version"),
                "available: transfer, qc, archive, restore, purge, barrier, approval, noop",
            );
        }
        let units = |kind, task| Action::Units { kind, task: Arc::new(task), reads: None };
        if let Some(barrier) = &file.barrier {
            return self.barrier(file, barrier);
        }
        if let Some(approval) = &file.approval {
            return self.approval(file, approval);
        }
        if let Some(transfer) = &file.transfer {
            let task = self.transfer(transfer);
            return units(Kind::Transfer, task);
        }
        if let Some(qc) = &file.qc {
            let path = self.absolute(&qc.policy);
            let task = policies(&path).unwrap_or_else(|problem| {
                self.problems.push(problem);
                QcTask { policy: String::new(), digest: String::new() }
            });
            return units(Kind::Qc, TaskSpec::Qc(task));
        }
        if let Some(task) = self.stored(file) {
            return units(Kind::Transfer, task);
        }
        let noop = file.noop.clone().unwrap_or_default();
        let micros = |d: std::time::Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        units(
            Kind::Noop,
            TaskSpec::Noop(NoopTask {
                duration_min_us: noop.duration.map_or(0, |d| micros(d.min)),
                duration_max_us: noop.duration.map_or(0, |d| micros(d.max)),
                fail: noop.fail.map_or(0.0, |s| s.0),
            }),
        )
    }

    fn approval(&mut self, file: &StepFile, approval: &ApprovalFile) -> Action {
        if file.needs.is_empty() {
            let message = format!("approval {:?} needs nothing, so there is nothing to approve yet", file.id);
            self.blame(&format!("id: {}", file.id), message, "add `needs: [step]`");
        }
        if approval.role.trim().is_empty() {
            self.blame("role", format!("approval {:?} names no role", file.id), "write `role: approver`");
        }
        if let Some(Err(wrong)) = approval.when.as_deref().map(Condition::parse) {
            self.blame("when", wrong.to_string(), wrong.hint);
        }
        Action::Approval { role: approval.role.clone(), when: approval.when.clone() }
    }

    fn target(&mut self, to: &str) -> String {
        if let Err(error) = template::check(to) {
            self.blame(to, error.to_string(), "write file:./landing/{title}/{file}");
        }
        let Some((scheme, path)) = Scheme::split(to).filter(|(scheme, _)| scheme.is_writable()) else {
            let hint = "write file:./landing/{title}/{file}, s3://bucket/{path} or gs://bucket/{path}";
            self.blame(to, format!("target {to:?} is no place that can be written to"), hint);
            return to.to_owned();
        };
        if !path.contains('{') {
            self.blame(to, format!("target {to:?} is the same file for every asset"), "add {file} or {path}");
        }
        if path.split('/').any(|part| part == "..") && path.find('{').is_some_and(|open| path[open..].contains("..")) {
            self.blame(to, format!("target {to:?} climbs up after a placeholder"), "remove the ..");
        }
        if scheme.is_bucket() {
            let parts: Vec<&str> = path.split('/').collect();
            let named = parts[0].len() >= 3 && !parts[0].contains(['{', '}']);
            if !named || parts.len() < 2 || parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
                let hint =
                    "write s3://bucket/prefix/{title}/{file}: the bucket itself, and keys without empty names or ..";
                self.blame(to, format!("target {to:?} names no object of a bucket"), hint);
            }
            return to.to_owned();
        }
        format!("file:{}", self.absolute(path.strip_prefix("//").unwrap_or(path)))
    }

    fn barrier(&mut self, file: &StepFile, barrier: &BarrierFile) -> Action {
        let needle = format!("id: {}", file.id);
        if file.needs.is_empty() {
            self.blame(
                &needle,
                format!("barrier {:?} needs nothing, so it holds nothing together", file.id),
                "add `needs: [step]`",
            );
        }
        if let crate::model::barrier::Require::Fraction(share) = barrier.require
            && !(0.0..=1.0).contains(&share)
        {
            self.blame("fraction", format!("fraction {share} is not between 0 and 1"), "0.9 means nine in ten");
        }
        if barrier.batch_units == Some(0) {
            self.blame("batch_units", "batch_units is 0".into(), "a batch has at least one unit");
        }
        let until = barrier.until.as_deref().and_then(|text| {
            let moment = Timestamp::parse(text)
                .or_else(|| crate::quantity::Span::parse(text).ok().map(|span| self.now.after(span.0)));
            if moment.is_none() {
                self.blame(
                    text,
                    format!("until {text:?} is neither a time nor a duration"),
                    "write 2026-12-01T18:00:00Z or 12h",
                );
            }
            moment
        });
        let policy =
            BarrierPolicy { require: barrier.require.into(), budget: barrier.failure_budget.map(Into::into), until };
        let deadline_us = barrier.deadline.map(|d| i64::try_from(d.0.as_micros()).unwrap_or(i64::MAX));
        Action::Barrier {
            scope: barrier.scope,
            batch_units: barrier.batch_units.unwrap_or(BATCH_UNITS),
            policy,
            deadline_us,
        }
    }

    /// A barrier over barriers must be at least as wide as what it holds.
    fn check_barriers(&mut self, steps: &[Step]) {
        for step in steps {
            let Action::Barrier { scope, .. } = &step.action else { continue };
            for need in &step.needs {
                let Some(Action::Barrier { scope: inner, .. }) = steps.get(usize::from(need.0)).map(|s| &s.action)
                else {
                    continue;
                };
                if *scope != Scope::Job {
                    let needle = format!("id: {}", step.id);
                    let message = format!(
                        "barrier {:?} of scope {} holds a barrier of scope {}",
                        step.id,
                        scope.as_str(),
                        inner.as_str()
                    );
                    self.blame(&needle, message, "only a barrier of scope job can hold other barriers");
                }
            }
        }
    }
}

/// Which of the kinds that there are a step names.
fn available(file: &StepFile) -> [bool; 8] {
    [
        file.transfer.is_some(),
        file.qc.is_some(),
        file.noop.is_some(),
        file.barrier.is_some(),
        file.approval.is_some(),
        file.archive.is_some(),
        file.restore.is_some(),
        file.purge.is_some(),
    ]
}

/// Joins a path as written in a file with the directory of that file, lexically.
pub fn absolute(base: &str, path: &str) -> String {
    let joined = if path.starts_with('/') { path.to_owned() } else { format!("{base}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    format!("/{}", parts.join("/"))
}

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

/// The seal a transfer implies. `library` is the tree the job's assets are in, when it is one.
fn seal_of(no: StepNo, step: &Step, library: Option<&str>) -> Option<Step> {
    let Action::Units { task, reads, .. } = &step.action else { return None };
    let transfer = task.transfer()?;
    if !transfer.mhl {
        return None;
    }
    let seal = SealTask {
        root: template::root(&transfer.to).to_owned(),
        job: transfer.job.clone(),
        algorithm: transfer.verify.unwrap_or(HashAlgorithm::Xxh128),
    };
    // Only a copy that keeps every path can go on with the history of what it is a copy of.
    let whole = reads.is_none() && transfer.to.strip_prefix(&seal.root).is_some_and(|rest| rest == "/{path}");
    let seal = match library.filter(|_| whole) {
        Some(library) => TaskSpec::SealCopy { seal, from: library.to_owned() },
        None => TaskSpec::Seal(seal),
    };
    Some(Step {
        id: format!("{}.mhl", step.id),
        needs: Vec::new(),
        retry: RetryPolicy::default(),
        on_failure: super::file::OnFailure::Hold,
        due_us: None,
        action: Action::Seal { of: no, task: Arc::new(seal) },
    })
}
