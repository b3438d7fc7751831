//! Scheduling class of a job.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Scheduling class of a job.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Before all other classes.
    Urgent,
    /// The default class.
    #[default]
    Normal,
    /// After all other classes.
    Bulk,
}

impl Priority {
    /// The spelling in SQL, stream names and the CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            Priority::Urgent => "urgent",
            Priority::Normal => "normal",
            Priority::Bulk => "bulk",
        }
    }

    /// Reads the spelling of [`Priority::as_str`].
    pub fn parse(text: &str) -> Option<Priority> {
        [Priority::Urgent, Priority::Normal, Priority::Bulk]
            .into_iter()
            .find(|p| p.as_str() == text)
    }
}
