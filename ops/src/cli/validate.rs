//! `showrunner validate`: every problem with file, line, column and a hint.
use super::Context;
use crate::error::{CliError, CliResult, Exit};
use crate::submit;
use std::io::Write;
use std::path::PathBuf;

/// Arguments of `validate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Job files and delivery specs
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(context: &Context, args: &Args) -> CliResult<Exit> {
    let mut wrong = 0;
    for file in &args.files {
        match check(file) {
            Ok(kind) if !context.quiet => writeln!(std::io::stdout().lock(), "{}: {kind} ok", file.display())?,
            Ok(_) => {}
            Err(error) => {
                wrong += 1;
                eprintln!("{error}");
            }
        }
    }
    Ok(if wrong == 0 { Exit::Ok } else { Exit::Usage })
}

/// The kind of a file shows in its first top-level key.
fn check(file: &PathBuf) -> CliResult<&'static str> {
    let name = file.display().to_string();
    let source = std::fs::read_to_string(file).map_err(|e| {
        let exit = if e.kind() == std::io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Usage };
        CliError::new(exit, format!("{name}: {e}"))
    })?;
    let has = |key: &str| source.lines().any(|line| line.starts_with(key));
    if has("spec:") && !has("job:") {
        submit::load_policy(&name).map_err(|problem| CliError::from(vec![problem]))?;
        return Ok("delivery spec");
    }
    submit::prepare(file)?;
    Ok("job")
}
