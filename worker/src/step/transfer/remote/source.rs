//! The source of an asset. Its content is read ahead in stretches, in order; each claims its memory before it is read.
use super::error_map;
use super::fetch::{Fetch, Known, Stretch};
use super::measures::{Measured, Measures, off_thread};
use crate::step::StepContext;
use crate::step::assets::{base, open_file};
use crate::step::transfer::error_map as file_errors;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::model::hash::HashAlgorithm;
use protocol::model::location::Scheme;
use protocol::rules::storage::parts::cut;
use protocol::wire::step::multipart::SourceVersion;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use storage::retry::{RetryBudget, read_all, retry};
use storage::{
    Checksum, ChecksumKind, MemoryPermit, ObjectState, Roots, Storage, StorageError, Version,
    local_path,
};
use tokio_util::task::AbortOnDropHandle;

/// The content of an asset in one state.
pub(super) struct Source {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) state: ObjectState,
    /// Small content that was read together with the state.
    early: Option<(Vec<Bytes>, Option<MemoryPermit>)>,
    is_file: bool,
    /// Whether the state is checked again after reading: a file can be written to meanwhile.
    moves: bool,
    /// Whether any range can be read; web servers may support whole content only.
    ranges: bool,
}

impl Source {
    /// Opens the source of an asset. When its size is known and small, the content is read in the same request.
    pub(super) async fn open(
        asset: &Asset,
        context: &StepContext,
        small_max: u64,
    ) -> Result<Source, Failure> {
        if let Some(source) = small_file(asset, context, small_max).await {
            return Ok(source);
        }
        let (text, root) = located(asset, context.storage.roots()).await?;
        let opened =
            context
                .storage
                .open(&text, root.as_deref())
                .await
                .map_err(|error| match error {
                    StorageError::Invalid { .. } => {
                        Failure::permanent("location_unsupported", error.to_string())
                    }
                    error => error.failure(),
                })?;
        let able = opened.storage.capabilities();
        let (is_file, ranges) = (able.files, able.ranges);
        let known = asset
            .bytes
            .filter(|bytes| !is_file && ranges && (1..=small_max).contains(bytes));
        if let Some(bytes) = known
            && let Some(source) =
                read_at_once(&opened.storage, &opened.key, asset, bytes, context).await
        {
            return Ok(source);
        }
        let stat = retry(RetryBudget::default(), || opened.storage.stat(&opened.key)).await;
        let state = stat.map_err(|error| error_map::source(&error))?;
        Ok(Source {
            storage: opened.storage,
            state,
            early: None,
            is_file,
            moves: is_file,
            ranges,
        })
    }

    /// Modification time in microseconds since 1970; `None` for objects, which become visible whole.
    pub(super) fn modified_us(&self) -> Option<i64> {
        self.state.modified.filter(|_| self.is_file).map(|at| at.0)
    }

    /// Location of the source, for messages.
    pub(super) fn location(&self) -> String {
        self.storage.location(&self.state.key)
    }

    /// Identifies the state on every machine: the device number of a shared directory differs between machines.
    pub(super) fn same_everywhere(&self) -> SourceVersion {
        let tag = &self.state.version.tag;
        let tag = if self.is_file {
            tag.split_once('-').map_or(tag.as_str(), |(_, rest)| rest)
        } else {
            tag
        };
        SourceVersion {
            tag: tag.to_owned(),
            id: self.state.version.id.clone(),
        }
    }

    /// Identifies the content for a later attempt.
    pub(super) fn identity(&self) -> String {
        let Version { tag, id } = &self.state.version;
        format!(
            "{} {tag} {} {}",
            self.location(),
            id.as_deref().unwrap_or("-"),
            self.state.bytes
        )
    }

    /// Whether any range can be read.
    pub(super) fn has_ranges(&self) -> bool {
        self.ranges
    }

    /// Fails when the content differs from the checksum of its storage, or when a file has changed. Other storages read
    /// one state or fail.
    pub(super) async fn check(&self, measured: &Measured) -> Result<(), Failure> {
        if measured.arrived != self.state.checksum {
            let text = |sum: Option<Checksum>| sum.map_or_else(String::new, |sum| sum.to_string());
            let (arrived, kept) = (text(measured.arrived), text(self.state.checksum));
            return Err(error_map::damaged(&self.location(), &arrived, &kept));
        }
        self.check_unchanged().await
    }

    /// Fails when a file has changed since it was opened.
    pub(super) async fn check_unchanged(&self) -> Result<(), Failure> {
        if !self.moves {
            return Ok(());
        }
        let now = self
            .storage
            .stat(&self.state.key)
            .await
            .map_err(|error| error_map::source(&error))?;
        match now.version == self.state.version {
            true => Ok(()),
            false => Err(error_map::changed(
                &self.location(),
                "its size or time moved",
            )),
        }
    }

    /// The whole content, when it is small.
    pub(super) async fn whole(
        &mut self,
        context: &StepContext,
    ) -> Result<(Vec<Bytes>, Option<MemoryPermit>), Failure> {
        if let Some(early) = self.early.take() {
            return Ok(early);
        }
        let held = context.storage.hold(self.state.bytes).await;
        let reading = read_all(
            Arc::clone(&self.storage),
            &self.state,
            RetryBudget::default(),
        );
        let pieces = reading
            .collect()
            .await
            .map_err(|error| error_map::source(&error))?;
        context.bytes.fetch_add(self.state.bytes, Ordering::Relaxed);
        Ok((pieces, held))
    }

    /// The ranges of all stretches of `bytes` bytes.
    pub(super) fn cuts(&self, bytes: u64) -> Vec<(u32, Range<u64>)> {
        cut(self.state.bytes, bytes).collect()
    }

    /// A reader of this source.
    pub(super) fn fetch(&self, context: &StepContext) -> Fetch {
        Fetch {
            is_file: self.is_file,
            known: None,
            storage: Arc::clone(&self.storage),
            state: self.state.clone(),
            registry: Arc::clone(&context.storage),
            moved: Arc::clone(&context.bytes),
        }
    }

    /// These stretches in order; `at_once` of them are read at the same time. A source without ranges is read in one
    /// stream.
    pub(super) fn stretches(
        &self,
        cuts: Vec<(u32, Range<u64>)>,
        at_once: usize,
        context: &StepContext,
        known: Option<Known>,
    ) -> BoxStream<'static, Result<Stretch, StorageError>> {
        let fetch = Fetch {
            known,
            ..self.fetch(context)
        };
        if !self.ranges {
            return fetch.in_order(cuts);
        }
        let fetch = Arc::new(fetch);
        // Memory is claimed in order: a later stretch never holds memory that an earlier one waits for.
        let claimed = stream::iter(cuts).then(move |(number, range)| {
            let fetch = Arc::clone(&fetch);
            async move {
                let held = fetch.registry.hold(range.end - range.start).await;
                (fetch, number, range, held)
            }
        });
        let fetched = claimed.map(|(fetch, number, range, held)| {
            AbortOnDropHandle::new(tokio::spawn(async move {
                fetch.stretch(number, range, held).await
            }))
        });
        let fetched = fetched.buffered(at_once.max(1));
        let flat = |fetched: Result<_, tokio::task::JoinError>| {
            fetched.unwrap_or_else(|error| {
                Err(StorageError::unavailable("this worker", error.to_string()))
            })
        };
        fetched.map(flat).boxed()
    }

    /// Reads the whole content for its measures.
    pub(super) async fn measure(
        &self,
        algorithms: &[HashAlgorithm],
        kind: ChecksumKind,
        stretch: (u64, usize),
        context: &StepContext,
    ) -> Result<Measured, Failure> {
        let mut measures = Measures::new(self.state.checksum, algorithms, Some(kind));
        let mut stretches = self.stretches(self.cuts(stretch.0), stretch.1, context, None);
        while let Some(stretch) = stretches.next().await {
            let stretch = stretch.map_err(|error| error_map::source(&error))?;
            measures = off_thread(
                stretch.pieces.iter().map(|piece| piece.len() as u64).sum(),
                move || {
                    measures.update(&stretch.pieces);
                    measures
                },
            )
            .await?;
        }
        let measured = measures.finish();
        self.check(&measured).await?;
        Ok(measured)
    }
}

/// The location to open, and the directory that a local one must stay below. Symbolic links to files are followed; those
/// on the path of a listed file or of a copy only within its base. With roots, the storage follows them as far as they
/// stay below their root.
async fn located(asset: &Asset, roots: &Roots) -> Result<(String, Option<PathBuf>), Failure> {
    let location = &asset.location;
    if !Scheme::is_local(location) {
        return Ok((location.clone(), None));
    }
    let below = base(asset);
    let base = below.clone().unwrap_or_else(|| PathBuf::from("/"));
    if below.is_none() && !roots.is_empty() {
        return Ok((location.clone(), Some(base)));
    }
    let path = local_path(location)
        .map_err(|error| Failure::permanent("location_unsupported", error.to_string()))?;
    let (asset, roots) = (asset.clone(), roots.clone());
    let looking = tokio::task::spawn_blocking(move || {
        if below.is_some() {
            open_file(&asset, &path, &roots).map_err(|error| file_errors::root(&error))?;
        }
        if !roots.is_empty() {
            return Ok((asset.location, Some(base)));
        }
        let real = |path: &Path| {
            std::fs::canonicalize(path)
                .map_err(|error| file_errors::source(path, file_errors::errno(&error)))
        };
        // The storage opens the path from the base again: a link that comes in between leads nowhere.
        Ok((
            format!("file:{}", real(&path)?.display()),
            Some(real(&base)?),
        ))
    });
    looking
        .await
        .unwrap_or_else(|error| Err(Failure::transient("worker_stopping", error.to_string())))
}

/// Reads small content without a request for its state. `None` in all other cases, which the usual path handles and
/// reports. A declared hash verifies the content; otherwise the checksum of its storage does.
async fn read_at_once(
    storage: &Arc<dyn Storage>,
    key: &str,
    asset: &Asset,
    bytes: u64,
    context: &StepContext,
) -> Option<Source> {
    let held = context.storage.hold(bytes).await;
    let (state, pieces) = if asset.hash.is_some() {
        let reading = storage.read(key, 0..bytes, None).await.ok()?;
        let version = reading
            .version
            .clone()
            .filter(|_| reading.whole_bytes == Some(bytes))?;
        let key = key.to_owned();
        let state = ObjectState {
            key,
            bytes,
            version,
            checksum: None,
            modified: None,
            class: None,
            archive: None,
        };
        (state, reading.collect().await.ok()?)
    } else {
        let (state, pieces) = storage.stat_with_content(key, bytes).await.ok()?;
        (state, pieces?)
    };
    if state.bytes != bytes {
        return None;
    }
    context.bytes.fetch_add(bytes, Ordering::Relaxed);
    let early = Some((pieces, held));
    Some(Source {
        storage: Arc::clone(storage),
        state,
        early,
        is_file: false,
        moves: false,
        ranges: true,
    })
}

/// Reads a small regular file in one step. `None` in all other cases, which the usual path handles: it follows symbolic
/// links.
async fn small_file(asset: &Asset, context: &StepContext, small_max: u64) -> Option<Source> {
    let bytes = asset
        .bytes
        .filter(|bytes| *bytes <= small_max && Scheme::is_local(&asset.location))?;
    let base = base(asset).unwrap_or_else(|| PathBuf::from("/"));
    let opened = context
        .storage
        .open(&asset.location, Some(&base))
        .await
        .ok()?;
    let held = context.storage.hold(bytes).await;
    let (state, pieces) = opened
        .storage
        .stat_with_content(&opened.key, bytes)
        .await
        .ok()?;
    let pieces = pieces?;
    context.bytes.fetch_add(state.bytes, Ordering::Relaxed);
    let early = Some((pieces, held));
    Some(Source {
        storage: opened.storage,
        state,
        early,
        is_file: true,
        moves: false,
        ranges: true,
    })
}
