//! Memory that content from the network is gathered in, used again and again. What a connection hands over is a small
//! piece of a large buffer of its own: kept as it comes, forty mebibytes of content would pin several times as much.
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;

/// Buffers that are kept for the next one at most, and the largest that is, in bytes.
const KEPT_MAX: usize = 5;
const BYTES_MAX: usize = 8 << 20;

/// Buffers that wait for the next stretch.
#[derive(Debug, Default)]
pub struct Buffers(Mutex<Vec<Vec<u8>>>);

/// Content in a buffer that goes back.
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
        let mut kept = self.home.0.lock();
        if kept.len() < KEPT_MAX && content.capacity() <= BYTES_MAX {
            content.clear();
            kept.push(content);
        }
    }
}

impl Buffers {
    /// An empty buffer with room for so many bytes.
    pub fn take(&self, bytes: usize) -> Vec<u8> {
        let mut kept = self.0.lock();
        let fitting = kept.iter().position(|buffer| buffer.capacity() >= bytes);
        fitting.map_or_else(|| Vec::with_capacity(bytes), |at| kept.swap_remove(at))
    }

    /// What was gathered in a buffer; it comes back when nobody has the content any more.
    pub fn lend(self: &Arc<Self>, content: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { content, home: Arc::clone(self) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_its_content_is_gone() {
        let buffers = Arc::new(Buffers::default());
        let mut first = buffers.take(1_000);
        first.extend_from_slice(b"content");
        let place = first.as_ptr();
        let lent = buffers.lend(first);
        let half = lent.slice(3..);
        drop(lent);
        let other = buffers.take(1_000);
        assert_ne!(other.as_ptr(), place, "somebody has half of it");
        assert_eq!(half, "tent");
        drop(half);
        let again = buffers.take(500);
        assert!(again.as_ptr() == place && again.is_empty());
        drop(buffers.lend(Vec::with_capacity(BYTES_MAX + 1)));
        assert_eq!(buffers.0.lock().len(), 0, "what is too large is not kept");
    }
}
