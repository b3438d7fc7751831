//! Directories of this machine, local or mounted. Everything stays below a root (see [`Root`]); an upload in parts is a
//! hidden file in the directory of its target, with a ledger of the parts that have arrived.
mod blocking;
mod content;
mod error_map;
mod hidden_names;
mod ledger;
mod older;
mod part_writer;
mod port;
mod put;
mod upload;
mod walk;

use super::{Backend, Binding, Opening};
use crate::buffers::{Buffers, MEMORY_BYTES};
use crate::group_sync::GroupSync;
use crate::{
    Directory, DirectoryError, Durability, Listing, ObjectState, Root, Roots, StateWithContent,
    Storage, StorageError, Version, file_location, is_unfinished_path, sync_directories,
    sync_files,
};
use bytes::Bytes;
use content::{READ_BYTES, read_piece};
use error_map::{directory_error, io_error};
use futures_util::FutureExt;
use protocol::model::location::Scheme;
use protocol::time::Timestamp;
use rustix::fs::{FileType, Stat, fstat};
use rustix::io::Errno;
use std::fs::File;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use walk::{Found, Walk};

/// Buffers that are kept for reads: as many as fit into the memory for content in transit.
const BUFFERS_KEPT: usize = (MEMORY_BYTES as usize) / READ_BYTES;
/// Largest content of one write, in bytes.
const PUT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The registry's line.
pub const BACKEND: Backend = Backend {
    schemes: &[Scheme::File],
    bind,
    open: |opening| {
        async move {
            let root = root_of(opening.path()?, opening)?;
            let within = Roots::new(&opening.all.roots);
            Ok(Arc::new(FileStorage {
                within,
                ..FileStorage::new(&root)
            }) as Arc<dyn Storage>)
        }
        .boxed()
    },
};

fn bind(opening: &Opening<'_>) -> Result<Binding, StorageError> {
    let path = opening.path()?;
    let root = root_of(path, opening)?;
    let below = path
        .strip_prefix(&root)
        .map_err(|_| StorageError::invalid(opening.text, "it leaves its root"))?;
    let key = below
        .to_str()
        .ok_or_else(|| StorageError::invalid(opening.text, "its name is no text"))?;
    Ok(Binding {
        storage: format!("file:{}", root.display()),
        key: key.to_owned(),
    })
}

/// The root of a path: the caller's, which must be below a declared one; else the longest declared one; else, where
/// none is declared, its own directory.
fn root_of(path: &Path, opening: &Opening<'_>) -> Result<PathBuf, StorageError> {
    let declared = opening
        .all
        .roots
        .iter()
        .filter(|root| path.starts_with(root))
        .max_by_key(|root| root.as_os_str().len());
    if declared.is_none() && !opening.all.roots.is_empty() {
        return Err(StorageError::invalid(
            opening.text,
            "it is below none of the roots in the storage settings",
        ));
    }
    let given = opening.root.filter(|root| path.starts_with(root));
    match (given, declared) {
        // The longer of the two keeps paths tighter, and both hold.
        (Some(given), Some(declared)) if declared.starts_with(given) => Ok(declared.clone()),
        (Some(given), _) => Ok(given.to_owned()),
        (None, Some(declared)) => Ok(declared.clone()),
        (None, None) => Ok(path.parent().unwrap_or(Path::new("/")).to_owned()),
    }
}

/// A root directory as a storage.
#[derive(Clone)]
pub struct FileStorage {
    path: Arc<Path>,
    /// Directories that the root itself must be below.
    within: Roots,
    durability: Durability,
    /// Group commits of written files, and of directories with new entries.
    files: Arc<GroupSync<(File, u64)>>,
    directories: Arc<GroupSync<Arc<Directory>>>,
    buffers: Arc<Buffers>,
}

impl FileStorage {
    /// Binds to a root, which is created when something is first written.
    pub fn new(root: &Path) -> FileStorage {
        let files = |files: &[(File, u64)]| {
            let files: Vec<(&File, u64)> =
                files.iter().map(|(file, device)| (file, *device)).collect();
            sync_files(&files)
        };
        FileStorage {
            path: Arc::from(root),
            within: Roots::default(),
            durability: Durability::PowerLoss,
            files: Arc::new(GroupSync::new(files)),
            directories: Arc::new(GroupSync::new(sync_directories)),
            buffers: Arc::new(Buffers::new(BUFFERS_KEPT, READ_BYTES)),
        }
    }

    fn at(&self, key: &str) -> String {
        file_location(&self.path.join(key))
    }

    fn root(&self) -> Result<Root, StorageError> {
        Root::existing_within(&self.path, &self.within).map_err(|error| directory_error(&error))
    }

    /// Walks the files whose keys may begin with a prefix, through the directories that are wanted; `None` where there
    /// is no such directory.
    fn walk<'a>(
        &self,
        prefix: &'a str,
        wanted: impl Fn(&str) -> bool + 'a,
    ) -> Result<Option<Walk<impl Fn(&str) -> bool + 'a>>, StorageError> {
        // Only what lies below the prefix's directory can begin with it.
        let key = prefix
            .rsplit_once('/')
            .map_or("", |(directory, _)| directory);
        if Path::new(key)
            .components()
            .any(|part| !matches!(part, Component::Normal(_)))
        {
            return Err(StorageError::invalid(self.at(prefix), "it leaves its root"));
        }
        let root = Root::existing_within(&self.path, &self.within);
        let start = match root.and_then(|root| root.find(Path::new(key))) {
            Err(DirectoryError::Io {
                source: Errno::NOENT,
                ..
            }) => return Ok(None),
            start => start.map_err(|error| directory_error(&error))?,
        };
        let within =
            move |key: &str| (key.starts_with(prefix) || prefix.starts_with(key)) && wanted(key);
        Walk::new(start, key, within)
            .map(Some)
            .map_err(|error| directory_error(&error))
    }

    /// The directory and name behind a key; with `create`, made when it is missing.
    fn find(&self, key: &str, create: bool) -> Result<(Arc<Directory>, String), StorageError> {
        let path = Path::new(key);
        let clean = path
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .filter(|_| clean && !key.ends_with('/'));
        let name = name.ok_or_else(|| {
            StorageError::invalid(self.at(key), "it does not name a file below its root")
        })?;
        let parent = path.parent().unwrap_or(Path::new(""));
        let directory = if create {
            Root::create_within(&self.path, &self.within).and_then(|root| root.directory(parent))
        } else {
            Root::existing_within(&self.path, &self.within).and_then(|root| root.find(parent))
        };
        Ok((
            directory.map_err(|error| directory_error(&error))?,
            name.to_owned(),
        ))
    }

    fn stat_now(&self, key: &str) -> Result<ObjectState, StorageError> {
        let file = self.open(key)?;
        let stat = fstat(&file).map_err(|errno| io_error(&self.at(key), "look at", errno))?;
        Ok(state(key, &stat))
    }

    fn stat_with_content_now(
        &self,
        key: &str,
        most: u64,
    ) -> Result<StateWithContent, StorageError> {
        let failed = |doing: &str, errno| io_error(&self.at(key), doing, errno);
        let file = self.open(key)?;
        let stat = fstat(&file).map_err(|errno| failed("look at", errno))?;
        let now = state(key, &stat);
        if now.bytes > most {
            return Ok((now, None));
        }
        let mut pieces = Vec::new();
        while let Some(at) = Some(pieces.iter().map(|piece: &Bytes| piece.len() as u64).sum())
            .filter(|at| *at < now.bytes)
        {
            let want = READ_BYTES.min(usize::try_from(now.bytes - at).unwrap_or(READ_BYTES));
            let piece =
                read_piece(&file, at, want, Vec::new()).map_err(|errno| failed("read", errno))?;
            if piece.is_empty() {
                break;
            }
            pieces.push(Bytes::from(piece));
        }
        // A file that was written meanwhile may hold half of each content.
        let after = self.stat_now(key)?;
        if after.version != now.version {
            return Err(StorageError::precondition(self.at(key), "it has changed"));
        }
        Ok((now, Some(pieces)))
    }

    fn open(&self, key: &str) -> Result<File, StorageError> {
        let location = self.at(key);
        if key.is_empty() || key.ends_with('/') {
            return Err(StorageError::invalid(location, "it does not name a file"));
        }
        let file = self
            .root()?
            .open_file(Path::new(key))
            .map_err(|errno| io_error(&location, "open", errno))?;
        let stat = fstat(&file).map_err(|errno| io_error(&location, "look at", errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(StorageError::Blocked {
                location,
                said: "it is not a regular file".into(),
            });
        }
        Ok(file)
    }

    fn sync(&self, sync: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
        if self.durability == Durability::PowerLoss {
            sync()
        } else {
            Ok(())
        }
    }

    fn delete_now(&self, key: &str, same: Option<&Version>) -> Result<(), StorageError> {
        let (directory, name) = match self.find(key, false) {
            Err(StorageError::NotFound(_)) => return Ok(()),
            other => other?,
        };
        let location = self.at(key);
        let Some(entry) = directory
            .entry(name.as_ref())
            .map_err(|errno| io_error(&location, "look at", errno))?
        else {
            return Ok(());
        };
        if same.is_some_and(|same| *same != version(&entry)) {
            return Err(StorageError::precondition(location, "it has changed"));
        }
        directory
            .remove(name.as_ref())
            .map_err(|errno| io_error(&location, "remove", errno))?;
        self.sync(|| rustix::fs::fsync(&directory))
            .map_err(|errno| io_error(&location, "sync the directory of", errno))
    }

    fn rename_now(&self, from: &str, to: &str) -> Result<(), StorageError> {
        let (source, name) = self.find(from, false)?;
        let (target, new) = self.find(to, true)?;
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&source, &name, &target, &new, flags) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                return Err(StorageError::precondition(
                    self.at(to),
                    "something is there already",
                ));
            }
            Err(errno) => return Err(io_error(&self.at(from), "rename", errno)),
        }
        for directory in [&source, &target] {
            self.sync(|| rustix::fs::fsync(directory))
                .map_err(|errno| io_error(&self.at(to), "sync", errno))?;
        }
        Ok(())
    }

    /// Lists by walking the tree, sorted by path component, without hidden files of uploads. `page` is the last key of
    /// the page before.
    fn list_now(
        &self,
        prefix: &str,
        page: Option<&str>,
        most: u32,
    ) -> Result<Listing, StorageError> {
        // Everything in a directory before the page was listed already.
        let ahead = |key: &Path| {
            page.is_none_or(|page| Path::new(page).starts_with(key) || key > Path::new(page))
        };
        let Some(mut walk) = self.walk(prefix, |key| {
            ahead(Path::new(key)) && !is_unfinished_path(key)
        })?
        else {
            return Ok(Listing::default());
        };
        let mut listing = Listing::default();
        while let Some(Found { key, stat }) =
            walk.next().map_err(|error| directory_error(&error))?
        {
            let passed = page.is_some_and(|page| Path::new(&key) <= Path::new(page));
            if passed || is_unfinished_path(&key) || !key.starts_with(prefix) {
                continue;
            }
            if listing.objects.len() as u64 >= u64::from(most.max(1)) {
                listing.next = listing.objects.last().map(|last| last.key.clone());
                return Ok(listing);
            }
            listing.objects.push(state(&key, &stat));
        }
        Ok(listing)
    }
}

fn version(stat: &Stat) -> Version {
    let tag = format!(
        "{:x}-{:x}-{:x}-{}.{}",
        stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime, stat.st_mtime_nsec
    );
    Version { tag, id: None }
}

fn state(key: &str, stat: &Stat) -> ObjectState {
    let micros = i64::try_from(stat.st_mtime_nsec).unwrap_or(0) / 1_000;
    ObjectState {
        key: key.to_owned(),
        bytes: u64::try_from(stat.st_size).unwrap_or(0),
        version: version(stat),
        checksum: None,
        modified: Some(Timestamp(
            stat.st_mtime
                .saturating_mul(1_000_000)
                .saturating_add(micros),
        )),
        class: None,
        archive: None,
    }
}
