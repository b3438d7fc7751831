//! Reusable buffers: the memory of a copy is what its pool was made with, however large the file (MEM-1).
use parking_lot::{Condvar, Mutex};
use std::ops::Deref;
use std::sync::Arc;

/// A fixed number of equal buffers.
pub struct BlockPool {
    free: Mutex<Vec<Vec<u8>>>,
    returned: Condvar,
    block_bytes: usize,
}

impl BlockPool {
    /// Makes `count` buffers of `block_bytes` each.
    pub fn new(count: usize, block_bytes: usize) -> Arc<BlockPool> {
        let free = (0..count.max(1))
            .map(|_| vec![0; block_bytes.max(1)])
            .collect();
        Arc::new(BlockPool {
            free: Mutex::new(free),
            returned: Condvar::new(),
            block_bytes: block_bytes.max(1),
        })
    }

    /// Size of each buffer in bytes.
    pub fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// Takes a buffer, fills it with `fill` (which returns how many bytes it wrote) and makes it shareable.
    ///
    /// Waits while every buffer is in use; the caller must not hold one itself when others depend on it to go on.
    pub fn fill<E>(
        self: &Arc<Self>,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<Arc<Block>, E> {
        let mut free = self.free.lock();
        let bytes = loop {
            match free.pop() {
                Some(bytes) => break bytes,
                None => self.returned.wait(&mut free),
            }
        };
        drop(free);
        let mut block = Block {
            bytes,
            filled: 0,
            pool: Arc::clone(self),
        };
        block.filled = fill(&mut block.bytes)?.min(self.block_bytes);
        Ok(Arc::new(block))
    }
}

/// A filled buffer; goes back to its pool when its last reader drops it.
pub struct Block {
    bytes: Vec<u8>,
    filled: usize,
    pool: Arc<BlockPool>,
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.pool.free.lock().push(std::mem::take(&mut self.bytes));
        self.pool.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn buffers_come_back_when_the_last_reader_is_done() {
        let pool = BlockPool::new(1, 4);
        let block = pool.fill(|bytes| {
            bytes[..2].copy_from_slice(b"ab");
            Ok::<_, Infallible>(2)
        });
        let block = block.expect("infallible");
        let reader = Arc::clone(&block);
        assert_eq!(&reader[..], b"ab");
        drop(block);
        assert!(pool.free.lock().is_empty());
        drop(reader);
        assert_eq!(pool.free.lock().len(), 1);
    }

    #[test]
    fn a_failed_fill_loses_no_buffer() {
        let pool = BlockPool::new(1, 4);
        assert!(pool.fill(|_| Err("disk gone")).is_err());
        assert_eq!(pool.free.lock().len(), 1);
    }
}
