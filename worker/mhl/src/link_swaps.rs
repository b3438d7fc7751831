//! Symbolic links that take the place of a directory while a tree is sealed, verified or taken over. The moment is known:
//! a large file is open while it is hashed, and `/proc/self/fd` shows it.
use super::import::import;
use super::journal::{self, DIRECTORY, Record};
use super::seal::{SealReport, seal};
use super::source::Source;
use super::verify::{VerifyReport, verify};
use super::{FOLDER, MhlError};
use protocol::id::WorkerId;
use protocol::model::hash::HashAlgorithm;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use storage::{Durability, Root, Roots};
use tokio_util::sync::CancellationToken;

/// A file without content on disk that takes long enough to hash.
const LARGE_BYTES: u64 = 256 << 20;
/// How long the large file is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

struct Trees {
    dir: tempfile::TempDir,
}

impl Trees {
    /// `root` and `outside`, each with `files`; their content is the name of the tree.
    fn new(files: &[&str]) -> Trees {
        let trees = Trees {
            dir: tempfile::tempdir().expect("a temp dir"),
        };
        for tree in ["root", "outside"] {
            for file in files {
                trees.write(&format!("{tree}/{file}"), tree.as_bytes());
            }
        }
        trees
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, content: &[u8]) {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().expect("below")).expect("created");
        std::fs::write(path, content).expect("written");
    }

    fn large(&self, path: &str) -> PathBuf {
        self.write(path, b"");
        let file = std::fs::File::options()
            .write(true)
            .open(self.at(path))
            .expect("opened");
        file.set_len(LARGE_BYTES).expect("grown");
        self.at(path)
    }

    /// Replaces `directory` by a link to `outside`, and moves the directory out of the trees.
    fn swap(&self, directory: &str, outside: &str) {
        std::fs::rename(self.at(directory), self.at("moved")).expect("moved");
        symlink(self.at(outside), self.at(directory)).expect("linked");
    }

    /// Everything outside: paths and contents.
    fn outside(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let (mut open, mut found) = (vec![self.at("outside")], Vec::new());
        while let Some(directory) = open.pop() {
            for entry in std::fs::read_dir(directory).expect("listed") {
                let path = entry.expect("an entry").path();
                let content = if path.is_dir() {
                    Vec::new()
                } else {
                    std::fs::read(&path).expect("read")
                };
                if path.is_dir() {
                    open.push(path.clone());
                }
                found.push((path, content));
            }
        }
        found.sort();
        found
    }

    fn seal(&self, tree: &str) -> Result<SealReport, MhlError> {
        seal(
            &self.at(tree),
            "job",
            HashAlgorithm::Xxh128,
            &CancellationToken::new(),
        )
    }

    fn verify(&self) -> VerifyReport {
        verify(&self.at("root"), 1, &CancellationToken::new()).expect("verified")
    }
}

/// Does `work`, and `swap` as soon as `file` is open in it.
fn once_open<T>(file: &Path, swap: impl FnOnce() + Send, work: impl FnOnce() -> T) -> T {
    let is_open = || {
        let entries = std::fs::read_dir("/proc/self/fd").expect("listed");
        entries
            .flatten()
            .any(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target == file))
    };
    std::thread::scope(|scope| {
        let swapped = scope.spawn(move || {
            let begun = Instant::now();
            while !is_open() {
                assert!(
                    begun.elapsed() < PATIENCE,
                    "{} is not opened",
                    file.display()
                );
                std::thread::sleep(Duration::from_micros(200));
            }
            swap();
        });
        let done = work();
        swapped.join().expect("swapped");
        done
    })
}

#[test]
fn directory_swapped_before_it_is_sealed_is_refused() {
    let trees = Trees::new(&["b/x.mov"]);
    let large = trees.large("root/a/large.bin");
    let outside = trees.outside();
    let sealed = once_open(
        &large,
        || trees.swap("root/b", "outside/b"),
        || trees.seal("root"),
    );
    assert!(
        matches!(&sealed, Err(MhlError::Linked(path)) if path.ends_with("root/b")),
        "{sealed:?}"
    );
    assert_eq!(trees.outside(), outside);
}

#[test]
fn nested_history_swapped_before_it_is_sealed_is_not_continued_outside() {
    let trees = Trees::new(&["b/x.mov"]);
    for nested in ["root/b", "outside/b"] {
        trees.seal(nested).expect("sealed");
        trees.write(&format!("{nested}/new.mov"), b"new");
    }
    let large = trees.large("root/a/large.bin");
    let outside = trees.outside();
    let sealed = once_open(
        &large,
        || trees.swap("root/b", "outside/b"),
        || trees.seal("root"),
    );
    assert!(matches!(sealed, Err(MhlError::Linked(_))), "{sealed:?}");
    assert_eq!(trees.outside(), outside);
}

#[test]
fn nested_history_swapped_while_it_is_sealed_is_written_where_it_was_opened() {
    let trees = Trees::new(&["b/x.mov"]);
    for nested in ["root/b", "outside/b"] {
        trees.seal(nested).expect("sealed");
    }
    let large = trees.large("root/b/large.bin");
    let outside = trees.outside();
    once_open(
        &large,
        || trees.swap("root/b", "outside/b"),
        || trees.seal("root"),
    )
    .expect("sealed");
    assert_eq!(trees.outside(), outside);
    let files = std::fs::read_dir(trees.at("moved").join(FOLDER))
        .expect("listed")
        .count();
    assert_eq!(files, 3, "two generations and the chain");
}

#[test]
fn first_generation_of_a_swapped_directory_is_written_where_it_was_opened() {
    let trees = Trees::new(&["b/x.mov"]);
    std::fs::create_dir(trees.at("root/b").join(FOLDER)).expect("created");
    let large = trees.large("root/b/large.bin");
    let outside = trees.outside();
    once_open(
        &large,
        || trees.swap("root/b", "outside/b"),
        || trees.seal("root"),
    )
    .expect("sealed");
    assert_eq!(trees.outside(), outside);
    assert!(
        trees
            .at("moved")
            .join(FOLDER)
            .join(super::CHAIN_FILE)
            .is_file()
    );
}

#[test]
fn journal_swapped_during_a_seal_removes_nothing_outside() {
    let trees = Trees::new(&["job/keep.jsonl", "x.mov"]);
    let large = trees.large("root/large.bin");
    let outside = trees.outside();
    let swap = || trees.swap(&format!("root/{DIRECTORY}"), "outside");
    let sealed = once_open(&large, swap, || trees.seal("root"));
    assert!(
        matches!(&sealed, Err(MhlError::Linked(path)) if path.ends_with(DIRECTORY)),
        "{sealed:?}"
    );
    assert_eq!(trees.outside(), outside);
}

#[test]
fn journal_behind_a_link_is_neither_read_nor_removed() {
    let trees = Trees::new(&["x.mov"]);
    let record = Record {
        path: "x.mov".into(),
        bytes: 4,
        modified_ns: 0,
        hashed_at_us: 5,
        hashes: vec!["xxh3:78af5f94892f3950".into()],
        action: journal::Action::Copied,
        tag: None,
        source: None,
    };
    let outside = Root::create(&trees.at("outside")).expect("opened");
    journal::append(
        &outside,
        "job",
        &WorkerId("w".into()),
        &[record],
        Durability::PageCache,
    )
    .expect("written");
    let elsewhere = trees.outside();
    let own = trees.at("root").join(DIRECTORY);
    for (linked, target) in [("", ""), ("job", "job"), ("job/w.jsonl", "job/w.jsonl")] {
        let link = own.join(linked);
        std::fs::create_dir_all(link.parent().expect("below")).expect("created");
        let target = trees.at("outside").join(DIRECTORY).join(target);
        // The tree's own directory has no slash at its end as the name of a link.
        symlink(target, link.components().collect::<PathBuf>()).expect("linked");
        let sealed = trees.seal("root");
        assert!(
            matches!(sealed, Err(MhlError::Linked(_))),
            "{linked:?}: {sealed:?}"
        );
        assert_eq!(trees.outside(), elsewhere, "{linked:?}");
        std::fs::remove_file(link.components().collect::<PathBuf>()).expect("removed");
    }
    trees.seal("root").expect("sealed");
}

#[test]
fn directory_swapped_before_it_is_verified_is_not_hashed_outside() {
    let trees = Trees::new(&["b/x.mov"]);
    std::fs::write(trees.at("outside/b/x.mov"), "root").expect("written");
    // More files than wait for a thread, so that the walk waits for the large one.
    for n in 0..300 {
        trees.write(&format!("root/a/n{n}.mov"), b"x");
    }
    let large = trees.large("root/a/a-large.bin");
    trees.seal("root").expect("sealed");
    let report = once_open(
        &large,
        || trees.swap("root/b", "outside/b"),
        || trees.verify(),
    );
    assert!(
        !report.is_intact() && report.mismatched.is_empty(),
        "{report:?}"
    );
    let (path, reason) = &report.unreadable[0];
    assert!(
        path == "b" && reason.contains("symbolic link"),
        "{report:?}"
    );
    assert_eq!(report.files, 301);
}

#[test]
fn file_of_a_directory_swapped_before_it_is_hashed_is_unreadable() {
    let trees = Trees::new(&["b/x.mov"]);
    let large = trees.large("root/b/a-large.bin");
    trees.seal("root").expect("sealed");
    let report = once_open(
        &large,
        || trees.swap("root/b", "outside/b"),
        || trees.verify(),
    );
    assert!(
        report.mismatched.is_empty(),
        "a hash of what is outside: {report:?}"
    );
    assert!(
        report.unreadable.len() == 1 && report.unreadable[0].0 == "b/x.mov",
        "{report:?}"
    );
}

#[test]
fn files_beside_an_mhl_1_1_list_are_not_hashed_outside() {
    let trees = Trees::new(&["b/x.mov"]);
    let hash = |content: &[u8]| storage::hash::hash_bytes(HashAlgorithm::Md5, content).text;
    let entry = format!(
        "<hash><file>b/x.mov</file><md5>{}</md5></hash>",
        hash(b"outside")
    );
    trees.write(
        "root/card.mhl",
        format!("<hashlist version=\"1.1\">{entry}</hashlist>").as_bytes(),
    );
    trees.swap("root/b", "outside/b");
    let report = trees.verify();
    assert!(
        !report.is_intact() && report.unreadable[0].0 == "b/x.mov",
        "{report:?}"
    );
}

#[test]
fn history_of_a_source_behind_a_link_is_not_taken_over() {
    let trees = Trees::new(&["A/x.mov"]);
    for tree in ["root/A", "outside/A"] {
        trees.seal(tree).expect("sealed");
    }
    let (from, cancel) = (trees.at("root"), CancellationToken::new());
    let source = super::import::source(&from, &Roots::default())
        .expect("opened")
        .expect("there");
    let chains = super::proof::proven(&source, &cancel).expect("proven");
    assert_eq!(chains.len(), 1);
    trees.swap("root/A", "outside/A");
    std::fs::create_dir(trees.at("copy")).expect("created");
    let copied = super::import::import_chains(
        &source,
        (&trees.at("copy"), &Roots::default()),
        &chains,
        None,
        &cancel,
    );
    assert!(matches!(copied.map(|_| ()), Err(MhlError::Linked(path)) if path.ends_with("root/A")));
    assert!(!trees.at("copy/A").join(FOLDER).exists());
    // Nor is it held against a copy.
    let held = Source::default().add(&source, "A", &chains["A"], &[], &cancel);
    assert!(matches!(held, Err(MhlError::Linked(_))));
}

#[test]
fn history_is_taken_over_to_the_tree_itself() {
    let trees = Trees::new(&["A/x.mov"]);
    trees.seal("root/A").expect("sealed");
    let outside = trees.outside();
    std::fs::create_dir(trees.at("copy")).expect("created");
    symlink(trees.at("outside/A"), trees.at("copy/A")).expect("linked");
    let imported = import(
        &trees.at("root"),
        &trees.at("copy"),
        &Roots::default(),
        &CancellationToken::new(),
    );
    assert!(matches!(imported.map(|_| ()), Err(MhlError::Linked(_))));
    assert_eq!(trees.outside(), outside);
}
