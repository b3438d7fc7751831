//! Large files: a pipeline over two threads, and the resumption of an interrupted copy.
//!
//! The reading thread reads and hashes the source, then reads back and hashes what the writing thread has written,
//! while it is still in the processor's cache; so each thread does about half of the work. Durable copies have a third
//! thread that only waits for the disk, so that the disk works from the beginning and not from the end.
use super::plan::Plan;
use super::small::check_written;
use super::source::Source;
use crate::step::transfer::error_map::{self, Stop};
use protocol::model::hash::HashAlgorithm;
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use storage::hash::{Block, BlockPool, Digest, MultiHasher, is_expensive, read_at_most};
use storage::throttle::Budget;
use storage::{CopyError, Durability, Partial, copy_in_kernel, reflink};
use tokio_util::sync::CancellationToken;

/// Bytes read, hashed and written at a time. Measured: 128 KiB stay in a core's own cache from one step to the next and
/// cost 1.3 times the processor time of `cp`, 512 KiB 1.7 times.
const BLOCK_BYTES: usize = 128 * 1024;
/// Blocks between reader and writer.
const QUEUE_BLOCKS: usize = 6;
/// Blocks of a pipeline without expensive hashes, and those an expensive hash may hold besides.
const POOL_BLOCKS: usize = QUEUE_BLOCKS + 3;
const POOL_BLOCKS_PER_LANE: usize = 5;
/// Bytes written between two pushes to the disk.
const SYNC_BYTES: u64 = 64 * 1024 * 1024;

/// Parameters of a large copy.
pub(super) struct Large<'a> {
    pub(super) plan: &'a Plan,
    pub(super) source: &'a Source,
    /// Path of the destination, for messages.
    pub(super) target: &'a Path,
    pub(super) cancel: &'a CancellationToken,
    pub(super) bytes: &'a AtomicU64,
    pub(super) durability: Durability,
    /// Budgets of the endpoints of source and destination.
    pub(super) limits: &'a [Arc<Budget>],
}

impl Large<'_> {
    /// Fills `partial` with the source and proves it; with [`Durability::PowerLoss`] its content is on disk then.
    pub(super) fn copy(&self, partial: &Partial) -> Result<Vec<Digest>, Stop> {
        let file = partial.file();
        let present = file
            .metadata()
            .map_err(|e| self.write_failed("look at", error_map::errno(&e)))?
            .len();
        let digests = match present {
            0 => match self.copy_by_filesystem(file)? {
                Some(digests) => digests,
                None => self.copy_through_memory(file, 0)?,
            },
            present => self.copy_through_memory(file, present)?,
        };
        if self.durability == Durability::PowerLoss {
            rustix::fs::fdatasync(file).map_err(|errno| self.write_failed("sync", errno))?;
        }
        Ok(digests)
    }

    /// Lets the filesystem share the extents, when the result is verified by its own hash or not at all;
    /// without any hash at all, lets the kernel copy. `None` when neither applies or works.
    fn copy_by_filesystem(&self, file: &File) -> Result<Option<Vec<Digest>>, Stop> {
        let plan = self.plan;
        let provable = plan.verify.is_none()
            || plan.verify == plan.declared.as_ref().map(|digest| digest.algorithm);
        if !provable {
            return Ok(None);
        }
        let size = self.source.state.bytes;
        if reflink(&self.source.file, file) {
            self.bytes.fetch_add(size, Ordering::Relaxed);
        } else if plan.algorithms.is_empty() && self.limits.is_empty() {
            let mut before = 0;
            let copied = copy_in_kernel(&self.source.file, file, size, self.cancel, |total| {
                self.bytes.fetch_add(total - before, Ordering::Relaxed);
                before = total;
            });
            match copied {
                Ok(()) => {}
                Err(CopyError::Unsupported) => return Ok(None),
                Err(CopyError::Cancelled) => return Err(Stop::Cancelled),
                Err(CopyError::SourceShort(at)) => return Err(self.source_short(at)),
                Err(CopyError::Io(errno)) => return Err(self.write_failed("copy to", errno)),
            }
        } else {
            return Ok(None);
        }
        let digests = self.hash_copy(file)?;
        self.source.check_unchanged()?;
        plan.check_declared(&digests)?;
        Ok(Some(digests))
    }

    fn hash_copy(&self, file: &File) -> Result<Vec<Digest>, Stop> {
        if self.plan.algorithms.is_empty() {
            return Ok(Vec::new());
        }
        match ::storage::hash::hash_open_file(file, &self.plan.algorithms, self.cancel) {
            Ok((digests, _)) => Ok(digests),
            Err(::storage::hash::HashError::Cancelled) => Err(Stop::Cancelled),
            Err(::storage::hash::HashError::Read(error)) => {
                Err(self.write_failed("read back", error_map::errno(&error)))
            }
        }
    }

    fn copy_through_memory(&self, file: &File, present: u64) -> Result<Vec<Digest>, Stop> {
        let mut run = Run::new(self, file);
        let start = run.compare(present)?;
        if present > start {
            file.set_len(start)
                .map_err(|e| self.write_failed("truncate", error_map::errno(&e)))?;
        }
        run.stream(start)?;
        let digests = run.source_hashes.finish();
        self.source.check_unchanged()?;
        self.plan.check_declared(&digests)?;
        if let Some(back) = run.back_hashes {
            check_written(self.target, &digests, &back.finish())?;
        }
        Ok(digests)
    }

    fn source_short(&self, at: u64) -> Stop {
        let what = format!("it ended at byte {at} of {}", self.source.state.bytes);
        error_map::source_changed(&self.source.path, &what).into()
    }

    fn source_failed(&self, error: &std::io::Error) -> Stop {
        let failure = error_map::source(&self.source.path, error_map::errno(error));
        let keep_partial = failure.class.retryable();
        Stop::Failed {
            failure,
            keep_partial,
        }
    }

    fn write_failed(&self, doing: &str, errno: Errno) -> Stop {
        error_map::while_writing(self.target, doing, errno)
    }
}

/// One pass through memory.
struct Run<'a> {
    large: &'a Large<'a>,
    file: &'a File,
    pool: Arc<BlockPool>,
    back_pool: Arc<BlockPool>,
    source_hashes: MultiHasher,
    back_hashes: Option<MultiHasher>,
}

impl<'a> Run<'a> {
    fn new(large: &'a Large<'a>, file: &'a File) -> Run<'a> {
        let plan = large.plan;
        let lanes =
            |algorithms: &[HashAlgorithm]| algorithms.iter().filter(|a| is_expensive(**a)).count();
        let verify: Vec<HashAlgorithm> = plan.verify.into_iter().collect();
        // Asking for more readahead is advice; a filesystem that has none loses nothing.
        rustix::fs::fadvise(&large.source.file, 0, None, rustix::fs::Advice::Sequential).ok();
        Run {
            large,
            file,
            pool: BlockPool::new(
                POOL_BLOCKS + POOL_BLOCKS_PER_LANE * lanes(&plan.algorithms),
                BLOCK_BYTES,
            ),
            back_pool: BlockPool::new(1 + POOL_BLOCKS_PER_LANE * lanes(&verify), BLOCK_BYTES),
            source_hashes: MultiHasher::new(&plan.algorithms, true),
            back_hashes: plan
                .verify
                .map(|algorithm| MultiHasher::new(&[algorithm], true)),
        }
    }

    /// Compares the rest of an earlier attempt with the source; returns the first different block.
    fn compare(&mut self, present: u64) -> Result<u64, Stop> {
        let usable = present.min(self.large.source.state.bytes);
        let mut offset = 0;
        while offset + BLOCK_BYTES as u64 <= usable {
            let sent = self.read_source(offset)?;
            let kept = self.read_back(offset)?;
            if sent[..] != kept[..] {
                break;
            }
            self.source_hashes.update(&sent);
            if let Some(hashes) = &mut self.back_hashes {
                hashes.update(&kept);
            }
            offset += sent.len() as u64;
        }
        Ok(offset)
    }

    /// Copies everything from `start` on.
    fn stream(&mut self, start: u64) -> Result<(), Stop> {
        let large = self.large;
        let (blocks, queue) = sync_channel(QUEUE_BLOCKS);
        let (dirty, pushes) = sync_channel(1);
        let written = AtomicU64::new(start);
        let file = self.file;
        std::thread::scope(|scope| {
            let pusher = (large.durability == Durability::PowerLoss)
                .then(|| scope.spawn(move || push(file, &pushes)));
            let writer = scope.spawn(|| write(large, file, queue, dirty, &written));
            let read = self.read_and_verify(start, blocks, &written);
            let wrote = joined(writer.join());
            let pushed = pusher.map_or(Ok(()), |pusher| joined(pusher.join()));
            // An error of the writer also stops the reader, so the writer's error is reported.
            wrote
                .and(pushed)
                .map_err(|errno| large.write_failed("write", errno))?;
            let (verified, offset) = read?;
            self.verify_up_to(verified, offset)?;
            Ok(())
        })
    }

    /// Reads to the end of the source, verifying behind the writer; returns how far it has verified, and the end.
    fn read_and_verify(
        &mut self,
        start: u64,
        blocks: SyncSender<(u64, Arc<Block>)>,
        written: &AtomicU64,
    ) -> Result<(u64, u64), Stop> {
        let (mut offset, mut verified) = (start, start);
        while offset < self.large.source.state.bytes {
            if self.large.cancel.is_cancelled() {
                return Err(Stop::Cancelled);
            }
            let block = self.read_source(offset)?;
            self.source_hashes.update(&block);
            let length = block.len() as u64;
            for limit in self.large.limits {
                limit.spend_blocking(length, || self.large.cancel.is_cancelled());
            }
            if blocks.send((offset, block)).is_err() {
                break;
            }
            offset += length;
            verified = self.verify_up_to(verified, written.load(Ordering::Acquire))?;
        }
        Ok((verified, offset))
    }

    fn verify_up_to(&mut self, mut verified: u64, end: u64) -> Result<u64, Stop> {
        while verified < end && self.back_hashes.is_some() {
            let block = self.read_back(verified)?;
            if block.is_empty() {
                return Err(self.large.write_failed("read back", Errno::IO));
            }
            verified += block.len() as u64;
            if let Some(hashes) = &mut self.back_hashes {
                hashes.update(&block);
            }
        }
        Ok(verified)
    }

    fn read_source(&self, offset: u64) -> Result<Arc<Block>, Stop> {
        let (source, end) = (self.large.source, self.large.source.state.bytes);
        let wanted = usize::try_from(end - offset)
            .unwrap_or(usize::MAX)
            .min(BLOCK_BYTES);
        let block = self
            .pool
            .fill(|bytes| read_at_most(&source.file, &mut bytes[..wanted], offset));
        let block = block.map_err(|error| self.large.source_failed(&error))?;
        if block.len() < wanted {
            return Err(self.large.source_short(offset + block.len() as u64));
        }
        Ok(block)
    }

    fn read_back(&self, offset: u64) -> Result<Arc<Block>, Stop> {
        if self.large.cancel.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        let block = self
            .back_pool
            .fill(|bytes| read_at_most(self.file, bytes, offset));
        block.map_err(|error| {
            self.large
                .write_failed("read back", error_map::errno(&error))
        })
    }
}

/// The writing thread: writes blocks in order until the reader hangs up or the disk refuses.
fn write(
    large: &Large<'_>,
    file: &File,
    queue: Receiver<(u64, Arc<Block>)>,
    dirty: SyncSender<()>,
    written: &AtomicU64,
) -> Result<(), Errno> {
    let mut pushed = 0;
    for (offset, block) in queue {
        file.write_all_at(&block, offset)
            .map_err(|error| error_map::errno(&error))?;
        let (length, end) = (block.len() as u64, offset + block.len() as u64);
        drop(block);
        written.store(end, Ordering::Release);
        large.bytes.fetch_add(length, Ordering::Relaxed);
        pushed += length;
        // A push that is still under way covers these bytes the next time.
        if pushed >= SYNC_BYTES && dirty.try_send(()).is_ok() {
            pushed = 0;
        }
    }
    Ok(())
}

/// The pushing thread. The kernel reports a write-back error only once, so it is returned here.
fn push(file: &File, pushes: &Receiver<()>) -> Result<(), Errno> {
    pushes.iter().try_for_each(|()| rustix::fs::fdatasync(file))
}

fn joined<T>(result: std::thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
