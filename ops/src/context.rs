//! Context of a command: settings and output.
use crate::output::Format;
use crate::settings::Settings;
use std::path::PathBuf;

/// Settings, and how the command prints.
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) output: Format,
    pub(crate) quiet: bool,
}

impl Context {
    pub(crate) fn data(&self) -> PathBuf {
        PathBuf::from(&self.settings["data"].value)
    }
}
