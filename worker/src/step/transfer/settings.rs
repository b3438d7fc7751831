//! Transfer settings of a worker.
use std::sync::LazyLock;
use storage::Durability;

/// Settings of a transfer; the defaults are those of a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// What a reported transfer survives.
    pub durability: Durability,
    /// Assets of one unit that the local engine copies at the same time.
    pub lanes: usize,
}

impl Default for Settings {
    /// Survives power loss; as many lanes as processors, between two and four.
    fn default() -> Settings {
        // Counting the processors reads files of the system, which a unit of one small file would notice.
        static PROCESSORS: LazyLock<usize> =
            LazyLock::new(|| std::thread::available_parallelism().map_or(2, usize::from));
        Settings {
            durability: Durability::PowerLoss,
            lanes: PROCESSORS.clamp(2, 4),
        }
    }
}
