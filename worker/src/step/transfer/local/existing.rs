//! An existing destination: the same content is a success, different content a conflict. It is never replaced.
use super::plan::Plan;
use super::source::Source;
use crate::step::transfer::error_map::{self, Stop};
use protocol::failure::Failure;
use protocol::model::hash::HashAlgorithm;
use rustix::fs::{FileType, Stat};
use std::fs::File;
use std::path::Path;
use storage::Directory;
use storage::hash::{Digest, HashError, hash_open_file};
use tokio_util::sync::CancellationToken;

/// Compares the entry `found` at the destination with the source. Returns the open destination and its digests when
/// their contents are the same. `known` are digests of the source, when it has been read already.
pub(super) fn compare(
    plan: &Plan,
    source: &Source,
    directory: &Directory,
    found: &Stat,
    known: Option<&[Digest]>,
    cancel: &CancellationToken,
) -> Result<(File, Vec<Digest>), Stop> {
    let target = directory.path().join(&plan.name);
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(conflict(&target, "is not a regular file").into());
    }
    let (size, theirs) = (
        source.state.bytes,
        u64::try_from(found.st_size).unwrap_or(0),
    );
    let file = directory
        .open_file(plan.name.as_ref())
        .map_err(|e| error_map::destination(&target, "read", e))?;
    if theirs != size {
        return Err(conflict(&target, &format!("has {theirs} bytes, the source {size}")).into());
    }
    let algorithms = if plan.algorithms.is_empty() {
        &[HashAlgorithm::Xxh128]
    } else {
        plan.algorithms.as_slice()
    };
    let digests = hash_open_file(&file, algorithms, cancel);
    let digests = stop(digests, |error| {
        error_map::destination(&target, "read", error_map::errno(error))
    })?;
    if plan.declared.is_some() && plan.check_declared(&digests).is_ok() {
        return Ok((file, digests));
    }
    let ours = match known.filter(|known| !known.is_empty()) {
        Some(known) => known.to_vec(),
        None => {
            let read = hash_open_file(&source.file, algorithms, cancel);
            let ours = stop(read, |error| {
                error_map::source(&source.path, error_map::errno(error))
            })?;
            source.check_unchanged()?;
            ours
        }
    };
    plan.check_declared(&ours)?;
    let differing = digests.iter().find_map(|digest| {
        let our = ours.iter().find(|our| our.algorithm == digest.algorithm)?;
        (our != digest).then_some((digest, our))
    });
    match differing {
        Some((theirs, ours)) => Err(conflict(
            &target,
            &format!("hashes to {theirs}, the source to {ours}"),
        )
        .into()),
        None => Ok((file, digests)),
    }
}

fn stop(
    hashed: Result<(Vec<Digest>, u64), HashError>,
    failed: impl Fn(&std::io::Error) -> Failure,
) -> Result<Vec<Digest>, Stop> {
    match hashed {
        Ok((digests, _)) => Ok(digests),
        Err(HashError::Cancelled) => Err(Stop::Cancelled),
        Err(HashError::Read(error)) => Err(failed(&error).into()),
    }
}

fn conflict(target: &Path, how: &str) -> Failure {
    let message = format!(
        "{} exists and {how}: it was not touched; move it away or change the target, then retry",
        target.display()
    );
    Failure::permanent("destination_conflict", message)
}
