//! Handling of different content at a destination.

/// What a transfer does with different content under the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnConflict {
    /// The asset fails and the content stays.
    Fail,
    /// The content is replaced and stays as an older version.
    KeepVersion,
}
