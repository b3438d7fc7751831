//! From a job file to a job: read, resolve policies, compile, digest.
use crate::error::{CliError, CliResult, Exit};
use coordinator::store::NewJob;
use protocol::id::job_id;
use protocol::media::spec;
use protocol::time::Timestamp;
use protocol::wire::unit::QcTask;
use protocol::workflow::compile::compile;
use protocol::yaml::Problem;
use sha2::{Digest, Sha256};
use std::path::Path;

/// The moment, from the machine's clock.
pub fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_microsecond())
}

/// Reads and compiles a job file. The digest covers the file and every policy it refers to.
pub fn prepare(path: &Path) -> CliResult<NewJob> {
    let file = path.display().to_string();
    let source = std::fs::read_to_string(path).map_err(|error| {
        let exit = if error.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Usage };
        CliError::new(exit, format!("{file}: {error}"))
    })?;
    let absolute = std::path::absolute(path)?;
    let base = absolute.parent().unwrap_or(Path::new("/")).display().to_string();
    let submitted_at = now();
    let id = job_id(&job_name(&source), fastrand::u64(..));
    let mut digest = Sha256::new();
    digest.update(base.as_bytes());
    digest.update([0]);
    digest.update(source.as_bytes());
    let mut policies = |path: &str| {
        let task = load_policy(path)?;
        digest.update(task.policy.as_bytes());
        Ok(task)
    };
    let workflow = compile(&file, &source, &base, &id, submitted_at, &mut policies)?;
    let digest = digest.finalize().iter().map(|b| format!("{b:02x}")).collect();
    Ok(NewJob { id, workflow, digest, submitted_at })
}

/// Reads, resolves and digests a delivery spec.
pub fn load_policy(path: &str) -> Result<QcTask, Problem> {
    let source = read_text(path)?;
    let spec = spec::resolve(path, &source, &mut read_text)?;
    let policy = serde_json::to_string(&spec).map_err(|e| Problem::new(path, e.to_string()))?;
    Ok(QcTask { policy, digest: spec.digest() })
}

fn read_text(path: &str) -> Result<String, Problem> {
    std::fs::read_to_string(path)
        .map_err(|e| Problem::new(path, e.to_string()).hint("policy: names a file relative to the job file"))
}

/// The name is needed for the id before the whole file is compiled; a file without one fails in the compiler.
fn job_name(source: &str) -> String {
    let line = source.lines().find_map(|line| line.strip_prefix("job:"));
    line.map_or_else(String::new, |name| name.trim().trim_matches(['"', '\'']).to_owned())
}
