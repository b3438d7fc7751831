//! Directory hashes of a tree, computed again from its files and held against those that a history records.
use super::directory_hashes::DirectoryHashes;
use super::report::Mismatch;
use super::tree::{DirectoryHash, join};
use protocol::model::hash::HashAlgorithm;
use std::collections::{HashMap, HashSet};
use storage::hash::Digest;

/// A tree as it was met. Paths are relative to its root, which is the empty path.
#[derive(Default)]
pub(super) struct Tally {
    directories: HashMap<String, Met>,
    /// What each file was hashed to, by its number.
    digests: Vec<Vec<Digest>>,
}

#[derive(Default)]
struct Met {
    /// Name and number.
    files: Vec<(String, usize)>,
    directories: Vec<String>,
}

/// Content hash and structure hash.
type Pair = (Digest, Digest);

impl Tally {
    /// A directory was met, or is known to be there.
    pub(super) fn directory(&mut self, path: &str) {
        if self.directories.contains_key(path) {
            return;
        }
        self.directories.insert(path.to_owned(), Met::default());
        if !path.is_empty() {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            self.directory(parent);
            self.directories
                .entry(parent.to_owned())
                .or_default()
                .directories
                .push(name.to_owned());
        }
    }

    /// A file was met; returns its number.
    pub(super) fn file(&mut self, path: &str) -> usize {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.directory(parent);
        let number = self.digests.len();
        self.digests.push(Vec::new());
        self.directories
            .entry(parent.to_owned())
            .or_default()
            .files
            .push((name.to_owned(), number));
        number
    }

    /// The file of a number was hashed.
    pub(super) fn hashed(&mut self, number: usize, digests: Vec<Digest>) {
        if let Some(slot) = self.digests.get_mut(number) {
            *slot = digests;
        }
    }

    /// Directories whose hashes differ from the recorded ones. Those above a path in `damaged` are left out: their hashes
    /// must differ, and the damage is reported already. `recorded` says whether a history knows a directory: an empty
    /// directory that came later is not checked.
    pub(super) fn check(
        &self,
        prefix: &str,
        sealed: &DirectoryHashes,
        damaged: &HashSet<String>,
        recorded: &dyn Fn(&str) -> bool,
    ) -> Vec<Mismatch> {
        let Some(algorithm) = sealed.algorithm else {
            return Vec::new();
        };
        let mut computed = HashMap::new();
        let mut found = Vec::new();
        for (relative, (content, structure)) in &sealed.directories {
            let path = if relative.is_empty() {
                prefix.to_owned()
            } else {
                join(prefix, relative)
            };
            if damaged.contains(&path) || !self.directories.contains_key(&path) {
                continue;
            }
            let Some((is_content, is_structure)) =
                self.compute(&path, algorithm, recorded, &mut computed)
            else {
                continue;
            };
            let differing = if is_content != *content {
                Some((content, is_content))
            } else {
                structure
                    .as_ref()
                    .filter(|structure| **structure != is_structure)
                    .map(|wanted| (wanted, is_structure))
            };
            found.extend(differing.map(|(wanted, is)| Mismatch {
                path: if path.is_empty() {
                    "./".to_owned()
                } else {
                    format!("{path}/")
                },
                recorded: wanted.to_string(),
                found: is.to_string(),
            }));
        }
        found
    }

    /// The hashes of a directory; `None` when a file below was not hashed with the algorithm.
    fn compute(
        &self,
        path: &str,
        algorithm: HashAlgorithm,
        recorded: &dyn Fn(&str) -> bool,
        computed: &mut HashMap<String, Option<Pair>>,
    ) -> Option<Pair> {
        if let Some(known) = computed.get(path) {
            return known.clone();
        }
        let pair = self.directories.get(path).and_then(|met| {
            let mut hash = DirectoryHash::new(algorithm);
            for name in &met.directories {
                let below = join(path, name);
                if !self.is_void(&below, recorded) {
                    let (content, structure) =
                        self.compute(&below, algorithm, recorded, computed)?;
                    hash.push(name, &content, &structure);
                }
            }
            for (name, number) in &met.files {
                let digest = self
                    .digests
                    .get(*number)?
                    .iter()
                    .find(|digest| digest.algorithm == algorithm)?;
                hash.push(name, digest, digest);
            }
            Some(hash.finish())
        });
        computed.insert(path.to_owned(), pair.clone());
        pair
    }

    /// Whether a directory holds nothing and no history knows it.
    fn is_void(&self, path: &str, recorded: &dyn Fn(&str) -> bool) -> bool {
        let Some(met) = self.directories.get(path) else {
            return true;
        };
        met.files.is_empty()
            && !recorded(path)
            && met
                .directories
                .iter()
                .all(|name| self.is_void(&join(path, name), recorded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::hash::hash_bytes;

    const XXH: HashAlgorithm = HashAlgorithm::Xxh128;

    fn tally(files: &[(&str, &[u8])], directories: &[&str]) -> Tally {
        let mut tally = Tally::default();
        tally.directory("");
        directories.iter().for_each(|path| tally.directory(path));
        for (path, content) in files {
            let number = tally.file(path);
            tally.hashed(number, vec![hash_bytes(XXH, content)]);
        }
        tally
    }

    /// What a seal of the tally would record of these directories.
    fn sealed(tally: &Tally, paths: &[&str]) -> DirectoryHashes {
        let mut sealed = DirectoryHashes {
            algorithm: Some(XXH),
            ..DirectoryHashes::default()
        };
        for path in paths {
            let (content, structure) = tally
                .compute(path, XXH, &|_| true, &mut HashMap::new())
                .expect("hashed");
            sealed
                .directories
                .insert((*path).to_owned(), (content, Some(structure)));
        }
        sealed
    }

    fn differing(tally: &Tally, sealed: &DirectoryHashes, recorded: &[&str]) -> Vec<String> {
        let mut found = tally.check("", sealed, &HashSet::new(), &|path| {
            recorded.contains(&path)
        });
        found.sort();
        found.into_iter().map(|mismatch| mismatch.path).collect()
    }

    #[test]
    fn directories_differ_by_content_name_and_recorded_empty_directories() {
        let files: &[(&str, &[u8])] = &[("a.mov", b"1"), ("d/b.mov", b"2"), ("d/e/c.mov", b"3")];
        let first = tally(files, &["Voice"]);
        let record = sealed(&first, &["", "d", "d/e", "Voice"]);
        let known = ["d", "d/e", "Voice"];
        assert!(differing(&first, &record, &known).is_empty());
        let other = tally(
            &[("a.mov", b"1"), ("d/b.mov", b"2"), ("d/e/c.mov", b"4")],
            &["Voice"],
        );
        assert_eq!(differing(&other, &record, &known), ["./", "d/", "d/e/"]);
        let renamed = tally(
            &[("a.mov", b"1"), ("d/b.mov", b"2"), ("d/e/x.mov", b"3")],
            &["Voice"],
        );
        assert_eq!(
            differing(&renamed, &record, &known),
            ["./", "d/", "d/e/"],
            "the structure differs"
        );
        assert_eq!(
            differing(&tally(files, &[]), &record, &known),
            ["./"],
            "an empty directory that was recorded has gone"
        );
        assert!(
            differing(&tally(files, &["Voice", "new/deep"]), &record, &known).is_empty(),
            "a later empty one"
        );
        let damaged = ["", "d", "d/e"].map(str::to_owned).into();
        assert!(
            other.check("", &record, &damaged, &|_| true).is_empty(),
            "reported already"
        );
    }

    #[test]
    fn directories_without_the_hashes_they_need_are_not_judged() {
        let files: &[(&str, &[u8])] = &[("a.mov", b"1")];
        let record = sealed(&tally(files, &[]), &[""]);
        let mut bare = Tally::default();
        bare.file("a.mov");
        assert!(differing(&bare, &record, &[]).is_empty());
        assert!(
            differing(
                &tally(&[("a.mov", b"2")], &[]),
                &DirectoryHashes::default(),
                &[]
            )
            .is_empty()
        );
    }
}
