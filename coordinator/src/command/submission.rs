//! Compiles the sources of a job and submits it. Clients send sources, never a compiled workflow: the server's own compiler
//! decides what may run, and a client of another version cannot submit what this one would misread.
use crate::error::{Answer, Error};
use crate::store::{NewJob, Tx};
use protocol::id::job_id;
use protocol::time::Timestamp;
use protocol::wire::step::qc::QcTask;
use protocol::workflow::compile::compile as compile_workflow;
use protocol::yaml::Problem;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A job file with everything it refers to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    /// The job file as its author names it, for messages.
    #[schema(max_length = 4096)]
    pub file: String,
    /// Absolute directory that relative paths in the job file start from.
    #[schema(max_length = 4096, pattern = "^/")]
    pub base: String,
    /// Text of the job file.
    pub source: String,
    /// Text of every delivery spec that the job file names or that another one inherits, by its path as compiled.
    #[serde(default)]
    pub policies: BTreeMap<String, String>,
}

/// A submitted job, or one that passed a dry run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Submitted {
    /// Public id of the job; with `dry_run` no job is stored under it.
    pub job: String,
    /// Whether it was only checked.
    pub dry_run: bool,
}

/// Reads a delivery spec by path: from a disk, or from what was sent.
pub type Reader<'a> = dyn FnMut(&str) -> Result<String, Problem> + 'a;

/// Compiles a job file whose delivery specs `read` finds. `entropy` makes the id unique. The digest covers the file and
/// every policy it refers to.
pub fn compile(
    file: &str,
    base: &str,
    source: &str,
    read: &mut Reader<'_>,
    entropy: u64,
    now: Timestamp,
) -> Result<NewJob, Vec<Problem>> {
    let id = job_id(&job_name(source), entropy);
    let mut digest = Sha256::new();
    digest.update(base.as_bytes());
    digest.update([0]);
    digest.update(source.as_bytes());
    let mut policies = |path: &str| {
        let task = policy(path, read)?;
        digest.update(task.policy.as_bytes());
        Ok(task)
    };
    let workflow = compile_workflow(file, source, base, &id, now, &mut policies)?;
    let digest = digest
        .finalize()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    Ok(NewJob {
        id,
        workflow,
        digest,
        submitted_at: now,
        submission: None,
    })
}

/// Reads, resolves and digests a delivery spec.
pub fn policy(path: &str, read: &mut Reader<'_>) -> Result<QcTask, Problem> {
    let source = read(path)?;
    let spec = spec::resolve(path, &source, read)?;
    let policy = serde_json::to_string(&spec).map_err(|e| Problem::new(path, e.to_string()))?;
    Ok(QcTask {
        policy,
        digest: spec.digest(),
    })
}

/// Compiles what a client sent.
pub fn compile_sent(
    sources: &Sources,
    entropy: u64,
    now: Timestamp,
) -> Result<NewJob, Vec<Problem>> {
    if !sources.base.starts_with('/') {
        let wrong = Problem::new(
            &sources.file,
            format!("base {:?} is not an absolute directory", sources.base),
        );
        return Err(vec![
            wrong.hint("send the directory that the job file lies in"),
        ]);
    }
    let mut read = |path: &str| {
        let sent = sources.policies.get(path).cloned();
        sent.ok_or_else(|| {
            Problem::new(path, "this delivery spec was not sent").hint("send it under policies")
        })
    };
    compile(
        &sources.file,
        &sources.base,
        &sources.source,
        &mut read,
        entropy,
        now,
    )
}

/// Entropy of a job's id from an idempotency key: the same key and name give the same id.
pub fn entropy_of(key: &str) -> u64 {
    let digest = Sha256::digest(key.as_bytes());
    digest
        .iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// What a submission is known by: one idempotency key makes one job, whatever that is called.
pub fn submission_of(key: &str) -> String {
    Sha256::digest(key.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Adds a job. One that is there already under the same idempotency key or id is the same submission sent again, unless it
/// says something else.
pub fn submit(tx: &mut dyn Tx, job: &NewJob) -> Answer<Submitted> {
    let submitted = Submitted {
        job: job.id.clone(),
        dry_run: false,
    };
    let of_key = match &job.submission {
        Some(submission) => tx.job_of_submission(submission)?,
        None => None,
    };
    // The version before kept no keys; there the id alone tells.
    let there = match of_key {
        Some(there) => Some(there),
        None => tx.job_by_id(&job.id)?,
    };
    match there {
        Some(there) if there.digest == job.digest => return Ok(submitted),
        Some(there) => {
            let why = format!(
                "this idempotency key belongs to job {}, which was submitted with other content",
                there.id
            );
            return Err(Error::Conflict(why));
        }
        None => {}
    }
    tx.insert_job(job)?;
    Ok(submitted)
}

/// The name is needed for the id before the whole file is compiled; a file without one fails in the compiler.
fn job_name(source: &str) -> String {
    let line = source.lines().find_map(|line| line.strip_prefix("job:"));
    line.map_or_else(String::new, |name| {
        name.trim().trim_matches(['"', '\'']).to_owned()
    })
}
