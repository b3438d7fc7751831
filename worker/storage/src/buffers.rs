//! Reusable memory for content: the kernel clears fresh memory first and takes it back late. Content from the network
//! is copied into it, because a connection returns small slices of large buffers: 40 MiB of slices would pin several
//! times as much.
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;

/// Content in transit that a worker holds in memory at most, in bytes.
pub const MEMORY_BYTES: u64 = 40 << 20;

/// Buffers for the next content.
#[derive(Debug)]
pub struct Buffers {
    free: Mutex<Vec<Vec<u8>>>,
    kept_max: usize,
    bytes_max: usize,
}

/// Content in a buffer that is returned on drop.
struct Lent {
    content: Vec<u8>,
    home: Arc<Buffers>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut content = std::mem::take(&mut self.content);
        let mut free = self.home.free.lock();
        if free.len() < self.home.kept_max && content.capacity() <= self.home.bytes_max {
            content.clear();
            free.push(content);
        }
    }
}

impl Buffers {
    /// Keeps at most `kept_max` free buffers of at most `bytes_max` bytes each.
    pub fn new(kept_max: usize, bytes_max: usize) -> Buffers {
        Buffers {
            free: Mutex::default(),
            kept_max,
            bytes_max,
        }
    }

    /// An empty buffer with a capacity of at least `bytes`.
    pub fn take(&self, bytes: usize) -> Vec<u8> {
        let mut free = self.free.lock();
        let fitting = free.iter().position(|buffer| buffer.capacity() >= bytes);
        fitting.map_or_else(|| Vec::with_capacity(bytes), |at| free.swap_remove(at))
    }

    /// Shares the content of a buffer. The buffer is returned when the last reference is dropped.
    pub fn lend(self: &Arc<Self>, content: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent {
            content,
            home: Arc::clone(self),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_returns_when_last_reference_drops() {
        let buffers = Arc::new(Buffers::new(2, 4_000));
        let mut first = buffers.take(1_000);
        first.extend_from_slice(b"content");
        let place = first.as_ptr();
        let lent = buffers.lend(first);
        let half = lent.slice(3..);
        drop(lent);
        let other = buffers.take(1_000);
        assert_ne!(other.as_ptr(), place, "a slice of it is still in use");
        assert_eq!(half, "tent");
        drop(half);
        let again = buffers.take(500);
        assert!(again.as_ptr() == place && again.is_empty());
        drop(buffers.lend(Vec::with_capacity(4_001)));
        assert_eq!(
            buffers.free.lock().len(),
            0,
            "what is too large is not kept"
        );
    }
}
