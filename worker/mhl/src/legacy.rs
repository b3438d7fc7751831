//! MHL 1.1: lists of hashes that lie beside the media, as tools wrote them before ASC MHL. They are verified, never continued.
use super::folder::{Folder, kind};
use super::model::MhlError;
use super::read::{append_text, parse, relative};
use super::report::{Mismatch, VerifyReport};
use super::tree::{children, join, leads_nowhere};
use super::{FOLDER, ignore};
use parking_lot::Mutex;
use protocol::wire::unit::{HashAlgorithm, parse_hash};
use quick_xml::events::Event;
use quick_xml::reader::Reader;
use rustix::fs::FileType;
use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io::BufReader;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use storage::hash::{Digest, HashError, hash_open_file};
use tokio_util::sync::CancellationToken;

/// What the lists say of one file.
#[derive(Debug, Clone, Default, PartialEq)]
struct Listed {
    bytes: Option<u64>,
    digests: Vec<Digest>,
    /// Whether there is a hash by an algorithm that is not computed here.
    other: bool,
}

/// Verifies the tree below `root` against the MHL 1.1 files at its root. `None` when the tree has an ASC MHL history, or no
/// such file.
pub(super) fn verify(
    root: &Folder,
    threads: usize,
    cancel: &CancellationToken,
) -> Result<Option<VerifyReport>, MhlError> {
    if root.entry(FOLDER).is_ok() {
        return Ok(None);
    }
    let lists = lists(root)?;
    if lists.is_empty() {
        return Ok(None);
    }
    let mut report = VerifyReport { generations: lists.len() as u64, ..VerifyReport::default() };
    let mut files: BTreeMap<String, Listed> = BTreeMap::new();
    for list in &lists {
        match read(root, list, |path, listed| files.entry(path).or_default().add(listed)) {
            Ok(()) => {}
            Err(error @ MhlError::Malformed { .. }) => report.broken.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    let own: HashSet<OsString> = lists.into_iter().collect();
    unlisted(root, root.again()?, "", &files, &own, &mut report)?;
    let (files, next, found) = (files.into_iter().collect::<Vec<_>>(), AtomicUsize::new(0), Mutex::new(report));
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
    let mut report = found.into_inner();
    report.sort();
    Ok(Some(report))
}

impl Listed {
    fn add(&mut self, other: Listed) {
        self.bytes = other.bytes.or(self.bytes);
        self.other |= other.other;
        self.digests.extend(other.digests);
    }
}

/// Names of the MHL 1.1 files at the root, in order.
fn lists(root: &Folder) -> Result<Vec<OsString>, MhlError> {
    let mut found = Vec::new();
    for (name, _) in root.entries()? {
        let named = Path::new(&name).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mhl"));
        let is_file = || root.entry(&name).is_ok_and(|found| kind(&found) == FileType::RegularFile);
        // macOS leaves `._` files on foreign disks.
        if named && !name.to_string_lossy().starts_with("._") && is_file() {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

/// Reads a list; hands each file to `each`.
fn read(root: &Folder, name: &OsStr, mut each: impl FnMut(String, Listed)) -> Result<(), MhlError> {
    let (file, path) = (root.open_file(name, false)?, root.at(name));
    let mut reader = Reader::from_reader(BufReader::new(file));
    let (mut stack, mut text): (Vec<String>, String) = (Vec::new(), String::new());
    let (mut name, mut listed, mut complete) = (String::new(), Listed::default(), false);
    parse(&mut reader, &path, |event| {
        match event {
            Event::Start(start) => {
                text.clear();
                stack.push(start.local_name().as_ref().to_owned());
            }
            Event::End(_) => {
                let element = stack.pop().unwrap_or_default();
                let value = text.trim();
                match (stack.last().map(String::as_str), element.as_str()) {
                    (None, "hashlist") => complete = true,
                    (Some("hashlist"), "hash") if !name.is_empty() => {
                        each(std::mem::take(&mut name), std::mem::take(&mut listed));
                    }
                    (Some("hash"), "file") => name = relative(text.clone())?,
                    (Some("hash"), "size") => {
                        listed.bytes = Some(value.parse().map_err(|_| format!("size {value:?} is no number"))?);
                    }
                    (Some("hash"), kind) => take_hash(&mut listed, kind, value)?,
                    _ => {}
                }
                text.clear();
            }
            other => append_text(other, &mut text)?,
        }
        Ok(())
    })?;
    if complete {
        return Ok(());
    }
    let problem = "this is no complete MHL 1.1 list".to_owned();
    Err(MhlError::Malformed { path, position: reader.buffer_position(), problem })
}

fn take_hash(listed: &mut Listed, kind: &str, value: &str) -> Result<(), String> {
    let algorithm = match kind {
        "md5" => HashAlgorithm::Md5,
        "sha1" => HashAlgorithm::Sha1,
        "xxhash64be" | "xxhash64" => HashAlgorithm::Xxh64,
        "xxhash" => {
            listed.other = true;
            return Ok(());
        }
        _ => return Ok(()),
    };
    let (algorithm, text) = parse_hash(&format!("{}:{value}", algorithm.as_str()))?;
    let digest = Digest { algorithm, text };
    // Without `be` the bytes stand in the order of a little-endian machine.
    let digest = match (kind, digest.bytes()) {
        ("xxhash64", Some(bytes)) => {
            let text = bytes.iter().rev().map(|byte| format!("{byte:02x}")).collect();
            Digest { algorithm, text }
        }
        _ => digest,
    };
    listed.digests.push(digest);
    Ok(())
}

/// Files in the tree that no list has.
fn unlisted(
    root: &Folder,
    directory: Folder,
    relative: &str,
    files: &BTreeMap<String, Listed>,
    own: &HashSet<OsString>,
    report: &mut VerifyReport,
) -> Result<(), MhlError> {
    let ignored = ignore::Ignore::new(&ignore::default_patterns());
    let listed = children(&directory, |name, directory| ignored.matches(&join(relative, name), directory))?;
    drop(directory);
    report.take_exceptions(relative, &listed);
    for child in listed.children {
        let at = join(relative, &child.name);
        if child.directory {
            match root.below(&at).and_then(|below| unlisted(root, below, &at, files, own, report)) {
                Err(MhlError::Io { source, .. }) => report.unreadable.push((at, source.to_string())),
                Err(error @ MhlError::Linked(_)) => report.unreadable.push((at, error.to_string())),
                other => other?,
            }
        } else if !files.contains_key(&at) && !own.contains(OsStr::new(&at)) {
            report.new.push(at);
        }
    }
    Ok(())
}

fn check(root: &Folder, path: &str, listed: &Listed, report: &Mutex<VerifyReport>, cancel: &CancellationToken) {
    let mut algorithms: Vec<HashAlgorithm> = listed.digests.iter().map(|digest| digest.algorithm).collect();
    algorithms.sort_unstable();
    algorithms.dedup();
    let opened = root.open_through_links(path).and_then(|file| file.metadata().map(|found| (file, found)));
    let (file, size) = match opened {
        Ok((file, found)) if found.is_file() => (file, found.len()),
        Err(error) if !leads_nowhere(&error) => {
            return report.lock().unreadable.push((path.to_owned(), error.to_string()));
        }
        _ => return report.lock().missing.push(path.to_owned()),
    };
    if let Some(recorded) = listed.bytes.filter(|recorded| *recorded != size) {
        let (recorded, found) = (format!("{recorded} bytes"), format!("{size} bytes"));
        return report.lock().mismatched.push(Mismatch { path: path.to_owned(), recorded, found });
    }
    if algorithms.is_empty() {
        let why = if listed.other {
            "only a hash by XXH32 is listed, which is not computed here"
        } else {
            "no hash is listed"
        };
        return report.lock().unreadable.push((path.to_owned(), why.to_owned()));
    }
    match hash_open_file(&file, &algorithms, cancel) {
        Ok((digests, bytes)) => {
            let mut report = report.lock();
            report.files += 1;
            report.bytes += bytes;
            let differs = |recorded: &&Digest| digests.iter().all(|digest| digest != *recorded);
            if let Some(recorded) = listed.digests.iter().find(differs) {
                let found = digests.iter().find(|digest| digest.algorithm == recorded.algorithm);
                let found = found.map_or_else(String::new, Digest::to_string);
                report.mismatched.push(Mismatch { path: path.to_owned(), recorded: recorded.to_string(), found });
            }
        }
        Err(HashError::Cancelled) => {}
        Err(HashError::Read(error)) => report.lock().unreadable.push((path.to_owned(), error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::hash::hash_bytes;

    fn list(hashes: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<hashlist version=\"1.1\">\n<creatorinfo><name>x</name><tool>y</tool>\
             </creatorinfo>{hashes}</hashlist>\n"
        )
    }

    fn hash(path: &str, bytes: usize, hash: &str) -> String {
        format!("<hash><file>{path}</file><size>{bytes}</size>{hash}<hashdate>2016-01-01T00:00:00Z</hashdate></hash>")
    }

    fn verified(root: &Path) -> VerifyReport {
        verify(&Folder::open(root).expect("opened"), 2, &CancellationToken::new()).expect("readable").expect("MHL 1.1")
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
                    &format!("<md5>{}</md5>", text(HashAlgorithm::Md5, b"one").to_uppercase()),
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
        assert!(report.is_intact() && report.files == 2 && report.generations == 1, "{report:?}");

        std::fs::write(root.join("b.mov"), b"TWO").expect("written");
        std::fs::write(root.join("new.mov"), b"3").expect("written");
        std::fs::remove_file(root.join("Clips/a&b.mov")).expect("removed");
        let report = verified(root);
        assert_eq!((report.missing, report.new), (vec!["Clips/a&b.mov".to_owned()], vec!["new.mov".to_owned()]));
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
            std::fs::write(dir.path().join("x.mhl"), list(&hash("a.mov", 3, listed))).expect("written");
            let report = verified(dir.path());
            assert_eq!((report.is_intact(), report.unreadable.len()), (false, 1), "{report:?}");
        }
        for path in ["../a.mov", "/etc/passwd"] {
            std::fs::write(dir.path().join("x.mhl"), list(&hash(path, 3, "<null/>"))).expect("written");
            assert_eq!(verified(dir.path()).broken.len(), 1, "{path}");
        }
        std::fs::create_dir(dir.path().join("ascmhl")).expect("created");
        let root = Folder::open(dir.path()).expect("opened");
        assert!(verify(&root, 1, &CancellationToken::new()).expect("readable").is_none(), "a history comes first");
    }
}
