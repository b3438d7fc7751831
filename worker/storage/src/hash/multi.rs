//! Several hashes over one read.
use super::{Block, Digest, Hasher, is_expensive};
use protocol::model::hash::HashAlgorithm;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Blocks an expensive hash may lag behind the reader.
const LAG_BLOCKS_MAX: usize = 4;

/// Several hashes over the same bytes. Cheap ones run in the caller; each expensive one runs on a thread of its own,
/// so that a copy with xxh128 and md5 takes as long as the md5 alone.
pub struct MultiHasher {
    inline: Vec<Hasher>,
    lanes: Vec<Lane>,
}

struct Lane {
    blocks: SyncSender<Arc<Block>>,
    thread: JoinHandle<Digest>,
}

impl MultiHasher {
    /// Starts each distinct algorithm of `algorithms` once. With `threads`, each expensive algorithm gets its own thread;
    /// without (small files), all run on the thread of the caller.
    pub fn new(algorithms: &[HashAlgorithm], threads: bool) -> MultiHasher {
        let mut wanted: Vec<HashAlgorithm> = algorithms.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let (mut inline, mut lanes) = (Vec::new(), Vec::new());
        for algorithm in wanted {
            if threads && is_expensive(algorithm) {
                match Lane::start(algorithm) {
                    Some(lane) => lanes.push(lane),
                    None => inline.push(Hasher::new(algorithm)),
                }
            } else {
                inline.push(Hasher::new(algorithm));
            }
        }
        MultiHasher { inline, lanes }
    }

    /// Adds a block. Waits when an expensive hash lags too far behind.
    pub fn update(&mut self, block: &Arc<Block>) {
        for lane in &self.lanes {
            // A lane only stops receiving when its thread has panicked, which `finish` passes on.
            if lane.blocks.send(Arc::clone(block)).is_err() {
                break;
            }
        }
        for hasher in &mut self.inline {
            hasher.update(block);
        }
    }

    /// Ends every hash.
    ///
    /// # Panics
    /// Passes on the panic of a hashing thread.
    pub fn finish(self) -> Vec<Digest> {
        let mut digests: Vec<Digest> = self.inline.into_iter().map(Hasher::finish).collect();
        for lane in self.lanes {
            drop(lane.blocks);
            match lane.thread.join() {
                Ok(digest) => digests.push(digest),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        digests.sort_by_key(|digest| digest.algorithm);
        digests
    }
}

impl Lane {
    /// `None` when the system gives no further thread: the caller hashes itself then.
    fn start(algorithm: HashAlgorithm) -> Option<Lane> {
        let (blocks, received) = sync_channel::<Arc<Block>>(LAG_BLOCKS_MAX);
        let work = move || {
            let mut hasher = Hasher::new(algorithm);
            for block in received {
                hasher.update(&block);
            }
            hasher.finish()
        };
        let thread = std::thread::Builder::new()
            .name(format!("hash-{}", algorithm.as_str()))
            .spawn(work)
            .ok()?;
        Some(Lane { blocks, thread })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BlockPool, hash_bytes};
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn one_pass_gives_the_same_digests_as_one_pass_each() {
        let content: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
        for threads in [false, true] {
            let pool = BlockPool::new(6, 4096);
            let mut hasher =
                MultiHasher::new(&[HashAlgorithm::ALL, HashAlgorithm::ALL].concat(), threads);
            for chunk in content.chunks(4096) {
                let block = pool.fill(|bytes| {
                    bytes[..chunk.len()].copy_from_slice(chunk);
                    Ok::<_, Infallible>(chunk.len())
                });
                hasher.update(&block.expect("infallible"));
            }
            let expected: Vec<Digest> = HashAlgorithm::ALL
                .iter()
                .map(|a| hash_bytes(*a, &content))
                .collect();
            assert_eq!(hasher.finish(), expected);
        }
    }
}
