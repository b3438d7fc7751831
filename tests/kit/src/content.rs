//! Bytes that repeat themselves, and whole trees.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use walkdir::WalkDir;

/// Bytes that look random and are the same for the same seed.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut content = vec![0; length];
    fastrand::Rng::with_seed(seed).fill(&mut content);
    content
}

/// Every file below a directory by relative path, `ascmhl` directories left out.
pub fn files(root: &Path) -> BTreeMap<String, PathBuf> {
    let walk = WalkDir::new(root)
        .into_iter()
        .filter_entry(|entry| entry.file_name() != "ascmhl");
    let entries = walk
        .filter_map(Result::ok)
        .filter(|entry| !entry.file_type().is_dir());
    let relative = |path: &Path| {
        path.strip_prefix(root)
            .map(|p| p.to_string_lossy().into_owned())
    };
    entries
        .filter_map(|entry| Some((relative(entry.path()).ok()?, entry.into_path())))
        .collect()
}

/// Change time and inode of each file, by relative path. A rewrite changes them even when it restores the modification time.
pub fn changed_at(root: &Path) -> BTreeMap<String, (i64, i64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let stamp = |path: &PathBuf| {
        fs::metadata(path).map_or((0, 0, 0), |m| (m.ctime(), m.ctime_nsec(), m.ino()))
    };
    files(root)
        .into_iter()
        .map(|(name, path)| (name, stamp(&path)))
        .collect()
}

/// Modification time of each file, by relative path.
pub fn modified_at(root: &Path) -> BTreeMap<String, Option<SystemTime>> {
    let modified = |path: PathBuf| fs::metadata(path).and_then(|m| m.modified()).ok();
    files(root)
        .into_iter()
        .map(|(name, path)| (name, modified(path)))
        .collect()
}

/// Asserts that a tree holds exactly these files, each whole and right, and nothing left over.
///
/// # Panics
/// When a file is missing, too many, or differs.
#[track_caller]
pub fn assert_tree(root: &Path, expected: &BTreeMap<String, Vec<u8>>) {
    let found = files(root);
    let names = |left: Vec<&String>| left.into_iter().cloned().collect::<Vec<_>>();
    let missing = names(
        expected
            .keys()
            .filter(|name| !found.contains_key(*name))
            .collect(),
    );
    let extra = names(
        found
            .keys()
            .filter(|name| !expected.contains_key(*name))
            .collect(),
    );
    assert!(
        missing.is_empty() && extra.is_empty(),
        "missing: {missing:?}, too many: {extra:?}"
    );
    for (name, content) in expected {
        let there = fs::read(&found[name]).expect("a file that was listed can be read");
        assert!(
            there == *content,
            "{name} differs: {} bytes, expected {}",
            there.len(),
            content.len()
        );
    }
}
