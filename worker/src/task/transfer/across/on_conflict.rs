//! What becomes of other content at a destination.

/// What becomes of different content under the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::task::transfer) enum OnConflict {
    /// It stays, and the asset fails.
    Refused,
    /// It stays as an older version.
    Replaced,
}
