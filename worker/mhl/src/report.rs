//! Result of the verification of a tree.
use super::tree::{Listed, join};
use std::collections::HashSet;

/// Result of the verification of a tree. Paths are relative to its root.
#[derive(Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct VerifyReport {
    /// Generations read, those of nested histories included.
    pub generations: u64,
    /// Number of files that were hashed.
    pub files: u64,
    /// Number of bytes that were hashed.
    pub bytes: u64,
    /// Files whose content is not the recorded one, and directories (with a slash at their end) whose hashes are not.
    pub mismatched: Vec<Mismatch>,
    /// Recorded files and directories that are not there.
    pub missing: Vec<String>,
    /// Files that no generation records.
    pub new: Vec<String>,
    /// Files that could not be read, with the reason.
    pub unreadable: Vec<(String, String)>,
    /// Generations that are changed, missing, malformed or not in their chain, and references that do not hold.
    pub broken: Vec<String>,
    /// What is neither a file nor a directory, with what it is: no history records it.
    pub left_out: Vec<(String, String)>,
}

/// A file whose content is not the recorded one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Mismatch {
    /// Path of the file relative to the root.
    pub path: String,
    /// The recorded hash, `algorithm:digest`.
    pub recorded: String,
    /// The hash of what is there.
    pub found: String,
}

impl VerifyReport {
    /// Whether the tree is exactly what its history says.
    pub fn is_intact(&self) -> bool {
        self.mismatched.is_empty()
            && self.missing.is_empty()
            && self.new.is_empty()
            && self.unreadable.is_empty()
            && self.broken.is_empty()
    }

    /// Takes over what was found in the directory `prefix` of the tree.
    pub(super) fn take(&mut self, other: VerifyReport, prefix: &str) {
        let VerifyReport {
            generations,
            files,
            bytes,
            mismatched,
            missing,
            new,
            unreadable,
            broken,
            left_out,
        } = other;
        self.generations += generations;
        self.files += files;
        self.bytes += bytes;
        let at = |path: String| join(prefix, &path);
        self.mismatched
            .extend(mismatched.into_iter().map(|found| Mismatch {
                path: at(found.path),
                ..found
            }));
        self.missing.extend(missing.into_iter().map(at));
        self.new.extend(new.into_iter().map(at));
        self.unreadable
            .extend(unreadable.into_iter().map(|(path, why)| (at(path), why)));
        self.broken.extend(broken);
        self.left_out
            .extend(left_out.into_iter().map(|(path, what)| (at(path), what)));
    }

    /// Takes over what a directory holds besides files and directories that can be recorded.
    pub(super) fn take_exceptions(&mut self, directory: &str, listed: &Listed) {
        for path in &listed.unrecordable {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            self.unrecordable(join(directory, &name));
        }
        let unreadable = listed.unreadable.iter();
        self.unreadable
            .extend(unreadable.map(|(name, error)| (join(directory, name), error.to_string())));
        self.left_out.extend(
            listed
                .left_out
                .iter()
                .map(|(name, what)| (join(directory, name), (*what).to_owned())),
        );
    }

    /// Names what no history can record.
    pub(super) fn unrecordable(&mut self, path: String) {
        let why = "its name has no form in a history (not UTF-8, or control characters): rename it";
        self.unreadable
            .push((path.escape_debug().to_string(), why.to_owned()));
    }

    /// Puts what was found in order.
    pub(super) fn sort(&mut self) {
        self.mismatched.sort();
        self.unreadable.sort();
        self.missing.sort();
        self.new.sort();
        self.left_out.sort();
    }

    /// Every directory that is known to differ, also for what is in `further`.
    pub(super) fn damaged(&self, further: &[String]) -> HashSet<String> {
        let unreadable = self.unreadable.iter().map(|(path, _)| path);
        let mismatched = self.mismatched.iter().map(|mismatch| &mismatch.path);
        let paths = mismatched
            .chain(&self.missing)
            .chain(&self.new)
            .chain(unreadable)
            .chain(further);
        let mut directories = HashSet::new();
        for path in paths {
            let mut rest = path.as_str();
            while directories.insert(rest.to_owned()) && !rest.is_empty() {
                rest = rest.rsplit_once('/').map_or("", |(parent, _)| parent);
            }
        }
        directories
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directory_above_damage_is_damaged() {
        let report = VerifyReport {
            missing: vec!["a/b/c.mov".into()],
            new: vec!["a/d.mov".into()],
            ..Default::default()
        };
        let mut damaged: Vec<String> = report.damaged(&[]).into_iter().collect();
        damaged.sort();
        assert_eq!(damaged, ["", "a", "a/b", "a/b/c.mov", "a/d.mov"]);
    }
}
