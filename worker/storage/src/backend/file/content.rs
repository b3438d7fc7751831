//! Bytes of files: written, read back and compared, and read in pieces.
use super::blocking::{blocking, errno};
use super::error_map::io_error;
use crate::buffers::Buffers;
use crate::{Body, Checksum, ChecksumKind, StorageError};
use bytes::Bytes;
use rustix::io::Errno;
use std::cell::RefCell;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes of one read.
pub(super) const READ_BYTES: usize = 1024 * 1024;
/// Bytes per call when content is read back: the size of a processor cache.
const CHECK_BYTES: usize = 256 * 1024;

pub(super) fn write_pieces(file: &File, offset: u64, body: &Body) -> Result<(), Errno> {
    write_all(file, offset, body.pieces()).map(drop)
}

/// Writes consecutive pieces and returns the offset of their end.
pub(super) fn write_all(file: &File, offset: u64, pieces: &[Bytes]) -> Result<u64, Errno> {
    let mut at = offset;
    for piece in pieces {
        file.write_all_at(piece, at)
            .map_err(|error| errno(&error))?;
        at += piece.len() as u64;
    }
    Ok(at)
}

/// Reads a range back and compares it with its checksum, as servers do for uploads.
pub(super) fn check_back(
    location: &str,
    file: &File,
    offset: u64,
    bytes: u64,
    sum: Checksum,
) -> Result<(), StorageError> {
    let found = sum_of(file, offset, bytes, sum.kind())
        .map_err(|errno| io_error(location, "read back", errno))?;
    if found == sum {
        Ok(())
    } else {
        Err(StorageError::corrupt(
            location,
            format!("written {sum}, gives back {found}"),
        ))
    }
}

pub(super) fn sum_of(
    file: &File,
    offset: u64,
    bytes: u64,
    kind: ChecksumKind,
) -> Result<Checksum, Errno> {
    let mut running = crate::checksum::RunningChecksum::new(kind);
    read_through(file, offset, bytes, |read| running.update(read))?;
    Ok(running.finish())
}

/// Passes a stretch to `each`, as far as the file goes.
pub(super) fn read_through(
    file: &File,
    offset: u64,
    bytes: u64,
    mut each: impl FnMut(&[u8]),
) -> Result<(), Errno> {
    thread_local! {
        // Read back again and again: fresh memory would cost more than the reading.
        static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; CHECK_BYTES]);
    }
    BUFFER.with_borrow_mut(|buffer| {
        let mut done = 0;
        while done < bytes {
            let want = buffer
                .len()
                .min(usize::try_from(bytes - done).unwrap_or(usize::MAX));
            let read = rustix::io::pread(file, &mut buffer[..want], offset + done)?;
            if read == 0 {
                break;
            }
            each(&buffer[..read]);
            done += read as u64;
        }
        Ok(())
    })
}

/// Reads at most `want` bytes into an empty buffer, fewer only at the end of the file.
pub(super) fn read_piece(
    file: &File,
    at: u64,
    want: usize,
    mut buffer: Vec<u8>,
) -> Result<Vec<u8>, Errno> {
    buffer.reserve_exact(want);
    while buffer.len() < want {
        let from = at + buffer.len() as u64;
        match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut buffer), from) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    // The capacity may have been rounded up.
    buffer.truncate(want);
    Ok(buffer)
}

/// A range of a file in pieces. Each is read on a thread that may block.
pub(super) fn pieces(
    location: String,
    file: Arc<File>,
    range: Range<u64>,
    buffers: Arc<Buffers>,
) -> impl futures_util::Stream<Item = Result<Bytes, StorageError>> + Send {
    futures_util::stream::unfold((file, range.start), move |(file, at)| {
        let (location, end, buffers) = (location.clone(), range.end, Arc::clone(&buffers));
        async move {
            if at >= end {
                return None;
            }
            let want = READ_BYTES.min(usize::try_from(end - at).unwrap_or(READ_BYTES));
            let reader = Arc::clone(&file);
            let place = location.clone();
            let read = blocking(location, move || {
                let read = read_piece(&reader, at, want, buffers.take(want));
                read.map(|content| buffers.lend(content))
                    .map_err(|errno| io_error(&place, "read", errno))
            })
            .await;
            match read {
                // The file ended too early: the reader counts the bytes.
                Ok(bytes) if bytes.is_empty() => None,
                Ok(bytes) => {
                    let next = at + bytes.len() as u64;
                    Some((Ok(bytes), (file, next)))
                }
                Err(error) => Some((Err(error), (file, end))),
            }
        }
    })
}
