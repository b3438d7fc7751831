//! Maps errors of the system to failures of a transfer, so that a reason code has one meaning.
use protocol::failure::Failure;
use rustix::io::Errno;
use std::io;
use std::path::Path;
use storage::{DirectoryError, RootError};

/// Why an asset has no result.
#[derive(Debug)]
pub(super) enum Stop {
    /// The unit was revoked.
    Cancelled,
    /// The asset failed. The written part is removed, or kept for the next attempt.
    Failed {
        failure: Failure,
        keep_partial: bool,
    },
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed {
            failure,
            keep_partial: false,
        }
    }
}

/// The errno behind an I/O error; `EIO` when there is none.
pub(super) fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// A source that cannot be opened or read.
pub(super) fn source(path: &Path, errno: Errno) -> Failure {
    let path = path.display();
    match errno {
        Errno::NOENT | Errno::NOTDIR => Failure::permanent(
            "source_missing",
            format!("source {path} does not exist: deliver it or correct its location, then retry"),
        ),
        Errno::ACCESS | Errno::PERM => Failure::permanent(
            "source_unreadable",
            format!(
                "source {path} cannot be read by this worker ({errno}): change its permissions, then retry"
            ),
        ),
        Errno::LOOP => Failure::permanent(
            "source_symlink_loop",
            format!(
                "source {path} is a symbolic link that leads back to itself: replace it by the file"
            ),
        ),
        Errno::NAMETOOLONG | Errno::INVAL => Failure::permanent(
            "source_invalid",
            format!("source {path} is not a usable path ({errno}): correct its location"),
        ),
        errno => Failure::transient(
            "source_read_failed",
            format!("reading source {path} failed: {errno}"),
        ),
    }
}

/// A source that the roots do not let through, or that is no regular file.
pub(crate) fn root(error: &RootError) -> Failure {
    match error {
        RootError::Outside(_) => Failure::permanent("outside_roots", format!("source {error}")),
        RootError::Escapes { .. } => Failure::permanent(
            "source_escapes",
            format!("source {error}: restore the directory, then retry"),
        ),
        RootError::Kind { path, kind } => source_kind(path, kind),
        RootError::System { path, errno } => source(path, *errno),
    }
}

/// A source that is no regular file.
pub(super) fn source_kind(path: &Path, kind: &str) -> Failure {
    let path = path.display();
    Failure::permanent(
        "source_not_a_file",
        format!("source {path} is {kind}, not a file: correct its location"),
    )
}

/// A source that changed since the copy began.
pub(super) fn source_changed(path: &Path, what: &str) -> Failure {
    let path = path.display();
    let message = format!(
        "source {path} changed while it was read ({what}): it is copied again once it rests"
    );
    Failure::transient("source_changed", message)
}

/// A destination that cannot be written; `doing` is the failed action ("write", "create", "publish").
pub(super) fn destination(path: &Path, doing: &str, errno: Errno) -> Failure {
    let path = path.display();
    match errno {
        Errno::NOSPC | Errno::DQUOT => Failure::transient(
            "destination_full",
            format!(
                "no space to {doing} {path} ({errno}): free or add space, the transfer is tried again"
            ),
        ),
        Errno::ACCESS | Errno::PERM | Errno::ROFS => Failure::permanent(
            "destination_unwritable",
            format!(
                "this worker may not {doing} {path} ({errno}): change its permissions or the target, then retry"
            ),
        ),
        Errno::NAMETOOLONG | Errno::INVAL | Errno::ILSEQ => Failure::permanent(
            "destination_name_invalid",
            format!("the filesystem refuses the name of {path} ({errno}): change the target"),
        ),
        Errno::FBIG => Failure::permanent(
            "destination_file_too_large",
            format!("{path} is larger than its filesystem allows ({errno}): choose another target"),
        ),
        errno => Failure::transient(
            "destination_write_failed",
            format!("cannot {doing} {path}: {errno}"),
        ),
    }
}

/// A destination directory that cannot be used.
pub(super) fn directory(error: &DirectoryError) -> Failure {
    match error {
        DirectoryError::Outside(_) => Failure::permanent("outside_roots", error.to_string()),
        DirectoryError::Escapes { .. } => {
            Failure::permanent("destination_escapes", error.to_string())
        }
        DirectoryError::NotADirectory(_) => Failure::permanent(
            "destination_blocked",
            format!("{error}: move it away or change the target"),
        ),
        DirectoryError::Io { path, source } => destination(path, "create directory", *source),
    }
}

/// An error while writing. Retryable errors keep the written bytes, except on a full disk.
pub(super) fn while_writing(path: &Path, doing: &str, errno: Errno) -> Stop {
    let failure = destination(path, doing, errno);
    let keep_partial = failure.class.retryable() && failure.reason != "destination_full";
    Stop::Failed {
        failure,
        keep_partial,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes and classes are what retry rules and reports rely on; tests that run as root cannot provoke them all.
    #[test]
    fn every_errno_has_its_stable_code_and_class() {
        let path = Path::new("/x");
        for (errno, reason, retryable) in [
            (Errno::NOENT, "source_missing", false),
            (Errno::ACCESS, "source_unreadable", false),
            (Errno::PERM, "source_unreadable", false),
            (Errno::LOOP, "source_symlink_loop", false),
            (Errno::IO, "source_read_failed", true),
            (Errno::MFILE, "source_read_failed", true),
        ] {
            let failure = source(path, errno);
            assert_eq!(
                (failure.reason.as_str(), failure.class.retryable()),
                (reason, retryable),
                "{errno}"
            );
            assert!(failure.message.contains("/x"), "{}", failure.message);
        }
        for (errno, reason, retryable, keep) in [
            (Errno::NOSPC, "destination_full", true, false),
            (Errno::DQUOT, "destination_full", true, false),
            (Errno::ACCESS, "destination_unwritable", false, false),
            (Errno::ROFS, "destination_unwritable", false, false),
            (Errno::NAMETOOLONG, "destination_name_invalid", false, false),
            (Errno::FBIG, "destination_file_too_large", false, false),
            (Errno::IO, "destination_write_failed", true, true),
        ] {
            let Stop::Failed {
                failure,
                keep_partial,
            } = while_writing(path, "write", errno)
            else {
                panic!("{errno} is a failure")
            };
            let found = (
                failure.reason.as_str(),
                failure.class.retryable(),
                keep_partial,
            );
            assert_eq!(found, (reason, retryable, keep), "{errno}");
        }
    }
}
