//! Data model of an MHL generation: header, entries, hashes and references.
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use storage::StorageError;
use storage::hash::Digest;
use thiserror::Error;

/// Why a history cannot be read or continued.
#[derive(Debug, Error)]
pub enum MhlError {
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file of the history is not what the format demands.
    #[error("{path}, byte {position}: {problem}", path = path.display())]
    Malformed {
        /// Path of the malformed file.
        path: PathBuf,
        /// Offset in bytes where it was noticed.
        position: u64,
        /// What is wrong.
        problem: String,
    },
    /// The generations are not those the chain lists.
    #[error("history {folder} is broken: {problem}; restore it from another copy before continuing it", folder = folder.display())]
    Broken {
        /// The `ascmhl` directory.
        folder: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A name in the tree has no form in XML.
    #[error("{path} has a name that MHL cannot record (not UTF-8, or control characters): rename it", path = .0.display())]
    Unrecordable(PathBuf),
    /// The history of a tree is a symbolic link: what is written there would land elsewhere.
    #[error("{path} is a symbolic link, and a history is written below its own tree only: remove the link", path = .0.display())]
    Linked(PathBuf),
    /// The tree, or what a link in it leads to, is below none of the roots.
    #[error("{path} is outside of the `roots` of the storage settings: correct the path, or add its directory to them", path = .0.display())]
    Outside(PathBuf),
    /// Another process writes to the history of this tree.
    #[error("another process is sealing {root}", root = .0.display())]
    Busy(PathBuf),
    /// The storage the tree is in.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The work was called off.
    #[error("stopped before the end")]
    Cancelled,
}

impl MhlError {
    /// Names the file an I/O error belongs to.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> MhlError {
        let path = path.to_owned();
        move |source| MhlError::Io { path, source }
    }

    /// Speaks of the tree at `place` where it speaks of the copy of its history below `scratch`.
    pub(super) fn seen_at(mut self, scratch: &Path, place: &str) -> MhlError {
        let path = match &mut self {
            MhlError::Io { path, .. } | MhlError::Malformed { path, .. } => Some(path),
            MhlError::Broken { folder, .. } => Some(folder),
            MhlError::Unrecordable(path)
            | MhlError::Busy(path)
            | MhlError::Linked(path)
            | MhlError::Outside(path) => Some(path),
            MhlError::Storage(_) | MhlError::Cancelled => None,
        };
        if let Some(path) = path
            && let Ok(rest) = path.strip_prefix(scratch)
        {
            *path = PathBuf::from(format!(
                "{}/{}",
                place.trim_end_matches('/'),
                rest.display()
            ));
        }
        self
    }
}

/// What a hash in a generation is the result of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// The first hash of this file in the history.
    Original,
    /// It agreed with the history.
    Verified,
    /// It disagreed with the history.
    Failed,
}

impl Action {
    /// The spelling in the `action` attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Original => "original",
            Action::Verified => "verified",
            Action::Failed => "failed",
        }
    }

    /// Reads the spelling of [`Action::as_str`].
    pub fn parse(text: &str) -> Option<Action> {
        [Action::Original, Action::Verified, Action::Failed]
            .into_iter()
            .find(|action| action.as_str() == text)
    }
}

/// One hash element.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The algorithm and digest of the element.
    pub digest: Digest,
    /// What it is the result of; directories have none.
    pub action: Option<Action>,
    /// When it was computed, as written (`xs:dateTime`).
    pub date: Option<String>,
}

/// Whether an entry is a `hash` or a `directoryhash`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// A file of so many bytes; the reference tool leaves the size of empty files out.
    File {
        /// Size in bytes.
        bytes: Option<u64>,
    },
    /// The entry is a `directoryhash`.
    Directory,
}

/// A file or directory of a generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// File or directory.
    pub kind: EntryKind,
    /// Path relative to the root of the history, with `/`.
    pub path: String,
    /// Modification time as written (`xs:dateTime`).
    pub modified: Option<String>,
    /// Hashes of a file, or of a directory's content.
    pub hashes: Vec<Recorded>,
    /// Hashes of a directory's structure.
    pub structure: Vec<Recorded>,
    /// The path it had in earlier generations, when it was renamed.
    pub previous_path: Option<String>,
    /// In a bucket: version or tag of the hashed object, as the storage names it. The entry holds it in its metadata, which
    /// other tools ignore.
    pub state: Option<String>,
}

/// Everything of a generation but its entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// When it was written (`xs:dateTime`).
    pub creation_date: String,
    /// Name of the host that wrote it.
    pub host: String,
    /// By which program.
    pub tool: String,
    /// In which version.
    pub tool_version: String,
    /// Free text of the operator or tool.
    pub comment: Option<String>,
    /// `in-place`, `transfer` or `flatten`.
    pub process: String,
    /// Hashes over the content of the whole tree.
    pub root_content: Vec<Recorded>,
    /// Hashes over the content and the names of the whole tree.
    pub root_structure: Vec<Recorded>,
    /// Patterns of files that are no part of the history.
    pub ignore: Vec<String>,
}

/// A generation of a nested history that this one includes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Path of the generation, relative to the root of this history.
    pub path: String,
    /// C4 id of the generation file.
    pub c4: String,
}

/// A reference, and the generation that makes it.
#[derive(Debug, Clone)]
pub(super) struct Referred {
    pub(super) reference: Reference,
    /// File of the generation that refers.
    pub(super) generation: String,
    /// Whether that is the last one of its history.
    pub(super) last: bool,
}
