//! Maps errors of the system to storage errors.
use crate::{DirectoryError, StorageError, file_location};
use rustix::io::Errno;

/// The error of a system call at a location. `doing` is the failed action.
pub(super) fn io_error(location: &str, doing: &str, errno: Errno) -> StorageError {
    let (location, said) = (location.to_owned(), format!("cannot {doing} it: {errno}"));
    match errno {
        Errno::NOENT | Errno::NOTDIR => StorageError::NotFound(location),
        Errno::ACCESS | Errno::PERM | Errno::ROFS => StorageError::Denied { location, said },
        Errno::XDEV | Errno::LOOP => StorageError::invalid(
            location,
            format!("{said}; a symbolic link there leaves the root or loops"),
        ),
        Errno::NOSPC | Errno::DQUOT => StorageError::Full { location, said },
        Errno::ISDIR => StorageError::Blocked {
            location,
            said: "a directory is there".into(),
        },
        Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ | Errno::FBIG => {
            StorageError::invalid(location, said)
        }
        _ => StorageError::unavailable(location, said),
    }
}

/// A directory that cannot be used.
pub(super) fn directory_error(error: &DirectoryError) -> StorageError {
    match error {
        DirectoryError::Outside(path) | DirectoryError::Escapes { path, .. } => {
            StorageError::invalid(file_location(path), error.to_string())
        }
        DirectoryError::NotADirectory(path) => StorageError::Blocked {
            location: file_location(path),
            said: "a part of that path is a file".into(),
        },
        DirectoryError::Io { path, source } => {
            io_error(&file_location(path), "open or create", *source)
        }
    }
}
