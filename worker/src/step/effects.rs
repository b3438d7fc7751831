//! Results of a running step that its end does not carry: pages of listings, and tombstones.
use async_trait::async_trait;
use protocol::failure::Failure;
use protocol::id::UnitId;
use protocol::wire::report::{Burial, ScanPage};

/// One result of a running step.
#[derive(Debug)]
pub enum Effect {
    /// A page of a listing.
    Page {
        /// Assets and rejected rows of the page.
        page: ScanPage,
        /// Last key of the page, in the listing of a bucket.
        last_key: Option<String>,
    },
    /// Tombstones of permanently removed content.
    Tombstones {
        /// The unit that removed it.
        unit: UnitId,
        /// Epoch of its execution.
        epoch: u32,
        /// One tombstone per removed object.
        burials: Vec<Burial>,
    },
}

/// Receives the effects of steps.
#[async_trait]
pub trait Effects: Send + Sync {
    /// Sends one effect. Waits while the coordinator is behind, so that a listing does not fill the memory. An error means
    /// that the unit has lost its lease or its coordinator, and must stop.
    async fn send(&self, effect: Effect) -> Result<(), Failure>;
}
