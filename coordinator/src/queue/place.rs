//! Where a published unit is in the transport.

/// Where a published unit is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) epoch: u32,
    pub(super) stream: String,
    pub(super) entry: String,
}
