//! From a job file on this machine to a job: read, resolve policies, compile, digest.
use crate::error::{CliError, CliResult, Exit};
use coordinator::command::submission::{self, Sources, compile};
use coordinator::store::NewJob;
use protocol::time::Timestamp;
use protocol::wire::step::qc::QcTask;
use protocol::yaml::Problem;
use std::path::Path;

/// The moment, from the machine's clock.
pub fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_microsecond())
}

/// Reads and compiles a job file.
pub fn prepare(path: &Path) -> CliResult<NewJob> {
    Ok(gather(path, fastrand::u64(..))?.0)
}

/// Every mistake of a job file and of the delivery specs that it names.
pub fn problems(path: &Path) -> Vec<Problem> {
    let file = path.display().to_string();
    let read = || -> std::io::Result<(String, String)> {
        let base = std::path::absolute(path)?
            .parent()
            .unwrap_or(Path::new("/"))
            .display()
            .to_string();
        Ok((std::fs::read_to_string(path)?, base))
    };
    match read() {
        Ok((source, base)) => compile(&file, &base, &source, &mut read_text, 0, now())
            .err()
            .unwrap_or_default(),
        Err(error) => vec![Problem::new(&file, error.to_string())],
    }
}

/// Reads and compiles a job file; also returns all that was read, as a coordinator elsewhere needs it. `entropy` makes the
/// id unique.
pub fn gather(path: &Path, entropy: u64) -> CliResult<(NewJob, Sources)> {
    let file = path.display().to_string();
    let source = std::fs::read_to_string(path).map_err(|error| {
        let exit = if error.kind() == std::io::ErrorKind::NotFound {
            Exit::NotFound
        } else {
            Exit::Usage
        };
        CliError::new(exit, format!("{file}: {error}"))
    })?;
    let absolute = std::path::absolute(path)?;
    let base = absolute
        .parent()
        .unwrap_or(Path::new("/"))
        .display()
        .to_string();
    let mut sources = Sources {
        file,
        base,
        source,
        ..Sources::default()
    };
    let policies = &mut sources.policies;
    let mut read = |path: &str| {
        let text = read_text(path)?;
        policies.insert(path.to_owned(), text.clone());
        Ok(text)
    };
    let job = compile(
        &sources.file,
        &sources.base,
        &sources.source,
        &mut read,
        entropy,
        now(),
    )?;
    Ok((job, sources))
}

/// Reads, resolves and digests a delivery spec.
pub fn load_policy(path: &str) -> Result<QcTask, Problem> {
    submission::policy(path, &mut read_text)
}

fn read_text(path: &str) -> Result<String, Problem> {
    std::fs::read_to_string(path).map_err(|e| {
        Problem::new(path, e.to_string()).hint("policy: names a file relative to the job file")
    })
}
