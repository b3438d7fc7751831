//! Where an asset is read, and its content in stretches: read ahead, in order, each claiming its memory before it comes.
use super::fault;
use super::upload::{Arrived, is_of};
use crate::task::TaskContext;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::rules::storage::parts::cut;
use protocol::wire::unit::HashAlgorithm;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use storage::Roots;
use storage::hash::{Digest, Hasher};
use storage::persist::{Patience, persist, read_all, read_on};
use storage::{
    Checksum, ChecksumKind, Held, ObjectState, Reading, Registry, Running, Slot, Storage, StorageError, Upload, Version,
};
use tokio_util::task::AbortOnDropHandle;

/// Content up to this size is hashed where it is, in bytes; more would keep other work of the thread waiting.
const HASH_HERE_BYTES: u64 = 256 * 1024;

/// An asset's bytes, in one state.
pub(super) struct Source {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) state: ObjectState,
    /// Small content that came with the look at it.
    early: Option<(Vec<Bytes>, Option<Held>)>,
    is_file: bool,
    /// Whether it has to be looked at again when it has been read: a file can be written to meanwhile.
    moves: bool,
    /// Whether any stretch can be asked for; web servers may know the whole only.
    in_order: bool,
}

/// A stretch of content in memory.
pub(super) struct Stretch {
    pub(super) slot: Slot,
    pub(super) pieces: Vec<Bytes>,
    pub(super) held: Option<Held>,
}

/// Everything that is computed of content while it streams.
pub(super) struct Measures {
    hashers: Vec<Hasher>,
    /// As the destination computes it, where nothing else does.
    checksum: Option<Running>,
    /// As the source's storage keeps it: what arrives here is proven by it.
    arriving: Option<Running>,
}

/// What was computed.
pub(super) struct Measured {
    pub(super) digests: Vec<Digest>,
    pub(super) checksum: Option<Checksum>,
    arrived: Option<Checksum>,
    /// Whether it was computed of what the destination gives back, which is the source's then.
    pub(super) proven: bool,
}

impl Measures {
    /// At least one hash, so that content can be told from other content.
    pub(super) fn new(source: &Source, algorithms: &[HashAlgorithm], checksum: Option<ChecksumKind>) -> Measures {
        let algorithms = if algorithms.is_empty() { &[HashAlgorithm::Xxh128] } else { algorithms };
        Measures {
            hashers: algorithms.iter().map(|algorithm| Hasher::new(*algorithm)).collect(),
            checksum: checksum.map(Running::new),
            arriving: source.state.checksum.map(|kept| Running::new(kept.kind())),
        }
    }

    /// Nothing at all: for content that others measure.
    pub(super) fn none() -> Measures {
        Measures { hashers: Vec::new(), checksum: None, arriving: None }
    }

    /// Adds the next pieces.
    pub(super) fn update(&mut self, pieces: &[Bytes]) {
        pieces.iter().for_each(|piece| self.add(piece));
    }

    /// Adds the next bytes.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.hashers.iter_mut().for_each(|hasher| hasher.update(bytes));
        self.checksum.iter_mut().chain(&mut self.arriving).for_each(|running| running.update(bytes));
    }

    /// Ends it.
    pub(super) fn finish(self) -> Measured {
        Measured {
            digests: self.hashers.into_iter().map(Hasher::finish).collect(),
            checksum: self.checksum.map(Running::finish),
            arrived: self.arriving.map(Running::finish),
            proven: false,
        }
    }
}

impl Source {
    /// Looks at an asset. Where its size is known and small, the look brings the content as well.
    pub(super) async fn open(asset: &Asset, context: &TaskContext, small_max: u64) -> Result<Source, Failure> {
        if let Some(source) = small_file(asset, context, small_max).await {
            return Ok(source);
        }
        let text = located(&asset.location, context.storage.roots()).await?;
        let is_file = text.starts_with("file:");
        let root = is_file.then_some(Path::new("/"));
        let opened = context.storage.open(&text, root).await.map_err(|error| match error {
            StorageError::Invalid { .. } => Failure::permanent("location_unsupported", error.to_string()),
            error => error.failure(),
        })?;
        let in_order = text.starts_with("http");
        let known = asset.bytes.filter(|bytes| !is_file && !in_order && (1..=small_max).contains(bytes));
        if let Some(bytes) = known
            && let Some(source) = read_at_once(&opened.storage, &opened.key, asset, bytes, context).await
        {
            return Ok(source);
        }
        let stat = persist(Patience::default(), || opened.storage.stat(&opened.key)).await;
        let state = stat.map_err(|error| fault::source(&error))?;
        Ok(Source { storage: opened.storage, state, early: None, is_file, moves: is_file, in_order })
    }

    /// When it was last written, in microseconds since 1970; `None` for what becomes visible whole.
    pub(super) fn modified_us(&self) -> Option<i64> {
        self.state.modified.filter(|_| self.is_file).map(|at| at.0)
    }

    /// Its location, for messages.
    pub(super) fn location(&self) -> String {
        self.storage.location(&self.state.key)
    }

    /// What tells this state from others, on every machine: the device that a shared directory is on has other numbers
    /// elsewhere.
    pub(super) fn same_everywhere(&self) -> (String, Option<String>) {
        let tag = &self.state.version.tag;
        let tag = if self.is_file { tag.split_once('-').map_or(tag.as_str(), |(_, rest)| rest) } else { tag };
        (tag.to_owned(), self.state.version.id.clone())
    }

    /// What tells this content from any other, to whoever goes on with it.
    pub(super) fn identity(&self) -> String {
        let Version { tag, id } = &self.state.version;
        format!("{} {tag} {} {}", self.location(), id.as_deref().unwrap_or("-"), self.state.bytes)
    }

    /// Whether any stretch of it can be asked for.
    pub(super) fn in_any_order(&self) -> bool {
        !self.in_order
    }

    /// Fails when what was read is not what the storage keeps, or a file is no longer what was read. Other storages read
    /// one state or fail.
    pub(super) async fn check(&self, measured: &Measured) -> Result<(), Failure> {
        if measured.arrived != self.state.checksum {
            let text = |sum: Option<Checksum>| sum.map_or_else(String::new, |sum| sum.to_string());
            let (arrived, kept) = (text(measured.arrived), text(self.state.checksum));
            return Err(fault::damaged(&self.location(), &arrived, &kept));
        }
        self.check_unchanged().await
    }

    /// Fails when a file is no longer what was read.
    pub(super) async fn check_unchanged(&self) -> Result<(), Failure> {
        if !self.moves {
            return Ok(());
        }
        let now = self.storage.stat(&self.state.key).await.map_err(|error| fault::source(&error))?;
        match now.version == self.state.version {
            true => Ok(()),
            false => Err(fault::changed(&self.location(), "its size or time moved")),
        }
    }

    /// All of it, for content that is small.
    pub(super) async fn whole(&mut self, context: &TaskContext) -> Result<(Vec<Bytes>, Option<Held>), Failure> {
        if let Some(early) = self.early.take() {
            return Ok(early);
        }
        let held = context.storage.hold(self.state.bytes).await;
        let reading = read_all(Arc::clone(&self.storage), &self.state, Patience::default());
        let pieces = reading.collect().await.map_err(|error| fault::source(&error))?;
        context.bytes.fetch_add(self.state.bytes, Ordering::Relaxed);
        Ok((pieces, held))
    }

    /// All of it, in stretches of `bytes`.
    pub(super) fn cuts(&self, bytes: u64) -> Vec<(u32, Range<u64>)> {
        cut(self.state.bytes, bytes).collect()
    }

    /// Whoever reads it.
    pub(super) fn fetch(&self, context: &TaskContext) -> Fetch {
        Fetch {
            is_file: self.is_file,
            known: None,
            storage: Arc::clone(&self.storage),
            state: self.state.clone(),
            registry: Arc::clone(&context.storage),
            moved: Arc::clone(&context.bytes),
        }
    }

    /// These stretches in order; `at_once` of them are read at the same time. A source that is read in one stream gives
    /// all of its own.
    pub(super) fn stretches(
        &self,
        cuts: Vec<(u32, Range<u64>)>,
        at_once: usize,
        context: &TaskContext,
        known: Option<Known>,
    ) -> BoxStream<'static, Result<Stretch, StorageError>> {
        let fetch = Fetch { known, ..self.fetch(context) };
        if self.in_order {
            return fetch.in_order(cuts);
        }
        let fetch = Arc::new(fetch);
        // Memory is claimed in order: a later stretch never holds what an earlier one waits for.
        let claimed = stream::iter(cuts).then(move |(number, range)| {
            let fetch = Arc::clone(&fetch);
            async move {
                let held = fetch.registry.hold(range.end - range.start).await;
                (fetch, number, range, held)
            }
        });
        let fetched = claimed.map(|(fetch, number, range, held)| {
            AbortOnDropHandle::new(tokio::spawn(async move { fetch.stretch(number, range, held).await }))
        });
        let fetched = fetched.buffered(at_once.max(1));
        let flat = |fetched: Result<_, tokio::task::JoinError>| {
            fetched.unwrap_or_else(|error| Err(StorageError::unavailable("this worker", error.to_string())))
        };
        fetched.map(flat).boxed()
    }

    /// Reads all of it and keeps nothing but its measures.
    pub(super) async fn measure(
        &self,
        algorithms: &[HashAlgorithm],
        kind: ChecksumKind,
        stretch: (u64, usize),
        context: &TaskContext,
    ) -> Result<Measured, Failure> {
        let mut measures = Measures::new(self, algorithms, Some(kind));
        let mut stretches = self.stretches(self.cuts(stretch.0), stretch.1, context, None);
        while let Some(stretch) = stretches.next().await {
            let stretch = stretch.map_err(|error| fault::source(&error))?;
            measures = off_thread(stretch.pieces.iter().map(|piece| piece.len() as u64).sum(), move || {
                measures.update(&stretch.pieces);
                measures
            })
            .await?;
        }
        let measured = measures.finish();
        self.check(&measured).await?;
        Ok(measured)
    }
}

/// Parts that have arrived in an upload of this very source: they are read there instead of coming once more.
pub(super) struct Known {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) upload: Upload,
    pub(super) parts: Arrived,
}

/// Reads stretches of one state of a source.
pub(super) struct Fetch {
    is_file: bool,
    known: Option<Known>,
    storage: Arc<dyn Storage>,
    state: ObjectState,
    pub(super) registry: Arc<Registry>,
    pub(super) moved: Arc<AtomicU64>,
}

impl Fetch {
    /// Bytes of it, asked for again where they break off.
    pub(super) fn reading(&self, range: Range<u64>) -> Reading {
        let (key, same) = (self.state.key.clone(), self.state.version.clone());
        read_on(Arc::clone(&self.storage), key, range, same, Patience::default())
    }

    async fn stretch(&self, number: u32, range: Range<u64>, held: Option<Held>) -> Result<Stretch, StorageError> {
        let slot = Slot { number, offset: range.start };
        if let Some(pieces) = self.arrived(slot, range.end - range.start).await {
            return Ok(Stretch { slot, pieces, held });
        }
        let bytes = range.end - range.start;
        let mut reading = self.reading(range);
        let mut pieces = Vec::new();
        if self.is_file {
            // These come in pieces of a good size, each in memory of its own.
            while let Some(piece) = reading.next().await {
                let piece = piece?;
                self.moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
                pieces.push(piece);
            }
            return Ok(Stretch { slot, pieces, held });
        }
        let buffers = self.registry.buffers();
        let mut buffer = buffers.take(usize::try_from(bytes).unwrap_or_default());
        while let Some(piece) = reading.next().await {
            let piece = piece?;
            self.moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
            buffer.extend_from_slice(&piece);
        }
        pieces.push(buffers.lend(buffer));
        Ok(Stretch { slot, pieces, held })
    }

    /// A part that has arrived, as it did.
    async fn arrived(&self, slot: Slot, bytes: u64) -> Option<Vec<Bytes>> {
        let known = self.known.as_ref()?;
        let part = known.parts.get(&slot.number).filter(|part| part.bytes == bytes)?;
        let reading = known.storage.read_part(&known.upload, slot, bytes).await.ok()?;
        let pieces = reading.collect().await.ok()?;
        is_of(part, &pieces).then_some(pieces)
    }

    /// From one reading of the whole.
    fn in_order(self, cuts: Vec<(u32, Range<u64>)>) -> BoxStream<'static, Result<Stretch, StorageError>> {
        let reading = read_all(Arc::clone(&self.storage), &self.state, Patience::default());
        let start = (self, reading, Bytes::new(), cuts.into_iter());
        let stretches = stream::try_unfold(start, |(fetch, mut reading, mut left, mut cuts)| async move {
            let Some((number, range)) = cuts.next() else { return Ok(None) };
            let held = fetch.registry.hold(range.end - range.start).await;
            let (mut wanted, mut pieces) = (range.end - range.start, Vec::new());
            while wanted > 0 {
                if left.is_empty() {
                    let next = reading.next().await;
                    let ended = || StorageError::unavailable(&reading.location, "the content ended too early");
                    left = next.unwrap_or_else(|| Err(ended()))?;
                }
                let take = left.len().min(usize::try_from(wanted).unwrap_or(usize::MAX));
                pieces.push(left.split_to(take));
                fetch.moved.fetch_add(take as u64, Ordering::Relaxed);
                wanted -= take as u64;
            }
            let slot = Slot { number, offset: range.start };
            Ok(Some((Stretch { slot, pieces, held }, (fetch, reading, left, cuts))))
        });
        stretches.boxed()
    }
}

/// A location as it is opened: symbolic links to files are followed, as everywhere. Where files must be below a root the
/// storage follows them itself, as far as they stay there.
async fn located(location: &str, roots: &Roots) -> Result<String, Failure> {
    if !roots.is_empty() || !location.starts_with("file:") {
        return Ok(location.to_owned());
    }
    let path = ::storage::local_path(location)
        .map_err(|error| Failure::permanent("location_unsupported", error.to_string()))?;
    let real = tokio::fs::canonicalize(&path).await;
    let real = real.map_err(|error| super::super::fault::source(&path, super::super::fault::errno(&error)))?;
    Ok(format!("file:{}", real.display()))
}

/// Without waiting for a look first, when it fits: anything else is looked at as usual, and said there. Where the
/// manifest declares a hash, that proves what arrives; otherwise what the storage keeps does.
async fn read_at_once(
    storage: &Arc<dyn Storage>,
    key: &str,
    asset: &Asset,
    bytes: u64,
    context: &TaskContext,
) -> Option<Source> {
    let held = context.storage.hold(bytes).await;
    let (state, pieces) = if asset.hash.is_some() {
        let reading = storage.read(key, 0..bytes, None).await.ok()?;
        let version = reading.version.clone().filter(|_| reading.whole_bytes == Some(bytes))?;
        let key = key.to_owned();
        let state = ObjectState { key, bytes, version, checksum: None, modified: None, class: None, archive: None };
        (state, reading.collect().await.ok()?)
    } else {
        let (state, pieces) = storage.look(key, bytes).await.ok()?;
        (state, pieces?)
    };
    if state.bytes != bytes {
        return None;
    }
    context.bytes.fetch_add(bytes, Ordering::Relaxed);
    let early = Some((pieces, held));
    Some(Source { storage: Arc::clone(storage), state, early, is_file: false, moves: false, in_order: false })
}

/// A small file in one go, where it is what its name says. Whatever else there is to say of one is said when it is
/// opened as usual: symbolic links are followed there.
async fn small_file(asset: &Asset, context: &TaskContext, small_max: u64) -> Option<Source> {
    let bytes = asset.bytes.filter(|bytes| *bytes <= small_max && asset.location.starts_with("file:"))?;
    let opened = context.storage.open(&asset.location, Some(Path::new("/"))).await.ok()?;
    let held = context.storage.hold(bytes).await;
    let (state, pieces) = opened.storage.look(&opened.key, bytes).await.ok()?;
    let pieces = pieces?;
    context.bytes.fetch_add(state.bytes, Ordering::Relaxed);
    let early = Some((pieces, held));
    Some(Source { storage: opened.storage, state, early, is_file: true, moves: false, in_order: false })
}

/// Computes where it keeps nobody waiting.
pub(super) async fn off_thread<T: Send + 'static>(
    bytes: u64,
    compute: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    if bytes <= HASH_HERE_BYTES {
        return Ok(compute());
    }
    let computed = tokio::task::spawn_blocking(compute).await;
    computed.map_err(|error| Failure::transient("worker_stopping", error.to_string()))
}
