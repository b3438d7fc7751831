//! A file read from front to back through one buffer, with its place and a way to stop.
use super::page::Stop;
use protocol::failure::Failure;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom};
use std::path::Path;
use storage::{RootError, Roots};
use tokio_util::sync::CancellationToken;

/// Bytes per read; the token is checked once per read.
const BUFFER: usize = 256 << 10;

/// A manifest being read.
pub(super) struct Source {
    reader: BufReader<File>,
    byte: u64,
    path: String,
    stop: CancellationToken,
}

impl Source {
    /// Opens a regular file; a pipe would block for ever and a directory is another kind of library.
    pub(super) fn open(path: &str, roots: &Roots, stop: CancellationToken) -> Result<Source, Stop> {
        let file = roots.open_file(Path::new(path)).map_err(|error| {
            let message = match &error {
                RootError::Kind {
                    kind: "a directory",
                    ..
                } => {
                    format!("{path} is a directory: write `folder:` instead of `manifest:`")
                }
                RootError::Kind { .. } => {
                    format!("{path} is not a regular file: save the manifest to a file first")
                }
                _ => return closed(path, &error),
            };
            Stop::Failed(Failure::permanent("library_unreadable", message))
        })?;
        Ok(Source {
            reader: BufReader::with_capacity(BUFFER, file),
            byte: 0,
            path: path.to_owned(),
            stop,
        })
    }

    /// Offset of the next byte.
    pub(super) fn byte(&self) -> u64 {
        self.byte
    }

    /// The buffered bytes, refilled when empty; empty only at the end.
    pub(super) fn fill(&mut self) -> Result<&[u8], Stop> {
        if self.reader.buffer().is_empty() {
            if self.stop.is_cancelled() {
                return Err(Stop::Revoked);
            }
            while let Err(error) = self.reader.fill_buf() {
                if error.kind() != ErrorKind::Interrupted {
                    return Err(self.broken(&error));
                }
            }
        }
        Ok(self.reader.buffer())
    }

    /// Takes `count` of the buffered bytes.
    pub(super) fn consume(&mut self, count: usize) {
        self.reader.consume(count);
        self.byte += count as u64;
    }

    /// Continues at `byte`.
    pub(super) fn seek(&mut self, byte: u64) -> Result<(), Stop> {
        let length = self
            .reader
            .get_ref()
            .metadata()
            .map_err(|error| self.broken(&error))?
            .len();
        if byte > length {
            let message = format!(
                "{} is {length} bytes long, but its scan had got to byte {byte}: it changed meanwhile, submit the job again",
                self.path
            );
            return Err(Stop::Failed(Failure::permanent(
                "library_unreadable",
                message,
            )));
        }
        self.reader
            .seek(SeekFrom::Start(byte))
            .map_err(|error| self.broken(&error))?;
        self.byte = byte;
        Ok(())
    }

    /// A failure of the whole manifest, found on its first line.
    pub(super) fn header_failure(&self, message: impl std::fmt::Display) -> Stop {
        Stop::Failed(Failure::permanent(
            "manifest_header",
            format!("{}:1: {message}", self.path),
        ))
    }

    /// A disk or network file system that fails in the middle may be back later.
    fn broken(&self, error: &std::io::Error) -> Stop {
        let message = format!(
            "{} cannot be read at byte {}: {error}",
            self.path, self.byte
        );
        Stop::Failed(Failure::transient("library_unreadable", message))
    }
}

/// The failure of a library outside the roots.
pub(super) fn closed(path: &str, error: &RootError) -> Stop {
    match error {
        RootError::Outside(_) => Stop::Failed(Failure::permanent(
            "outside_roots",
            format!("library {error}"),
        )),
        error => cannot_open(path, &error.errno().into()),
    }
}

/// The failure of a library that cannot be opened.
pub(super) fn cannot_open(path: &str, error: &std::io::Error) -> Stop {
    Stop::Failed(match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Failure::permanent(
            "library_missing",
            format!("{path} does not exist: check the path in the job file"),
        ),
        ErrorKind::PermissionDenied => Failure::permanent(
            "library_unreadable",
            format!("{path} may not be read by this worker: grant it read permission"),
        ),
        ErrorKind::InvalidInput | ErrorKind::InvalidFilename => Failure::permanent(
            "library_unreadable",
            format!("{path} cannot be opened: {error}"),
        ),
        _ => Failure::transient(
            "library_unreadable",
            format!("{path} cannot be opened: {error}"),
        ),
    })
}
