//! Copies the kernel makes by itself: shared extents where the filesystem has them, `copy_file_range` elsewhere.
use rustix::fs::{copy_file_range, ioctl_ficlone};
use rustix::io::Errno;
use std::fs::File;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

/// Bytes per call: a tenth of a second on a slow disk, so that a revoked unit stops in time.
const CALL_BYTES: u64 = 8 * 1024 * 1024;

/// Why an in-kernel copy ended early.
#[derive(Debug, Error)]
pub enum CopyError {
    /// The filesystems cannot do it between these two files; nothing was copied. Copy through memory instead.
    #[error("the filesystem cannot copy by itself")]
    Unsupported,
    /// The kernel reported an error, which may come from reading or from writing.
    #[error("the copy failed")]
    Io(#[source] Errno),
    /// The work was called off.
    #[error("stopped before the end of the file")]
    Cancelled,
    /// The source ended before the byte it was said to have.
    #[error("the source ended at byte {0}")]
    SourceShort(u64),
}

/// Makes `destination` share the extents of `source`. False when the filesystem cannot.
pub fn reflink(source: &File, destination: &File) -> bool {
    ioctl_ficlone(destination, source).is_ok()
}

/// Copies `size` bytes from the beginning of `source` to the beginning of `destination`; tells `progress` the total
/// after every call.
pub fn copy_in_kernel(
    source: &File,
    destination: &File,
    size: u64,
    cancel: &CancellationToken,
    mut progress: impl FnMut(u64),
) -> Result<(), CopyError> {
    let (mut from, mut to) = (0, 0);
    while from < size {
        if cancel.is_cancelled() {
            return Err(CopyError::Cancelled);
        }
        let wanted = usize::try_from((size - from).min(CALL_BYTES)).unwrap_or(usize::MAX);
        match copy_file_range(source, Some(&mut from), destination, Some(&mut to), wanted) {
            // Some filesystems answer 0 for files they cannot copy, such as those of /proc.
            Ok(0) if from == 0 => return Err(CopyError::Unsupported),
            Ok(0) => return Err(CopyError::SourceShort(from)),
            Ok(_) => progress(to),
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL | Errno::PERM)
                if from == 0 =>
            {
                return Err(CopyError::Unsupported);
            }
            Err(errno) => return Err(CopyError::Io(errno)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_every_byte_or_says_what_is_missing() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let content: Vec<u8> = (0..20_000_000u32).map(|i| (i % 253) as u8).collect();
        std::fs::write(dir.path().join("a"), &content).expect("written");
        let source = File::open(dir.path().join("a")).expect("opened");
        let target = File::create(dir.path().join("b")).expect("created");
        let (cancel, mut seen) = (CancellationToken::new(), 0);
        let size = content.len() as u64;
        copy_in_kernel(&source, &target, size, &cancel, |total| seen = total)
            .expect("same filesystem");
        assert_eq!(seen, size);
        assert!(std::fs::read(dir.path().join("b")).expect("readable") == content);
        let short = copy_in_kernel(&source, &target, size + 1, &cancel, |_| {});
        assert!(matches!(short, Err(CopyError::SourceShort(at)) if at == size));
        cancel.cancel();
        let stopped = copy_in_kernel(&source, &target, size, &cancel, |_| {});
        assert!(matches!(stopped, Err(CopyError::Cancelled)));
    }
}
