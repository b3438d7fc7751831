//! The stream entry of a published unit.

/// The stream and the entry that hold a published unit, under its epoch.
#[derive(Debug, Clone)]
pub(super) struct StreamEntry {
    pub(super) epoch: u32,
    pub(super) stream: String,
    pub(super) entry: String,
}
