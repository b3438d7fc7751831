//! Directories of this machine, local or mounted. Everything stays below a root (see [`Root`]); an upload in parts is a
//! hidden file beside its target, with a ledger of the parts that have arrived.
mod content;
mod fault;
mod landing;
mod ledger;
mod older;
mod upload;

use super::{Backend, Opening, Place};
use crate::buffers::Buffers;
use crate::together::Together;
use crate::{
    Attributes, Body, Capabilities, Checksum, ChecksumKind, Condition, Directory, Durability, Listing, Location,
    ObjectState, Part, PartLimits, Partial, Reading, Root, Roots, Slot, Storage, StorageError, Upload, Version,
    file_location, sync_directories, sync_files,
};
use async_trait::async_trait;
use bytes::Bytes;
use content::{check_back, pieces, read_piece, sum_of, write_pieces};
use fault::{directory_fault, fault};
use futures_util::FutureExt;
pub use landing::{LANDING_BYTES, Landing, Unlanded};
use protocol::time::Timestamp;
use rustix::fs::{FileType, Stat, fstat};
use rustix::io::Errno;

use std::fs::File;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Bytes of one read.
const READ_BYTES: usize = 1024 * 1024;
/// Reads whose memory is used again: as many as a worker holds content of, so that it is never asked for twice.
const BUFFERS_KEPT: usize = (crate::MEMORY_BYTES as usize) / READ_BYTES;
/// Largest content written in one step.
const PUT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The registry's line.
pub const BACKEND: Backend = Backend {
    name: "file",
    place: |opening| match opening.location {
        Location::File(path) => Some(place(path, opening)),
        _ => None,
    },
    open: |opening| {
        async move {
            let Location::File(path) = opening.location else {
                return Err(StorageError::invalid(opening.text, "it is no file"));
            };
            let root = root_of(path, opening)?;
            let within = Roots::new(&opening.all.roots);
            Ok(Arc::new(FileStorage { within, ..FileStorage::new(&root) }) as Arc<dyn Storage>)
        }
        .boxed()
    },
};

fn place(path: &Path, opening: &Opening<'_>) -> Result<Place, StorageError> {
    let root = root_of(path, opening)?;
    let below = path.strip_prefix(&root).map_err(|_| StorageError::invalid(opening.text, "it leaves its root"))?;
    let key = below.to_str().ok_or_else(|| StorageError::invalid(opening.text, "its name is no text"))?;
    Ok(Place { name: format!("file:{}", root.display()), key: key.to_owned() })
}

/// The root of a path: the caller's, which must be below a declared one; else the longest declared one; else, where
/// none is declared, its own directory.
fn root_of(path: &Path, opening: &Opening<'_>) -> Result<PathBuf, StorageError> {
    let declared =
        opening.all.roots.iter().filter(|root| path.starts_with(root)).max_by_key(|root| root.as_os_str().len());
    if declared.is_none() && !opening.all.roots.is_empty() {
        return Err(StorageError::invalid(opening.text, "it is below none of the roots in the storage settings"));
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
    /// What the root itself must be below.
    within: Roots,
    durability: Durability,
    /// What was written in one step, and directories that got entries.
    files: Arc<Together<(File, u64)>>,
    directories: Arc<Together<Arc<Directory>>>,
    buffers: Arc<Buffers>,
}

impl FileStorage {
    /// Binds to a root, which is created when something is first written.
    pub fn new(root: &Path) -> FileStorage {
        let files = |files: &[(File, u64)]| {
            let files: Vec<(&File, u64)> = files.iter().map(|(file, device)| (file, *device)).collect();
            sync_files(&files)
        };
        FileStorage {
            path: Arc::from(root),
            within: Roots::default(),
            durability: Durability::PowerLoss,
            files: Arc::new(Together::new(files)),
            directories: Arc::new(Together::new(sync_directories)),
            buffers: Arc::new(Buffers::new(BUFFERS_KEPT, READ_BYTES)),
        }
    }

    fn at(&self, key: &str) -> String {
        file_location(&self.path.join(key))
    }

    fn root(&self) -> Result<Root, StorageError> {
        Root::existing_within(&self.path, &self.within).map_err(|error| directory_fault(&error))
    }

    /// The directory and name behind a key; with `create`, made when it is missing.
    fn find(&self, key: &str, create: bool) -> Result<(Arc<Directory>, String), StorageError> {
        let path = Path::new(key);
        let clean = path.components().all(|part| matches!(part, Component::Normal(_)));
        let name = path.file_name().and_then(|name| name.to_str()).filter(|_| clean && !key.ends_with('/'));
        let name = name.ok_or_else(|| StorageError::invalid(self.at(key), "it does not name a file below its root"))?;
        let parent = path.parent().unwrap_or(Path::new(""));
        let directory = if create {
            Root::create_within(&self.path, &self.within).and_then(|root| root.directory(parent))
        } else {
            Root::existing_within(&self.path, &self.within).and_then(|root| root.find(parent))
        };
        Ok((directory.map_err(|error| directory_fault(&error))?, name.to_owned()))
    }

    fn stat_now(&self, key: &str) -> Result<ObjectState, StorageError> {
        let file = self.open(key)?;
        let stat = fstat(&file).map_err(|errno| fault(&self.at(key), "look at", errno))?;
        Ok(state(key, &stat))
    }

    fn look_now(&self, key: &str, most: u64) -> Result<(ObjectState, Option<Vec<Bytes>>), StorageError> {
        let failed = |doing: &str, errno| fault(&self.at(key), doing, errno);
        let file = self.open(key)?;
        let stat = fstat(&file).map_err(|errno| failed("look at", errno))?;
        let now = state(key, &stat);
        if now.bytes > most {
            return Ok((now, None));
        }
        let mut pieces = Vec::new();
        while let Some(at) =
            Some(pieces.iter().map(|piece: &Bytes| piece.len() as u64).sum()).filter(|at| *at < now.bytes)
        {
            let want = READ_BYTES.min(usize::try_from(now.bytes - at).unwrap_or(READ_BYTES));
            let piece = read_piece(&file, at, want, Vec::new()).map_err(|errno| failed("read", errno))?;
            if piece.is_empty() {
                break;
            }
            pieces.push(Bytes::from(piece));
        }
        // What was written to meanwhile may be half of one content and half of another.
        let after = self.stat_now(key)?;
        if after.version != now.version {
            return Err(StorageError::condition(self.at(key), "it has changed"));
        }
        Ok((now, Some(pieces)))
    }

    fn open(&self, key: &str) -> Result<File, StorageError> {
        let location = self.at(key);
        if key.is_empty() || key.ends_with('/') {
            return Err(StorageError::invalid(location, "it does not name a file"));
        }
        let file = self.root()?.open_file(Path::new(key)).map_err(|errno| fault(&location, "open", errno))?;
        let stat = fstat(&file).map_err(|errno| fault(&location, "look at", errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(StorageError::Blocked { location, said: "it is not a regular file".into() });
        }
        Ok(file)
    }

    /// Content under no name, proven but not on disk yet.
    fn write_now(&self, key: &str, body: &Body) -> Result<(Partial, Arc<Directory>, String), StorageError> {
        let (directory, name) = self.find(key, true)?;
        let location = self.at(key);
        let failed = |doing: &str, errno| fault(&location, doing, errno);
        let partial = Partial::unnamed(&directory, &name).map_err(|errno| failed("create", errno))?;
        write_pieces(partial.file(), 0, body).map_err(|errno| failed("write", errno))?;
        check_back(&location, partial.file(), 0, body.bytes(), body.checksum())?;
        Ok((partial, directory, name))
    }

    /// Small content waits for the disk together with other small content.
    async fn put_together(&self, key: &str, body: &Body, condition: &Condition) -> Result<ObjectState, StorageError> {
        let location = self.at(key);
        let (storage, own, content) = (self.clone(), key.to_owned(), body.clone());
        let written = blocking(location.clone(), move || storage.write_now(&own, &content)).await;
        let (partial, directory, name) = written?;
        let durable = self.durability == Durability::PowerLoss;
        if durable {
            let file = partial.file().try_clone().map_err(|error| fault(&location, "sync", errno(&error)))?;
            let put = self.files.put((file, directory.device())).await;
            put.map_err(|errno| fault(&location, "sync", errno))?;
        }
        let (at, own, condition, parent) =
            (location.clone(), key.to_owned(), condition.clone(), Arc::clone(&directory));
        let published = blocking(location.clone(), move || {
            let stat = fstat(partial.file()).map_err(|errno| fault(&at, "look at", errno))?;
            publish(&at, partial, &name, &condition)?;
            Ok(state(&own, &stat))
        });
        let state = published.await?;
        if durable {
            let put = self.directories.put(parent).await;
            put.map_err(|errno| fault(&location, "sync the directory of", errno))?;
        }
        Ok(state)
    }

    fn sync(&self, sync: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
        if self.durability == Durability::PowerLoss { sync() } else { Ok(()) }
    }

    fn delete_now(&self, key: &str, same: Option<&Version>) -> Result<(), StorageError> {
        let (directory, name) = match self.find(key, false) {
            Err(StorageError::NotFound(_)) => return Ok(()),
            other => other?,
        };
        let location = self.at(key);
        let Some(entry) = directory.entry(name.as_ref()).map_err(|errno| fault(&location, "look at", errno))? else {
            return Ok(());
        };
        if same.is_some_and(|same| *same != version(&entry)) {
            return Err(StorageError::condition(location, "it has changed"));
        }
        directory.remove(name.as_ref()).map_err(|errno| fault(&location, "remove", errno))?;
        self.sync(|| rustix::fs::fsync(&directory)).map_err(|errno| fault(&location, "sync the directory of", errno))
    }

    fn rename_now(&self, from: &str, to: &str) -> Result<(), StorageError> {
        let (source, name) = self.find(from, false)?;
        let (target, new) = self.find(to, true)?;
        let flags = rustix::fs::RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&source, &name, &target, &new, flags) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(StorageError::condition(self.at(to), "something is there already")),
            Err(errno) => return Err(fault(&self.at(from), "rename", errno)),
        }
        for directory in [&source, &target] {
            self.sync(|| rustix::fs::fsync(directory)).map_err(|errno| fault(&self.at(to), "sync", errno))?;
        }
        Ok(())
    }

    /// Lists by walking: sorted by path part, hidden files of ours left out. The page's mark is the last key.
    fn list_now(&self, prefix: &str, page: Option<&str>, most: u32) -> Result<Listing, StorageError> {
        // Only what lies below the prefix's directory can begin with it.
        let directory = prefix.rsplit_once('/').map_or("", |(directory, _)| directory);
        if Path::new(directory).components().any(|part| !matches!(part, Component::Normal(_))) {
            return Err(StorageError::invalid(self.at(prefix), "it leaves its root"));
        }
        let root =
            match Root::existing_within(&self.path, &self.within).and_then(|root| root.find(Path::new(directory))) {
                Err(crate::DirectoryError::Io { source: Errno::NOENT, .. }) => return Ok(Listing::default()),
                other => other.map_err(|error| directory_fault(&error))?,
            };
        let walk = walkdir::WalkDir::new(root.path()).sort_by_file_name();
        let mut listing = Listing::default();
        for entry in walk {
            let entry = entry.map_err(|error| StorageError::unavailable(self.at(prefix), error.to_string()))?;
            let Some(key) = entry.path().strip_prefix(&self.path).ok().and_then(Path::to_str) else { continue };
            let hidden = entry.file_name().to_str().is_some_and(crate::is_unfinished);
            let passed = page.is_some_and(|page| Path::new(key) <= Path::new(page));
            if !entry.file_type().is_file() || hidden || passed || !key.starts_with(prefix) {
                continue;
            }
            if listing.objects.len() as u64 >= u64::from(most.max(1)) {
                listing.next = listing.objects.last().map(|last| last.key.clone());
                return Ok(listing);
            }
            // It may have been removed since its directory was read.
            match self.stat_now(key) {
                Ok(state) => listing.objects.push(state),
                Err(StorageError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(listing)
    }
}

/// Makes content visible; its name is not on disk yet.
fn publish(location: &str, partial: Partial, name: &str, condition: &Condition) -> Result<(), StorageError> {
    let published = match condition {
        Condition::Free => partial.publish(name),
        Condition::Any => partial.publish_over(name),
        Condition::Same(same) => match partial.publish_in_place(name, |there| version(there) == *same) {
            Ok(false) => return Err(StorageError::condition(location, "it has changed")),
            done => done.map(drop),
        },
    };
    match published {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(StorageError::condition(location, "something is there already")),
        Err(errno) => Err(fault(location, "publish", errno)),
    }
}

/// Runs blocking work of a storage where it may block.
async fn blocking<T: Send + 'static>(
    location: String,
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Err(StorageError::unavailable(location, format!("the worker is stopping: {error}"))),
    }
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

fn version(stat: &Stat) -> Version {
    let tag =
        format!("{:x}-{:x}-{:x}-{}.{}", stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime, stat.st_mtime_nsec);
    Version { tag, id: None }
}

fn state(key: &str, stat: &Stat) -> ObjectState {
    let micros = i64::try_from(stat.st_mtime_nsec).unwrap_or(0) / 1_000;
    ObjectState {
        key: key.to_owned(),
        bytes: u64::try_from(stat.st_size).unwrap_or(0),
        version: version(stat),
        checksum: None,
        modified: Some(Timestamp(stat.st_mtime.saturating_mul(1_000_000).saturating_add(micros))),
        class: None,
        archive: None,
    }
}

#[async_trait]
impl Storage for FileStorage {
    fn location(&self, key: &str) -> String {
        self.at(key)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            write: true,
            list: true,
            create_only: true,
            replace_same: true,
            put_bytes_max: PUT_BYTES_MAX,
            parts: Some(PartLimits { bytes_min: 1, bytes_max: u64::MAX, count_max: ledger::PARTS_MAX }),
            checksum: ChecksumKind::Crc64nvme,
            whole_checksum: true,
            copy_bytes_max: None,
            copy_part: false,
            rename: true,
            classes: false,
        }
    }

    async fn stat(&self, key: &str) -> Result<ObjectState, StorageError> {
        let (storage, key) = (self.clone(), key.to_owned());
        blocking(self.at(&key), move || storage.stat_now(&key)).await
    }

    async fn read(&self, key: &str, range: Range<u64>, same: Option<&Version>) -> Result<Reading, StorageError> {
        let (storage, name, same) = (self.clone(), key.to_owned(), same.cloned());
        let opened = blocking(self.at(key), move || {
            let file = storage.open(&name)?;
            let stat = fstat(&file).map_err(|errno| fault(&storage.at(&name), "look at", errno))?;
            if same.is_some_and(|same| same != version(&stat)) {
                return Err(StorageError::condition(storage.at(&name), "it has changed"));
            }
            Ok((file, state(&name, &stat)))
        });
        let (file, now) = opened.await?;
        let location = self.at(key);
        if range.end > now.bytes || range.start > range.end {
            let said = format!("bytes {}-{} of {}", range.start, range.end, now.bytes);
            return Err(StorageError::invalid(location, said));
        }
        let stream = pieces(location.clone(), Arc::new(file), range.clone(), Arc::clone(&self.buffers));
        Ok(Reading::new(location, range.end - range.start, stream).of(Some(now.version), Some(now.bytes)))
    }

    async fn look(&self, key: &str, most: u64) -> Result<(ObjectState, Option<Vec<Bytes>>), StorageError> {
        let (storage, key) = (self.clone(), key.to_owned());
        blocking(self.at(&key), move || storage.look_now(&key, most)).await
    }

    async fn list(&self, prefix: &str, page: Option<&str>, most: u32) -> Result<Listing, StorageError> {
        let (storage, prefix, page) = (self.clone(), prefix.to_owned(), page.map(str::to_owned));
        blocking(self.at(&prefix), move || storage.list_now(&prefix, page.as_deref(), most)).await
    }

    async fn keep_version(&self, state: &ObjectState) -> Result<Condition, StorageError> {
        let (storage, state) = (self.clone(), state.clone());
        blocking(self.at(&state.key), move || storage.keep_now(&state)).await
    }

    async fn put(
        &self,
        key: &str,
        body: &Body,
        _attributes: &Attributes,
        condition: &Condition,
    ) -> Result<ObjectState, StorageError> {
        self.put_together(key, body, condition).await
    }

    async fn begin(&self, key: &str, attributes: &Attributes) -> Result<Upload, StorageError> {
        let (storage, key) = (self.clone(), key.to_owned());
        let source = attributes.metadata.get(crate::SOURCE).map(|source| upload::id_of(source));
        blocking(self.at(&key), move || storage.begin_now(&key, source)).await
    }

    fn upload_of(&self, key: &str, source: &str) -> Option<Upload> {
        Some(Upload { key: key.to_owned(), id: upload::id_of(source) })
    }

    async fn read_part(&self, upload: &Upload, slot: Slot, bytes: u64) -> Result<Reading, StorageError> {
        let (storage, upload, location) = (self.clone(), upload.clone(), self.at(&upload.key));
        let content = blocking(location.clone(), move || storage.content_now(&upload)).await?;
        let range = slot.offset..slot.offset + bytes;
        let stream = pieces(location.clone(), Arc::new(content), range, Arc::clone(&self.buffers));
        Ok(Reading::new(location, bytes, stream))
    }

    async fn put_part(&self, upload: &Upload, slot: Slot, body: &Body) -> Result<Part, StorageError> {
        let (storage, upload, body) = (self.clone(), upload.clone(), body.clone());
        blocking(self.at(&upload.key), move || storage.put_part_now(&upload, slot, &body)).await
    }

    async fn parts(&self, upload: &Upload) -> Result<Vec<Part>, StorageError> {
        let (storage, upload) = (self.clone(), upload.clone());
        blocking(self.at(&upload.key), move || storage.parts_now(&upload)).await
    }

    async fn complete(
        &self,
        upload: &Upload,
        parts: &[Part],
        whole: Option<Checksum>,
        condition: &Condition,
    ) -> Result<ObjectState, StorageError> {
        let (storage, upload, parts, condition) = (self.clone(), upload.clone(), parts.to_vec(), condition.clone());
        blocking(self.at(&upload.key), move || storage.complete_now(&upload, &parts, whole, &condition)).await
    }

    async fn landing(&self, upload: &Upload) -> Result<Option<Arc<Landing>>, StorageError> {
        let (storage, upload) = (self.clone(), upload.clone());
        blocking(self.at(&upload.key), move || storage.landing_now(&upload).map(Some)).await
    }

    async fn abort(&self, upload: &Upload) -> Result<(), StorageError> {
        let (storage, upload) = (self.clone(), upload.clone());
        blocking(self.at(&upload.key), move || storage.abort_now(&upload)).await
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<Upload>, StorageError> {
        let (storage, prefix) = (self.clone(), prefix.to_owned());
        blocking(self.at(&prefix), move || storage.uploads_now(&prefix)).await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        let (storage, from, to) = (self.clone(), from.to_owned(), to.to_owned());
        blocking(self.at(&from), move || storage.rename_now(&from, &to)).await
    }

    async fn delete(&self, key: &str, same: Option<&Version>) -> Result<(), StorageError> {
        let (storage, key, same) = (self.clone(), key.to_owned(), same.cloned());
        blocking(self.at(&key), move || storage.delete_now(&key, same.as_ref())).await
    }
}
