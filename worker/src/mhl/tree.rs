//! The tree below a root as MHL sees it: children in order, and the two hashes of a directory.
use super::model::MhlError;
use super::write::is_xml_text;
use crate::hash::{Digest, hash_bytes, hash_of_list};
use protocol::wire::unit::HashAlgorithm;
use std::fs::Metadata;
use std::path::Path;

/// A file or directory in a directory.
pub(super) struct Child {
    pub(super) name: String,
    /// What the name leads to; a symbolic link to a file counts as the file.
    pub(super) metadata: Metadata,
}

/// Children of a directory that are files or directories and not ignored, sorted by name. Links to directories, pipes,
/// sockets and devices are left out: nobody transfers them here, and the reference tool cannot hash them either.
pub(super) fn children(path: &Path, ignored: impl Fn(&str, bool) -> bool) -> Result<Vec<Child>, MhlError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(MhlError::io(path))? {
        let entry = entry.map_err(MhlError::io(path))?;
        let own = entry.file_type().map_err(MhlError::io(path))?;
        let full = entry.path();
        let metadata = match std::fs::metadata(&full) {
            Ok(metadata) => metadata,
            // A dangling link, or a file that has just gone.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(MhlError::io(&full)(error)),
        };
        let directory = metadata.is_dir();
        let name = entry.file_name();
        if ignored(&name.to_string_lossy(), directory) {
            continue;
        }
        if (directory && own.is_symlink()) || !(directory || metadata.is_file()) {
            tracing::warn!(path = %full.display(), "left out of the history: neither a file nor a directory");
            continue;
        }
        match name.into_string() {
            Ok(name) if is_xml_text(&name) => found.push(Child { name, metadata }),
            _ => return Err(MhlError::Unrecordable(full)),
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// `a/b`, or `b` at the root.
pub(super) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") }
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
        DirectoryHash { algorithm, content: Vec::new(), structure: Vec::new() }
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
        let over = |digests| hash_of_list(self.algorithm, digests).unwrap_or_else(|_| hash_bytes(self.algorithm, b""));
        (over(self.content), over(self.structure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
