//! The tree below a root as MHL sees it: children in order, and the two hashes of a directory.
use super::FOLDER;
use super::folder::{Folder, kind};
use super::model::MhlError;
use super::write::is_xml_text;
use protocol::model::hash::HashAlgorithm;
use rustix::fs::{FileType, Stat};
use std::io;
use std::path::PathBuf;
use storage::hash::{Digest, hash_bytes, hash_of_list};

/// A file or directory in a directory.
pub(super) struct Child {
    pub(super) name: String,
    /// Whether it is a directory and no file.
    pub(super) directory: bool,
    /// Whether the name is a symbolic link; one to a file counts as the file.
    pub(super) linked: bool,
    pub(super) state: FileState,
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileState {
    pub(super) bytes: u64,
    /// Nanoseconds since 1970.
    pub(super) modified_ns: i128,
}

impl FileState {
    fn of(found: &Stat) -> FileState {
        let nanoseconds =
            i128::from(found.st_mtime) * 1_000_000_000 + i128::from(found.st_mtime_nsec);
        FileState {
            bytes: u64::try_from(found.st_size).unwrap_or(0),
            modified_ns: nanoseconds,
        }
    }

    /// The state of a file in a directory. `linked`: its name is a symbolic link that counts as the file.
    pub(super) fn read(directory: &Folder, name: &str, linked: bool) -> io::Result<FileState> {
        let found = if linked {
            directory.target(name)?
        } else {
            directory.entry(name)?
        };
        Ok(FileState::of(&found))
    }

    /// When the file was modified.
    pub(super) fn modified(self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(self.modified_ns).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

/// What a directory holds.
#[derive(Default)]
pub(super) struct Listed {
    /// Files and directories, sorted by name.
    pub(super) children: Vec<Child>,
    /// Entries with a name that has no form in XML.
    pub(super) unrecordable: Vec<PathBuf>,
    /// Entries that cannot be looked at, with the reason.
    pub(super) unreadable: Vec<(String, io::Error)>,
    /// Entries that are neither a file nor a directory, with what they are.
    pub(super) left_out: Vec<(String, &'static str)>,
}

/// Lists a directory without what is ignored. Links to directories, links that lead nowhere, pipes, sockets and devices are
/// left out: no transfer carries them, and the reference tool cannot hash them either. One entry that cannot be recorded or
/// looked at does not hide the others.
pub(super) fn children(
    folder: &Folder,
    ignored: impl Fn(&str, bool) -> bool,
) -> Result<Listed, MhlError> {
    let mut listed = Listed::default();
    for (name, _) in folder.entries()? {
        let lossy = name.to_string_lossy().into_owned();
        let own = folder.entry(&name);
        let linked = own.as_ref().is_ok_and(|own| kind(own) == FileType::Symlink);
        if linked && folder.leads_outside(&name) {
            if !ignored(&lossy, false) {
                listed
                    .left_out
                    .push((lossy, "a link that leads out of the roots"));
            }
            continue;
        }
        let found = match if linked { folder.target(&name) } else { own } {
            Ok(found) => found,
            Err(_) if ignored(&lossy, false) => continue,
            Err(error) if linked && leads_nowhere(&error) => {
                listed.left_out.push((lossy, "a link that leads nowhere"));
                continue;
            }
            // It has just gone.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                listed.unreadable.push((lossy, error));
                continue;
            }
        };
        let directory = kind(&found) == FileType::Directory;
        if ignored(&lossy, directory) {
            continue;
        }
        if directory && linked {
            listed.left_out.push((lossy, "a link to a directory"));
            continue;
        }
        if !(directory || kind(&found) == FileType::RegularFile) {
            listed
                .left_out
                .push((lossy, "a pipe, a socket or a device"));
            continue;
        }
        match name.into_string() {
            Ok(name) if is_xml_text(&name) => {
                listed.children.push(Child {
                    name,
                    directory,
                    linked,
                    state: FileState::of(&found),
                });
            }
            Ok(name) => listed.unrecordable.push(folder.at(name)),
            Err(name) => listed.unrecordable.push(folder.at(name)),
        }
    }
    listed.children.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(listed)
}

/// Whether a link dangles, loops, or leads through a file.
pub(super) fn leads_nowhere(error: &io::Error) -> bool {
    let errno = rustix::io::Errno::from_io_error(error);
    matches!(
        errno,
        Some(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR)
    )
}

/// Whether a directory has a history of its own; a link counts, so that it is named.
pub(super) fn has_history(directory: &Folder) -> bool {
    directory
        .entry(FOLDER)
        .is_ok_and(|found| matches!(kind(&found), FileType::Directory | FileType::Symlink))
}

/// `a/b`, or `b` at the root.
pub(super) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}/{name}")
    }
}

/// Computes the hashes of a directory from those of its children, as the reference tool does: the content hash is the
/// hash over the children's content hashes; the structure hash is the hash over the hashes of name and content hash
/// (files) or name and structure hash (directories).
pub(super) struct DirectoryHash {
    algorithm: HashAlgorithm,
    content: Vec<Digest>,
    structure: Vec<Digest>,
}

impl DirectoryHash {
    /// An empty directory.
    pub(super) fn new(algorithm: HashAlgorithm) -> DirectoryHash {
        DirectoryHash {
            algorithm,
            content: Vec::new(),
            structure: Vec::new(),
        }
    }

    /// Adds a child; the two hashes of a file are the same.
    pub(super) fn push(&mut self, name: &str, content: &Digest, structure: &Digest) {
        let mut named = name.as_bytes().to_vec();
        // Digests that reach this point were computed here or checked when read.
        named.extend(structure.bytes().unwrap_or_default());
        self.structure.push(hash_bytes(self.algorithm, &named));
        self.content.push(content.clone());
    }

    /// Content hash and structure hash.
    pub(super) fn finish(self) -> (Digest, Digest) {
        let over = |digests| {
            hash_of_list(self.algorithm, digests)
                .unwrap_or_else(|_| hash_bytes(self.algorithm, b""))
        };
        (over(self.content), over(self.structure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_nowhere_hide_nothing() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().expect("a temp dir");
        std::fs::write(dir.path().join("file"), b"x").expect("written");
        std::fs::write(dir.path().join("bell\u{7}"), b"x").expect("written");
        std::fs::create_dir(dir.path().join("directory")).expect("created");
        for (name, target) in [
            ("loop", "loop"),
            ("through", "file/x"),
            ("dangling", "nowhere"),
            ("aside", "directory"),
        ] {
            symlink(target, dir.path().join(name)).expect("linked");
        }
        let folder = Folder::open(dir.path()).expect("opened");
        let listed = children(&folder, |_, _| false).expect("listed");
        assert_eq!(
            listed
                .children
                .iter()
                .map(|child| child.name.as_str())
                .collect::<Vec<_>>(),
            ["directory", "file"]
        );
        assert_eq!(
            (
                listed.left_out.len(),
                listed.unrecordable.len(),
                listed.unreadable.len()
            ),
            (4, 1, 0)
        );
    }

    /// Values printed by `ascmhl create` 1.2 for `a.txt` ("a\n"), `sub/b ü&<.txt` ("b\n"), `zero.bin` and `empty/`.
    #[test]
    fn agrees_with_the_reference_tool() {
        let xxh = |content: &[u8]| hash_bytes(HashAlgorithm::Xxh128, content);
        let empty = DirectoryHash::new(HashAlgorithm::Xxh128).finish();
        let mut sub = DirectoryHash::new(HashAlgorithm::Xxh128);
        sub.push("b ü&<.txt", &xxh(b"b\n"), &xxh(b"b\n"));
        let sub = sub.finish();
        assert_eq!(sub.0.text, "45e9b0f09fb72158a2f6bf095d309107");
        assert_eq!(sub.1.text, "cf583c63d3d7f25d480482cc3a3841e4");
        let mut root = DirectoryHash::new(HashAlgorithm::Xxh128);
        root.push("a.txt", &xxh(b"a\n"), &xxh(b"a\n"));
        root.push("empty", &empty.0, &empty.1);
        root.push("sub", &sub.0, &sub.1);
        root.push("zero.bin", &xxh(b""), &xxh(b""));
        let root = root.finish();
        assert_eq!(root.0.text, "f59946b2d61bbbd28b5aad397dcba763");
        assert_eq!(root.1.text, "8483d7d3d856c6ffa5905e0a087225c5");
    }
}
