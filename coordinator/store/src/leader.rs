//! The leader of a cluster.

/// The leader of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// Generation of the leader.
    pub generation: i64,
    /// Name of the incarnation that holds the lease.
    pub holder: String,
}
