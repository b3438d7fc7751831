//! `showrunner validate`: every problem with file, line, column and a hint.
mod references;

use crate::context::Context;
use crate::error::{CliError, CliResult, Exit};
use crate::output::{self, Columns, Format};
use crate::settings;
use crate::submit;
use ::storage::settings::StorageSettings;
use protocol::workflow::waivers;
use protocol::yaml::{self, Problem};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Arguments of `validate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Job files, delivery specs, storage files, waivers and configuration files (config.toml)
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Do not check that the libraries of job files exist on this machine
    #[arg(long)]
    without_files: bool,
}

/// Kind of a file, by its first keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileKind {
    Job,
    Spec,
    Storage,
    Waivers,
    Profiles,
}

impl FileKind {
    const fn as_str(self) -> &'static str {
        match self {
            FileKind::Job => "job",
            FileKind::Spec => "delivery spec",
            FileKind::Storage => "storage file",
            FileKind::Waivers => "waivers",
            FileKind::Profiles => "configuration file",
        }
    }

    /// The kind of a file: by name for configuration files, otherwise by its top-level keys. A file without a known key
    /// is read as a job, whose errors name what is missing.
    fn of(path: &Path, source: &str) -> FileKind {
        if path.extension().is_some_and(|ending| ending == "toml") {
            return FileKind::Profiles;
        }
        let keys = yaml::top_keys(source);
        let has = |names: &[&str]| keys.iter().any(|key| names.contains(&key.as_str()));
        match () {
            () if has(&["job", "steps", "library"]) => FileKind::Job,
            () if has(&["waivers"]) => FileKind::Waivers,
            () if has(&["roots", "endpoints"]) => FileKind::Storage,
            () if has(&["spec", "components", "qc", "inherits"]) => FileKind::Spec,
            () => FileKind::Job,
        }
    }
}

/// A mistake with its place.
#[derive(Debug, Serialize)]
struct Mistake {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u64>,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl From<Problem> for Mistake {
    fn from(problem: Problem) -> Mistake {
        let (line, column) = problem.at.unzip();
        Mistake {
            file: problem.file,
            line,
            column,
            message: problem.message,
            hint: problem.hint,
        }
    }
}

/// Result for one file.
#[derive(Debug, Serialize)]
struct Validated {
    file: String,
    /// None for a file that cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    ok: bool,
    problems: Vec<Mistake>,
}

/// Runs the command.
pub(crate) fn run(context: &Context, args: &Args) -> CliResult<Exit> {
    let (mut exit, mut validated) = (Exit::Ok, Vec::new());
    for path in &args.files {
        let file = path.display().to_string();
        let (kind, problems) = match std::fs::read_to_string(path) {
            Ok(source) => {
                let kind = FileKind::of(path, &source);
                let found = problems(kind, path, (&file, &source), !args.without_files);
                (Some(kind), found)
            }
            Err(error) => {
                let missing = error.kind() == std::io::ErrorKind::NotFound;
                exit = if missing && exit != Exit::Usage {
                    Exit::NotFound
                } else {
                    Exit::Usage
                };
                (None, vec![Problem::new(&file, error.to_string())])
            }
        };
        if kind.is_some() && !problems.is_empty() {
            exit = Exit::Usage;
        }
        let problems: Vec<Mistake> = match context.output {
            Format::Json | Format::Jsonl => problems.into_iter().map(Mistake::from).collect(),
            _ => {
                if !problems.is_empty() {
                    eprintln!(
                        "{}",
                        output::text(&CliError::from(problems.clone()).to_string())
                    );
                } else if !context.quiet {
                    let words = format!("{file}: {} ok\n", kind.map_or("", FileKind::as_str));
                    output::one(Format::Table, &(), |()| words, "")?;
                }
                continue;
            }
        };
        validated.push(Validated {
            file,
            kind: kind.map(FileKind::as_str),
            ok: problems.is_empty(),
            problems,
        });
    }
    if matches!(context.output, Format::Json | Format::Jsonl) {
        let columns = Columns {
            table: &[],
            row: &|_| Vec::new(),
            csv: &[],
            name: &|v: &Validated| v.file.clone(),
        };
        output::list(context.output, &validated, columns)?;
    }
    Ok(exit)
}

/// Every mistake of a file.
fn problems(
    kind: FileKind,
    path: &Path,
    (file, source): (&str, &str),
    with_files: bool,
) -> Vec<Problem> {
    match kind {
        FileKind::Job => {
            let mut problems = submit::problems(path);
            if with_files {
                problems.extend(references::missing(path, file, source));
            }
            problems
        }
        FileKind::Spec => submit::load_policy(file).err().into_iter().collect(),
        FileKind::Storage => StorageSettings::read_all(file, source)
            .err()
            .unwrap_or_default(),
        FileKind::Waivers => waivers::read(file, source, &spec::CHECK_IDS)
            .err()
            .unwrap_or_default(),
        FileKind::Profiles => settings::read_profiles(file, source)
            .err()
            .into_iter()
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_of_a_file_shows_in_its_keys() {
        for (name, source, kind) in [
            ("a.yaml", "job: a\n", FileKind::Job),
            ("a.yaml", "# spec: x\nsteps: []\n", FileKind::Job),
            ("a.yaml", "spec: a\nqc: {}\n", FileKind::Spec),
            ("a.yaml", "inherits: b.yaml\n", FileKind::Spec),
            ("a.yaml", "endpoints: []\n", FileKind::Storage),
            ("a.yaml", "roots: [/a]\n", FileKind::Storage),
            ("a.yaml", "waivers: []\n", FileKind::Waivers),
            ("config.toml", "[default]\n", FileKind::Profiles),
            ("a.yaml", "", FileKind::Job),
        ] {
            assert_eq!(FileKind::of(Path::new(name), source), kind, "{source}");
        }
    }
}
