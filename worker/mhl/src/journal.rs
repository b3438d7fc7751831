//! What a job landed, line by line, until its MHL generation is written: `<root>/.showrunner/<job>/<worker>.jsonl` in a
//! directory, one object for each execution of a unit in a bucket, where nothing can be appended to.
//!
//! Appended in one write per unit before the unit is reported, so that whatever was reported is here. A line that was
//! torn by a crash is ignored when read; its file is then hashed again when the tree is sealed.
use super::folder::Folder;
use super::model::MhlError;
use bytes::Bytes;
use protocol::id::{Execution, WorkerId};
use protocol::model::location::Scheme;
use rustix::fs::{Mode, OFlags, openat};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use storage::hash::Digest;
use storage::retry::{RetryBudget, retry};
use storage::{
    Attributes, Body, Durability, PARTIAL_SUFFIX, Precondition, PutRequest, Root, Storage,
    StorageError, sync_directories,
};

/// Directory of all journals below a root. Never part of a history.
pub const DIRECTORY: &str = ".showrunner";

/// Copies that contradict the history of their source, in the directory of all journals. No job has this name: its
/// underscore would be written as a code.
pub(super) const REFUSED: &str = "_refused.jsonl";

/// Answers to one object of a journal that may be lost in a row.
const LOST_ANSWERS_MAX: u32 = 3;

/// One landed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Path relative to the root, with `/`.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Modification time of the landed file, nanoseconds since 1970.
    pub modified_ns: i128,
    /// When the file was hashed, microseconds since 1970.
    pub hashed_at_us: i64,
    /// Digests as `algorithm:digest`.
    pub hashes: Vec<String>,
    /// Whether it was copied now, or was there already and proved identical.
    pub action: Action,
    /// In a bucket: what the other side calls this state of it, which tells more than a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Location of the library's own file, whose histories the copy is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// A copy and the library's own file that it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Path of the copy relative to the root, with `/`.
    pub path: String,
    /// Location of the library's own file.
    pub source: String,
    /// Of a copy that was refused: the hashes in the history of its source, which may be away at the next seal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hashes: Vec<String>,
}

/// How a file came to be in a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Copied and verified.
    Copied,
    /// Already there with the same content.
    Verified,
}

/// The location of a source that may have a history around it. Web addresses have none, and carry signatures.
pub fn source_of(location: &str) -> Option<String> {
    Scheme::of(location)
        .is_some_and(Scheme::is_writable)
        .then(|| location.to_owned())
}

impl Record {
    /// The digests that can be read.
    pub fn digests(&self) -> Vec<Digest> {
        self.hashes
            .iter()
            .filter_map(|text| Digest::parse(text).ok())
            .collect()
    }
}

/// Appends a unit's records in one write; with [`Durability::PowerLoss`] they are on disk when this returns.
pub fn append(
    root: &Root,
    job: &str,
    worker: &WorkerId,
    records: &[Record],
    durability: Durability,
) -> io::Result<()> {
    let mut text = Vec::with_capacity(records.len() * 200);
    // A line torn by an earlier failed write must not swallow the first of ours.
    text.push(b'\n');
    for record in records {
        serde_json::to_writer(&mut text, record)?;
        text.push(b'\n');
    }
    let relative = Path::new(DIRECTORY).join(component(job));
    let directory = root.directory(&relative).map_err(io::Error::other)?;
    let flags =
        OFlags::CREATE | OFlags::APPEND | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let name = format!("{}.jsonl", component(&worker.0));
    let mut file = File::from(openat(
        &directory,
        name.as_str(),
        flags,
        Mode::from_raw_mode(0o666),
    )?);
    let new = file.metadata()?.len() == 0;
    file.write_all(&text)?;
    if durability == Durability::PowerLoss {
        file.sync_data()?;
        let mut directories = root.take_created_in();
        if new {
            directories.push(directory);
        }
        sync_directories(&directories)?;
    }
    Ok(())
}

/// Writes the records of one execution of a unit below the tree at `root`, a key. A repeated call replaces itself.
pub async fn put(
    storage: &dyn Storage,
    root: &str,
    job: &str,
    execution: Execution,
    records: &[Record],
) -> Result<(), StorageError> {
    let mut text = Vec::with_capacity(records.len() * 200);
    for record in records {
        let line = serde_json::to_vec(record);
        text.extend(
            line.map_err(|error| StorageError::invalid(storage.location(root), error.to_string()))?,
        );
        text.push(b'\n');
    }
    let root = root.trim_matches('/');
    let above = if root.is_empty() {
        String::new()
    } else {
        format!("{root}/")
    };
    let Execution { unit, epoch } = execution;
    let key = format!(
        "{above}{}{}-{}-{epoch}.jsonl",
        prefix(job),
        unit.step.0,
        unit.packed_part()
    );
    let body = Body::new(vec![Bytes::from(text)], storage.capabilities().checksum);
    let attributes = Attributes {
        content_type: Some("application/jsonl".into()),
        ..Attributes::default()
    };
    // The answer to a journal may be lost: the same again is the same.
    let mut failures = 0;
    loop {
        let precondition = Precondition::Unconditional;
        let request = PutRequest {
            key: &key,
            body: &body,
            attributes: &attributes,
            precondition: &precondition,
        };
        let put = || storage.put(request);
        match retry(RetryBudget::default(), put).await {
            Err(StorageError::Unknown { .. }) if failures < LOST_ANSWERS_MAX => failures += 1,
            put => return put.map(|_| ()),
        }
    }
}

/// What the objects of a job's journal begin with, relative to the tree.
pub(super) fn prefix(job: &str) -> String {
    format!("{DIRECTORY}/{}/", component(job))
}

/// Reads the records of an object of a journal.
pub(super) fn parse(content: &[u8], mut each: impl FnMut(Record)) {
    content
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .for_each(&mut each);
}

/// Directory of one job's journal.
pub fn directory(root: &Path, job: &str) -> PathBuf {
    root.join(DIRECTORY).join(component(job))
}

/// Opens the directory of one job's journal; makes it when it is missing. A symbolic link in its place is refused.
pub(super) fn open(root: &Folder, job: &str) -> Result<Folder, MhlError> {
    root.ensure(DIRECTORY)?.ensure(&component(job))
}

/// The copies that a job made in a tree, and those that an earlier seal refused.
pub(super) fn copies(root: &Folder, job: &str) -> Result<Vec<Copied>, MhlError> {
    let mut copies = Vec::new();
    let Some(journals) = root.find(DIRECTORY)? else {
        return Ok(copies);
    };
    if let Some(journal) = journals.find(component(job))? {
        read(&journal, |record| copies.extend(copied(record)))?;
    }
    copies.extend(refused(&journals)?);
    Ok(copies)
}

/// A record as a copy, when it names its source.
pub(super) fn copied(record: Record) -> Option<Copied> {
    Some(Copied {
        path: record.path,
        source: record.source?,
        hashes: Vec::new(),
    })
}

fn refused(journals: &Folder) -> Result<Vec<Copied>, MhlError> {
    let mut content = Vec::new();
    match journals.open_file(REFUSED, false) {
        Ok(mut file) => file
            .read_to_end(&mut content)
            .map_err(MhlError::io(&journals.at(REFUSED)))?,
        Err(MhlError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    Ok(parse_refused(&content))
}

/// Reads the list of refused copies.
pub(super) fn parse_refused(content: &[u8]) -> Vec<Copied> {
    content
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect()
}

/// Writes the list of refused copies.
pub(super) fn refused_text(refused: &[Copied]) -> Vec<u8> {
    let lines = refused
        .iter()
        .filter_map(|copy| serde_json::to_vec(copy).ok());
    lines
        .flat_map(|line| line.into_iter().chain([b'\n']))
        .collect()
}

/// Keeps the list of refused copies for the next seal of the tree: without it a file without a record in the history
/// would be recorded as an original.
pub(super) fn keep_refused(root: &Folder, refused: &[Copied]) -> Result<(), MhlError> {
    if refused.is_empty() {
        return root
            .find(DIRECTORY)?
            .map_or(Ok(()), |journals| journals.remove_file(REFUSED));
    }
    let journals = root.ensure(DIRECTORY)?;
    let temporary = format!(".{REFUSED}{PARTIAL_SUFFIX}");
    let mut file = journals.create(&temporary)?;
    let written = file
        .write_all(&refused_text(refused))
        .and_then(|()| file.sync_all());
    written.map_err(MhlError::io(&journals.at(&temporary)))?;
    journals.rename(&temporary, REFUSED)
}

/// Reads every record of a journal, file by file in order of name; torn and foreign lines are left out.
pub(super) fn read(journal: &Folder, mut each: impl FnMut(Record)) -> Result<(), MhlError> {
    let names = journal
        .entries()?
        .into_iter()
        .filter_map(|(name, _)| name.into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".jsonl")).collect();
    names.sort();
    for name in names {
        let failed = |error| MhlError::io(&journal.at(&name))(error);
        let mut lines = BufReader::new(journal.open_file(&name, false)?);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            if line.ends_with(b"\n")
                && let Ok(record) = serde_json::from_slice(&line)
            {
                each(record);
            }
            line.clear();
        }
    }
    Ok(())
}

/// Removes a job's journal, and the directory of all journals when it was the last.
pub(super) fn remove(root: &Folder, job: &str) -> Result<(), MhlError> {
    if let Some(journals) = root.find(DIRECTORY)? {
        journals.remove_all(&component(job))?;
    }
    root.remove_empty(DIRECTORY)
}

/// A name as one path component: what a file name cannot or should not hold becomes `_` and its code.
fn component(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_alphanumeric() || matches!(c, '-' | '.' | '@') && !out.is_empty() {
            out.push(c);
        } else {
            out.push_str(&format!("_{:x}", u32::from(c)));
        }
    }
    if out.is_empty() { "_".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(path: &str) -> Record {
        Record {
            path: path.into(),
            bytes: 3,
            modified_ns: 1_700_000_000_123_456_789,
            hashed_at_us: 5,
            hashes: vec!["xxh3:78af5f94892f3950".into()],
            action: Action::Copied,
            tag: None,
            source: None,
        }
    }

    fn paths(root: &Path) -> Vec<String> {
        let mut paths = Vec::new();
        let journal = open(&Folder::open(root).expect("opened"), "job").expect("opened");
        read(&journal, |record| paths.push(record.path)).expect("readable");
        paths
    }

    #[test]
    fn torn_lines_cost_only_themselves() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let root = Root::create(dir.path()).expect("opened");
        let worker = WorkerId("host/1".into());
        append(
            &root,
            "job",
            &worker,
            &[record("a"), record("b")],
            Durability::PowerLoss,
        )
        .expect("written");
        let file = directory(dir.path(), "job").join("host_2f1.jsonl");
        let mut content = std::fs::read(&file).expect("there");
        content.truncate(content.len() - 9);
        std::fs::write(&file, &content).expect("torn");
        assert_eq!(paths(dir.path()), ["a"]);
        append(&root, "job", &worker, &[record("c")], Durability::PageCache).expect("written");
        assert_eq!(paths(dir.path()), ["a", "c"]);
        remove(&Folder::open(dir.path()).expect("opened"), "job").expect("removed");
        assert!(!dir.path().join(DIRECTORY).exists());
        assert!(paths(dir.path()).is_empty());
    }

    #[test]
    fn names_cannot_leave_their_directory() {
        assert_eq!(component("../x"), "_2e._2fx");
        assert_eq!(component(""), "_");
        assert_eq!(
            component("autumn-ingest-3f9k2m7q"),
            "autumn-ingest-3f9k2m7q"
        );
        assert_ne!(component("a/b"), component("a_2fb"));
    }
}
