//! Hashes a file by reading it, for files that are not hashed while they are copied.
use super::{BlockPool, Digest, MultiHasher, is_expensive};
use protocol::model::hash::HashAlgorithm;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

/// Bytes read at once: large enough that the call costs nothing, small enough to stay in the processor's cache.
const BLOCK_BYTES: usize = 512 * 1024;

/// Why a file was not hashed.
#[derive(Debug, Error)]
pub enum HashError {
    /// The file cannot be read.
    #[error("cannot read the file")]
    Read(#[from] io::Error),
    /// The work was called off.
    #[error("stopped before the end of the file")]
    Cancelled,
}

/// Opens and hashes a file; returns its digests in the order of [`HashAlgorithm`] and the number of bytes read.
pub fn hash_file(
    path: &Path,
    algorithms: &[HashAlgorithm],
    cancel: &CancellationToken,
) -> Result<(Vec<Digest>, u64), HashError> {
    hash_open_file(&File::open(path)?, algorithms, cancel)
}

/// Hashes an open file from its beginning, wherever its position is; looks at `cancel` at every block.
pub fn hash_open_file(
    file: &File,
    algorithms: &[HashAlgorithm],
    cancel: &CancellationToken,
) -> Result<(Vec<Digest>, u64), HashError> {
    let size = file.metadata()?.len();
    let threads = size > 2 * BLOCK_BYTES as u64
        && algorithms.iter().any(|a| is_expensive(*a))
        && algorithms.len() > 1;
    // Small files need one small buffer; lanes need a few blocks in flight.
    let block_bytes = BLOCK_BYTES.min(
        usize::try_from(size)
            .unwrap_or(BLOCK_BYTES)
            .saturating_add(1),
    );
    let pool = BlockPool::new(if threads { 8 } else { 1 }, block_bytes);
    let mut hasher = MultiHasher::new(algorithms, threads);
    let mut offset = 0;
    loop {
        if cancel.is_cancelled() {
            return Err(HashError::Cancelled);
        }
        let block = pool.fill(|bytes| read_at_most(file, bytes, offset))?;
        if block.is_empty() {
            return Ok((hasher.finish(), offset));
        }
        offset += block.len() as u64;
        hasher.update(&block);
    }
}

/// Reads until the buffer is full or the file ends; returns the bytes read.
pub fn read_at_most(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::super::hash_bytes;
    use super::*;

    #[test]
    fn hashes_whole_files_of_any_size() {
        let dir = tempfile::tempdir().expect("a temp dir");
        for size in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, 3 * BLOCK_BYTES + 7] {
            let content: Vec<u8> = (0..size).map(|i| (i % 249) as u8).collect();
            let path = dir.path().join("f");
            std::fs::write(&path, &content).expect("written");
            let algorithms = [HashAlgorithm::Xxh128, HashAlgorithm::Md5];
            let (digests, read) =
                hash_file(&path, &algorithms, &CancellationToken::new()).expect("readable");
            assert_eq!(read, size as u64);
            assert_eq!(digests, algorithms.map(|a| hash_bytes(a, &content)));
        }
    }

    #[test]
    fn stops_when_called_off() {
        let cancel = CancellationToken::new();
        cancel.cancel();
        let hashed = hash_file(Path::new("/proc/self/exe"), &[HashAlgorithm::Xxh3], &cancel);
        assert!(matches!(hashed, Err(HashError::Cancelled)));
    }
}
