//! The slots of one kind. A consumer holds free ones while it asks the transport for work: those are not busy.
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// A number of slots; its clones are the same ones.
#[derive(Debug, Clone)]
pub struct Slots {
    permits: Arc<Semaphore>,
    total: u32,
    offered: Arc<AtomicU32>,
}

/// Slots held while work for them is asked for.
pub struct Offer(Arc<AtomicU32>, u32);

impl Drop for Offer {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

impl Slots {
    /// So many slots.
    pub fn new(total: u32) -> Slots {
        Slots {
            permits: Arc::new(Semaphore::new(total as usize)),
            total,
            offered: Arc::default(),
        }
    }

    /// How many there are.
    pub fn total(&self) -> u32 {
        self.total
    }

    /// How many nothing runs in.
    pub fn free(&self) -> u32 {
        let idle = u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX);
        idle.saturating_add(self.offered.load(Ordering::Relaxed))
            .min(self.total)
    }

    /// Takes every free slot, at least one: it waits for that.
    pub async fn take(&self) -> Result<Vec<OwnedSemaphorePermit>, AcquireError> {
        let mut taken = vec![Arc::clone(&self.permits).acquire_owned().await?];
        while let Ok(slot) = Arc::clone(&self.permits).try_acquire_owned() {
            taken.push(slot);
        }
        Ok(taken)
    }

    /// Says that taken slots only wait for work, until the answer is dropped.
    pub fn offer(&self, taken: usize) -> Offer {
        let taken = u32::try_from(taken).unwrap_or(u32::MAX);
        self.offered.fetch_add(taken, Ordering::Relaxed);
        Offer(Arc::clone(&self.offered), taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slot_that_waits_for_work_is_free() {
        let slots = Slots::new(3);
        let mut taken = slots.take().await.expect("the semaphore is open");
        assert_eq!((taken.len(), slots.free()), (3, 0));
        let offer = slots.offer(taken.len());
        assert_eq!(slots.free(), 3);
        drop(offer);
        taken.truncate(1);
        assert_eq!((slots.free(), slots.total()), (2, 3));
    }
}
