//! `showrunner policy`: delivery specs out of what others write.
use crate::context::Context;
use crate::error::{CliError, CliResult, Exit};
use crate::output::{self, Format};
use formats::umdp::{self, Imported, SpecFile, Unmapped};
use serde::Serialize;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest profile that is read.
const BYTES_MAX: u64 = 4 << 20;

/// Commands of `policy`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Write a delivery spec from a UMDP profile (JSON); unmapped fields are listed on stderr
    Import {
        /// UMDP profile (JSON)
        #[arg(value_name = "PROFILE")]
        file: PathBuf,
        /// Write ID.yaml, and ID-REGION.yaml for each region that differs, into this folder instead of stdout
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
        /// Spec that the new one inherits: a profile has no limits of black, freezes or silence
        #[arg(long, value_name = "SPEC")]
        inherits: Option<String>,
        /// Write over files that are there
        #[arg(long)]
        force: bool,
    },
}

/// Result of an import, as printed.
#[derive(Debug, Serialize)]
struct Shown {
    spec: String,
    files: Vec<SpecFile>,
    unmapped: Vec<Unmapped>,
}

/// Runs the command.
pub(crate) fn run(context: &Context, command: Command) -> CliResult<Exit> {
    let Command::Import {
        file,
        to,
        inherits,
        force,
    } = command;
    let name = file.display().to_string();
    let Imported {
        id,
        files,
        unmapped,
    } = umdp::import(&name, &read(&file)?, inherits.as_deref())
        .map_err(|problem| CliError::from(vec![problem]))?;
    if let Some(folder) = &to {
        write(folder, &files, force)?;
    }
    if matches!(context.output, Format::Table | Format::Wide) && !context.quiet {
        for Unmapped { path, value, why } in &unmapped {
            eprintln!("{}", output::text(&format!("{path}: {value}\n  {why}")));
        }
        eprintln!(
            "{} values of {name} are not in the spec, or in another form",
            unmapped.len()
        );
    }
    let shown = Shown {
        spec: id.clone(),
        files,
        unmapped,
    };
    output::one(
        context.output,
        &shown,
        |shown| render(shown, to.as_deref()),
        &id,
    )?;
    Ok(Exit::Ok)
}

fn read(profile: &Path) -> CliResult<String> {
    let failed = |error: std::io::Error| {
        let exit = if error.kind() == std::io::ErrorKind::NotFound {
            Exit::NotFound
        } else {
            Exit::Usage
        };
        CliError::new(exit, format!("{}: {error}", profile.display()))
    };
    let mut text = String::new();
    let file = std::fs::File::open(profile).map_err(failed)?;
    file.take(BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(CliError::usage(format!(
            "{}: larger than 4 MiB: is it a profile?",
            profile.display()
        )));
    }
    Ok(text)
}

/// Writes every file or none that would take another's place.
fn write(folder: &Path, files: &[SpecFile], force: bool) -> CliResult<()> {
    let failed = |path: &Path, error: std::io::Error| {
        CliError::failed(format!("{}: {error}", path.display()))
    };
    let there = files
        .iter()
        .map(|file| folder.join(&file.name))
        .find(|path| path.exists());
    if let (Some(path), false) = (there, force) {
        let message = format!(
            "{} is there already: --force writes over it",
            path.display()
        );
        return Err(CliError::new(Exit::Conflict, message));
    }
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for file in files {
        let path = folder.join(&file.name);
        std::fs::write(&path, &file.text).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

fn render(shown: &Shown, folder: Option<&Path>) -> String {
    match folder {
        Some(folder) => shown
            .files
            .iter()
            .map(|file| format!("{}\n", folder.join(&file.name).display()))
            .collect(),
        // The spec of the profile is a file by itself; those of regions inherit it and need a folder.
        None => shown
            .files
            .first()
            .map(|file| file.text.clone())
            .unwrap_or_default(),
    }
}
