//! Verifies a directory against its MHL 1.1 lists.
use super::super::FOLDER;
use super::super::folder::Folder;
use super::super::ignore::{Ignore, default_patterns};
use super::super::model::MhlError;
use super::super::report::VerifyReport;
use super::super::tree::{children, has_history, join, leads_nowhere};
use super::{Listed, Lists, is_list};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use storage::hash::{HashError, hash_open_file};
use tokio_util::sync::CancellationToken;

/// What a tree holds.
struct Tree<'a> {
    root: &'a Folder,
    ignored: Ignore,
    /// Files, by path relative to the root.
    files: Vec<String>,
    /// Directories with an ASC MHL history, which is verified by itself.
    histories: Vec<String>,
    report: VerifyReport,
}

/// Verifies the tree below `root` against the MHL 1.1 lists in it; returns the directories in it that have an ASC MHL
/// history instead. `None` when the root itself has one, or when there is no list.
pub(in super::super) fn verify(
    root: &Folder,
    threads: usize,
    cancel: &CancellationToken,
) -> Result<Option<(VerifyReport, Vec<String>)>, MhlError> {
    if root.entry(FOLDER).is_ok() {
        return Ok(None);
    }
    let ignored = Ignore::new(&default_patterns());
    let mut tree = Tree {
        root,
        ignored,
        files: Vec::new(),
        histories: Vec::new(),
        report: VerifyReport::default(),
    };
    tree.walk(root.again()?, "", cancel)?;
    let Tree {
        files,
        histories,
        report: walked,
        ..
    } = tree;
    let mut lists = Lists::default();
    for path in files.iter().filter(|path| is_list(path)) {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        match root
            .below(directory)
            .and_then(|folder| lists.read(&folder, directory, name))
        {
            Err(MhlError::Linked(_)) => {}
            read => read?,
        }
    }
    let mut report = lists.report();
    if report.generations == 0 {
        return Ok(None);
    }
    report.take(walked, "");
    report
        .new
        .extend(files.into_iter().filter(|path| lists.is_new(path)));
    let (files, next, found) = (
        lists.files.into_iter().collect::<Vec<_>>(),
        AtomicUsize::new(0),
        Mutex::new(report),
    );
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some((path, listed)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    check(root, path, listed, &found, cancel);
                }
            });
        }
    });
    if cancel.is_cancelled() {
        return Err(MhlError::Cancelled);
    }
    Ok(Some((found.into_inner(), histories)))
}

impl Tree<'_> {
    fn walk(
        &mut self,
        directory: Folder,
        relative: &str,
        cancel: &CancellationToken,
    ) -> Result<(), MhlError> {
        if cancel.is_cancelled() {
            return Err(MhlError::Cancelled);
        }
        let listed = children(&directory, |name, directory| {
            self.ignored.matches(&join(relative, name), directory)
        })?;
        drop(directory);
        self.report.take_exceptions(relative, &listed);
        for child in listed.children {
            let at = join(relative, &child.name);
            if !child.directory {
                self.files.push(at);
                continue;
            }
            let below = match self.root.below(&at) {
                Ok(below) if has_history(&below) => {
                    self.histories.push(at);
                    continue;
                }
                below => below,
            };
            match below.and_then(|below| self.walk(below, &at, cancel)) {
                Err(MhlError::Io { source, .. }) => {
                    self.report.unreadable.push((at, source.to_string()))
                }
                Err(error @ MhlError::Linked(_)) => {
                    self.report.unreadable.push((at, error.to_string()))
                }
                walked => walked?,
            }
        }
        Ok(())
    }
}

fn check(
    root: &Folder,
    path: &str,
    listed: &Listed,
    report: &Mutex<VerifyReport>,
    cancel: &CancellationToken,
) {
    let opened = root
        .open_through_links(path)
        .and_then(|file| file.metadata().map(|found| (file, found)));
    let (file, size) = match opened {
        Ok((file, found)) if found.is_file() => (file, found.len()),
        Err(error) if !leads_nowhere(&error) => {
            return report
                .lock()
                .unreadable
                .push((path.to_owned(), error.to_string()));
        }
        _ => return report.lock().missing.push(path.to_owned()),
    };
    let algorithms = listed.algorithms(path, size, &mut report.lock());
    if algorithms.is_empty() {
        return;
    }
    match hash_open_file(&file, &algorithms, cancel) {
        Ok((digests, bytes)) => listed.compare(path, &digests, bytes, &mut report.lock()),
        Err(HashError::Cancelled) => {}
        Err(HashError::Read(error)) => report
            .lock()
            .unreadable
            .push((path.to_owned(), error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::model::hash::HashAlgorithm;
    use std::path::Path;
    use storage::hash::hash_bytes;

    fn list(hashes: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<hashlist version=\"1.1\">\n<creatorinfo><name>x</name><tool>y</tool>\
             </creatorinfo>{hashes}</hashlist>\n"
        )
    }

    fn hash(path: &str, bytes: usize, hash: &str) -> String {
        format!(
            "<hash><file>{path}</file><size>{bytes}</size>{hash}<hashdate>2016-01-01T00:00:00Z</hashdate></hash>"
        )
    }

    fn verified(root: &Path) -> VerifyReport {
        let root = Folder::open(root).expect("opened");
        verify(&root, 2, &CancellationToken::new())
            .expect("readable")
            .expect("MHL 1.1")
            .0
    }

    #[test]
    fn lists_beside_the_media_are_verified() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let root = dir.path();
        std::fs::create_dir(root.join("Clips")).expect("created");
        std::fs::write(root.join("Clips/a&b.mov"), b"one").expect("written");
        std::fs::write(root.join("b.mov"), b"two").expect("written");
        let text = |algorithm, content: &[u8]| hash_bytes(algorithm, content).text;
        let little: String = hash_bytes(HashAlgorithm::Xxh64, b"two")
            .bytes()
            .expect("valid")
            .iter()
            .rev()
            .map(|b| format!("{b:02x}"))
            .collect();
        let whole = list(
            &[
                hash(
                    "Clips/a&amp;b.mov",
                    3,
                    &format!(
                        "<md5>{}</md5>",
                        text(HashAlgorithm::Md5, b"one").to_uppercase()
                    ),
                ),
                hash(
                    "b.mov",
                    3,
                    &format!(
                        "<xxhash64>{little}</xxhash64><xxhash64be>{}</xxhash64be>",
                        text(HashAlgorithm::Xxh64, b"two")
                    ),
                ),
            ]
            .concat(),
        );
        std::fs::write(root.join("card.mhl"), &whole).expect("written");
        let report = verified(root);
        assert!(
            report.is_intact() && report.files == 2 && report.generations == 1,
            "{report:?}"
        );

        std::fs::write(root.join("b.mov"), b"TWO").expect("written");
        std::fs::write(root.join("new.mov"), b"3").expect("written");
        std::fs::remove_file(root.join("Clips/a&b.mov")).expect("removed");
        let report = verified(root);
        assert_eq!(
            (report.missing, report.new),
            (vec!["Clips/a&b.mov".to_owned()], vec!["new.mov".to_owned()])
        );
        assert_eq!(report.mismatched[0].path, "b.mov");

        std::fs::write(root.join("b.mov"), b"longer").expect("written");
        assert_eq!(verified(root).mismatched[0].found, "6 bytes");
        std::fs::write(root.join("card.mhl"), &whole[..whole.len() - 20]).expect("written");
        assert!(verified(root).broken[0].contains("card.mhl"));
    }

    #[test]
    fn what_cannot_be_proved_is_not_intact() {
        let dir = tempfile::tempdir().expect("a temp dir");
        std::fs::write(dir.path().join("a.mov"), b"one").expect("written");
        for listed in ["<xxhash>123456</xxhash>", "<null/>"] {
            std::fs::write(dir.path().join("x.mhl"), list(&hash("a.mov", 3, listed)))
                .expect("written");
            let report = verified(dir.path());
            assert_eq!(
                (report.is_intact(), report.unreadable.len()),
                (false, 1),
                "{report:?}"
            );
        }
        for path in ["../a.mov", "/etc/passwd"] {
            std::fs::write(dir.path().join("x.mhl"), list(&hash(path, 3, "<null/>")))
                .expect("written");
            assert_eq!(verified(dir.path()).broken.len(), 1, "{path}");
        }
        std::fs::create_dir(dir.path().join("ascmhl")).expect("created");
        let root = Folder::open(dir.path()).expect("opened");
        assert!(
            verify(&root, 1, &CancellationToken::new())
                .expect("readable")
                .is_none(),
            "a history comes first"
        );
    }
}
