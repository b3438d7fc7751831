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

/// Warns where a process that others give work to may open any file: an API without a login names paths, and root reads
/// and writes all of them.
pub fn warn_without_roots(settings: &Settings, serves: bool) -> CliResult<()> {
    let root = rustix::process::geteuid().is_root();
    if (serves || root) && self::settings(settings)?.roots.is_empty() {
        let who = if root { "root" } else { "this user" };
        eprintln!(
            "warning: jobs may read and write every file that {who} may; set `roots` in the storage file (--storage)"
        );
    }
    Ok(())
}

/// The storage file of the setting `storage`; nothing is set without one.
pub fn settings(settings: &Settings) -> CliResult<StorageSettings> {
    let file = &settings["storage"].value;
    if file.is_empty() {
        return Ok(StorageSettings::default());
    }
    let text = std::fs::read_to_string(file)
        .map_err(|error| CliError::usage(format!("storage settings {file} cannot be read: {error}")))?;
    StorageSettings::read(file, &text).map_err(|problem| CliError::usage(problem.to_string()))
}
