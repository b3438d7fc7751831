//! The storage that the settings describe.
use crate::error::{CliError, CliResult};
use crate::settings::Settings;
use std::sync::Arc;
use worker::storage::Registry;
use worker::storage::settings::StorageSettings;

/// Opens locations as the file of the setting `storage` says; without one, as the clouds' own tools would.
pub fn registry(settings: &Settings) -> CliResult<Arc<Registry>> {
    let file = &settings["storage"].value;
    if file.is_empty() {
        return Ok(Arc::default());
    }
    let text = std::fs::read_to_string(file)
        .map_err(|error| CliError::usage(format!("storage settings {file} cannot be read: {error}")))?;
    let read = StorageSettings::read(file, &text).map_err(|problem| CliError::usage(problem.to_string()))?;
    Ok(Arc::new(Registry::new(read)))
}
