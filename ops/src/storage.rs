//! The storage that the settings describe.
use crate::error::{CliError, CliResult};
use crate::settings::Settings;
use ::storage::Registry;
use ::storage::settings::StorageSettings;
use std::sync::Arc;

/// The storages of the setting `storage`. Without it the settings of the clouds' own tools apply.
pub fn registry(settings: &Settings) -> CliResult<Arc<Registry>> {
    Ok(Arc::new(Registry::new(self::settings(settings)?)))
}

/// Role of a process for the jobs of other processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It takes them and does their work (`up`).
    Serves,
    /// It takes them; workers do their work (`coordinator`).
    Coordinates,
    /// It does their work (`worker`).
    Works,
}

/// Warns where a process that others give work to may open any file: an API without a login names paths, and root reads
/// and writes all of them.
pub fn warn_without_roots(settings: &Settings, part: Part) -> CliResult<()> {
    let root = rustix::process::geteuid().is_root();
    if let Some(warning) = warning(part, root, self::settings(settings)?.roots.is_empty()) {
        eprintln!("warning: {warning}");
    }
    Ok(())
}

fn warning(part: Part, root: bool, without_roots: bool) -> Option<String> {
    if !without_roots || (part == Part::Works && !root) {
        return None;
    }
    let who = match (part, root) {
        (Part::Coordinates, _) => "its workers",
        (_, true) => "root",
        (_, false) => "this user",
    };
    let whose = if part == Part::Coordinates {
        " of every worker, and name it here too"
    } else {
        ""
    };
    Some(format!(
        "jobs may read and write every file that {who} may; set `roots` in the storage file (--storage){whose}"
    ))
}

/// The storage file of the setting `storage`; nothing is set without one.
pub fn settings(settings: &Settings) -> CliResult<StorageSettings> {
    let file = &settings["storage"].value;
    if file.is_empty() {
        return Ok(StorageSettings::default());
    }
    let text = std::fs::read_to_string(file).map_err(|error| {
        CliError::usage(format!("storage settings {file} cannot be read: {error}"))
    })?;
    StorageSettings::read(file, &text).map_err(|problem| CliError::usage(problem.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_without_roots_warns_when_it_serves_or_runs_as_root() {
        let warns = |part, root| warning(part, root, true).is_some();
        for part in [Part::Serves, Part::Coordinates] {
            assert!(warns(part, false) && warns(part, true), "{part:?}");
        }
        assert!(warns(Part::Works, true) && !warns(Part::Works, false));
        for part in [Part::Serves, Part::Coordinates, Part::Works] {
            assert_eq!(warning(part, true, false), None, "{part:?}");
        }
        assert!(
            warning(Part::Coordinates, true, true).is_some_and(|text| text.contains("its workers"))
        );
    }
}
