//! Files small enough to hold in memory: read in one call, hashed, written in one call, read back.
use super::plan::Plan;
use super::source::Source;
use crate::step::transfer::error_map::{self, Stop};
use protocol::failure::Failure;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use storage::hash::{Digest, Hasher, hash_bytes, read_at_most};
use storage::{Directory, Partial};

/// Largest file copied this way, in bytes. Beyond it, resuming and overlapping pay for their set-up.
pub(super) const BYTES_MAX: u64 = 2 * 1024 * 1024;

/// Memory of one lane, reused from file to file; grows to twice the largest small file.
#[derive(Default)]
pub(super) struct Buffers {
    read: Vec<u8>,
    back: Vec<u8>,
}

/// Copies a small file; the result is complete and proven, but neither visible nor durable yet.
pub(super) fn copy(
    plan: &Plan,
    source: &Source,
    directory: &Arc<Directory>,
    buffers: &mut Buffers,
) -> Result<(Partial, Vec<Digest>), Stop> {
    let size = usize::try_from(source.state.bytes).unwrap_or(usize::MAX);
    let content = sized(&mut buffers.read, size);
    let read = read_at_most(&source.file, content, 0)
        .map_err(|e| error_map::source(&source.path, error_map::errno(&e)))?;
    if read < size {
        return Err(error_map::source_changed(
            &source.path,
            &format!("it ended at byte {read} of {size}"),
        )
        .into());
    }
    let digests: Vec<Digest> = plan
        .algorithms
        .iter()
        .map(|algorithm| hash_bytes(*algorithm, content))
        .collect();
    source.check_unchanged()?;
    plan.check_declared(&digests)?;
    let target = directory.path().join(&plan.name);
    let partial = Partial::unnamed(directory, &plan.name)
        .map_err(|e| error_map::destination(&target, "create", e))?;
    let written = partial.file().write_all_at(content, 0);
    written.map_err(|e| error_map::destination(&target, "write", error_map::errno(&e)))?;
    if let Some(algorithm) = plan.verify {
        let back = sized(&mut buffers.back, size);
        let read = read_at_most(partial.file(), back, 0);
        let read =
            read.map_err(|e| error_map::destination(&target, "read back", error_map::errno(&e)))?;
        let mut hasher = Hasher::new(algorithm);
        hasher.update(&back[..read]);
        check_written(&target, &digests, &[hasher.finish()])?;
    }
    Ok((partial, digests))
}

/// Compares the digests of the source with those of the destination.
pub(super) fn check_written(
    target: &std::path::Path,
    source: &[Digest],
    destination: &[Digest],
) -> Result<(), Failure> {
    for back in destination {
        let sent = source
            .iter()
            .find(|digest| digest.algorithm == back.algorithm);
        if sent.is_some_and(|sent| sent != back) {
            let sent = sent.map_or_else(String::new, Digest::to_string);
            let message = format!(
                "{} gives back {back}, written was {sent}: memory or storage is faulty; the transfer is tried again",
                target.display()
            );
            return Err(Failure::transient("verify_failed", message));
        }
    }
    Ok(())
}

fn sized(buffer: &mut Vec<u8>, size: usize) -> &mut [u8] {
    if buffer.len() < size {
        buffer.resize(size, 0);
    }
    &mut buffer[..size]
}
