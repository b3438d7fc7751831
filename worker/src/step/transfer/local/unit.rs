//! All assets of a unit, in batches: copy in parallel, put on disk together, publish, put the names on disk, write the
//! journal. A crash at any point leaves no visible file or a complete one.
use super::copied_asset::{CopiedAsset, CopyState, keep_modified};
use super::existing;
use super::large::Large;
use super::plan::{self, Plan};
use super::small::{self, Buffers};
use super::source::Source;
use crate::step::StepContext;
use crate::step::assets::Bases;
use crate::step::transfer::error_map::{self, Stop};
use crate::step::transfer::settings::Settings;
use ::mhl::journal;
use parking_lot::Mutex;
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::wire::report::UnitResult;
use protocol::wire::step::transfer::TransferTask;
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use storage::hash::Digest;
use storage::throttle::Budget;
use storage::{Directory, Durability, Partial, Root, sync_directories, sync_files};

/// Assets that share their syncs. Each holds a descriptor meanwhile, and a worker runs several units.
const BATCH_ASSETS: usize = 64;

/// Destination directories a unit keeps open.
const DIRECTORIES_MAX: usize = 32;

/// What a unit's lanes share.
struct Work<'a> {
    task: &'a TransferTask,
    root: &'a Root,
    context: &'a StepContext,
    settings: Settings,
    bases: Bases<'a>,
    /// Directories in use: opened, and searched for leftovers, once however many files go there.
    directories: Mutex<HashMap<PathBuf, Arc<Directory>>>,
}

/// Transfers all assets of a unit; blocking.
pub(crate) fn transfer(
    task: &TransferTask,
    assets: &[Asset],
    context: &StepContext,
    settings: Settings,
) -> UnitResult {
    let roots = context.storage.roots();
    let created = |path: PathBuf| {
        Root::create_within(&path, roots).map_err(|error| error_map::directory(&error))
    };
    let root = match plan::root(task).and_then(created) {
        Ok(root) => root,
        Err(failure) => return UnitResult::Failed(failure),
    };
    let work = Work {
        task,
        root: &root,
        context,
        settings,
        bases: Bases::new(roots),
        directories: Mutex::default(),
    };
    let mut lanes: Vec<Buffers> = (0..settings.lanes.max(1))
        .map(|_| Buffers::default())
        .collect();
    let (mut facts, mut failures, mut records) = (Vec::new(), Vec::new(), Vec::new());
    for batch in assets.chunks(BATCH_ASSETS) {
        let (copied, failed) = work.copy_batch(batch, &mut lanes);
        if context.cancel.is_cancelled() {
            return UnitResult::Cancelled;
        }
        let mut landed = Vec::with_capacity(copied.len());
        let mut refused = failed;
        work.publish_batch(copied, &mut landed, &mut refused);
        failures.extend(
            refused
                .into_iter()
                .map(|(index, failure)| (batch[index].id.clone(), failure)),
        );
        for landed in &landed {
            facts.push(landed.fact(&batch[landed.index]));
            records.push(landed.record(&batch[landed.index]));
        }
    }
    if task.mhl && !records.is_empty() {
        let written = journal::append(
            &root,
            &task.job,
            &context.worker,
            &records,
            settings.durability,
        );
        if let Err(error) = written {
            let path = root.path().join(journal::DIRECTORY);
            return UnitResult::Failed(error_map::destination(
                &path,
                "write the journal in",
                error_map::errno(&error),
            ));
        }
    }
    UnitResult::Finished { facts, failures }
}

impl Work<'_> {
    /// Copies a batch over all lanes; results in the order of the batch.
    fn copy_batch(
        &self,
        batch: &[Asset],
        lanes: &mut [Buffers],
    ) -> (Vec<CopiedAsset>, Vec<(usize, Failure)>) {
        let next = AtomicUsize::new(0);
        let results = Mutex::new((Vec::new(), Vec::new()));
        let lane = |buffers: &mut Buffers| {
            while !self.context.cancel.is_cancelled() {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(asset) = batch.get(index) else { break };
                match self.copy_asset(index, asset, buffers) {
                    Ok(landed) => results.lock().0.push(landed),
                    Err(Stop::Failed { failure, .. }) => results.lock().1.push((index, failure)),
                    Err(Stop::Cancelled) => break,
                }
            }
        };
        let used = lanes.len().min(batch.len()).max(1);
        std::thread::scope(|scope| {
            let lane = &lane;
            if let [first, others @ ..] = &mut lanes[..used] {
                for buffers in others {
                    scope.spawn(move || lane(buffers));
                }
                lane(first);
            }
        });
        let (mut landed, failed) = results.into_inner();
        landed.sort_by_key(|landed: &CopiedAsset| landed.index);
        (landed, failed)
    }

    fn copy_asset(
        &self,
        index: usize,
        asset: &Asset,
        buffers: &mut Buffers,
    ) -> Result<CopiedAsset, Stop> {
        let plan = Plan::new(self.task, self.root.path(), asset)?;
        let source = Source::open(asset, &plan.source, &self.bases)?;
        plan.check_size(asset, source.state.bytes, Some(source.state.modified_us()))?;
        let directory = self.directory(&plan.directory)?;
        let target = directory.path().join(&plan.name);
        let failed = |doing, errno| Stop::from(error_map::destination(&target, doing, errno));
        if let Some(found) = directory
            .entry(plan.name.as_ref())
            .map_err(|errno| failed("look at", errno))?
        {
            let (file, digests) = existing::compare(
                &plan,
                &source,
                &directory,
                &found,
                None,
                &self.context.cancel,
            )?;
            return CopiedAsset::found(index, plan, directory, file, digests)
                .map_err(|errno| failed("look at", errno));
        }
        let identity = source.identity();
        Partial::remove_stale(&directory, &plan.name, identity)
            .map_err(|errno| failed("remove stale partial files of", errno))?;
        let limits = self
            .context
            .storage
            .limits_of_files(&[&plan.source, &target]);
        let (partial, digests) = if source.state.bytes <= small::BYTES_MAX {
            for limit in &limits {
                limit.spend_blocking(source.state.bytes, || self.context.cancel.is_cancelled());
            }
            let copied = small::copy(&plan, &source, &directory, buffers)?;
            self.context
                .bytes
                .fetch_add(source.state.bytes, Ordering::Relaxed);
            copied
        } else {
            self.copy_large(&plan, (&source, &limits), &directory, &target)?
        };
        let modified_ns = keep_modified(partial.file(), &source)
            .map_err(|errno| failed("set the time of", errno))?;
        let bytes = source.state.bytes;
        // A large file is on disk already and becomes visible at once. Small ones wait for their batch: they share its
        // sync, and lanes that publish at the same time only wait for each other's lock on the directory.
        let large = bytes > small::BYTES_MAX;
        let content = CopyState::Staged(partial, source);
        let landed = CopiedAsset {
            index,
            plan,
            directory,
            digests,
            bytes,
            modified_ns,
            content,
        };
        if large {
            self.publish(landed)
        } else {
            Ok(landed)
        }
    }

    fn copy_large(
        &self,
        plan: &Plan,
        (source, limits): (&Source, &[Arc<Budget>]),
        directory: &Arc<Directory>,
        target: &Path,
    ) -> Result<(Partial, Vec<Digest>), Stop> {
        let partial = Partial::resumable(directory, &plan.name, source.identity());
        let partial = partial.map_err(|errno| error_map::destination(target, "create", errno))?;
        let (cancel, bytes) = (&self.context.cancel, &*self.context.bytes);
        let large = Large {
            plan,
            source,
            target,
            cancel,
            bytes,
            durability: self.settings.durability,
            limits,
        };
        match large.copy(&partial) {
            Ok(digests) => Ok((partial, digests)),
            Err(stop) => {
                if matches!(
                    stop,
                    Stop::Failed {
                        keep_partial: true,
                        ..
                    }
                ) {
                    partial.keep();
                }
                Err(stop)
            }
        }
    }

    /// Puts a batch's contents on disk, makes them visible and puts their names on disk.
    fn publish_batch(
        &self,
        copied: Vec<CopiedAsset>,
        landed: &mut Vec<CopiedAsset>,
        refused: &mut Vec<(usize, Failure)>,
    ) {
        let durable = self.settings.durability == Durability::PowerLoss;
        if durable {
            let files: Vec<(&File, u64)> =
                copied.iter().filter_map(CopiedAsset::unsynced).collect();
            if let Err(errno) = sync_files(&files) {
                refused.extend(
                    copied
                        .iter()
                        .map(|landed| (landed.index, landed.sync_failure(errno))),
                );
                return;
            }
        }
        let first = landed.len();
        for copied in copied {
            let index = copied.index;
            match self.publish(copied) {
                Ok(published) => landed.push(published),
                Err(Stop::Failed { failure, .. }) => refused.push((index, failure)),
                // Only a comparison can be cancelled here; the end of the unit reports it.
                Err(Stop::Cancelled) => {}
            }
        }
        if durable {
            let mut directories = self.root.take_created_in();
            directories.extend(
                landed[first..]
                    .iter()
                    .map(|landed| Arc::clone(&landed.directory)),
            );
            if let Err(errno) = sync_directories(&directories) {
                refused.extend(
                    landed
                        .drain(first..)
                        .map(|landed| (landed.index, landed.sync_failure(errno))),
                );
            }
        }
    }

    /// Makes a staged asset visible; what is visible already passes through.
    fn publish(&self, mut landed: CopiedAsset) -> Result<CopiedAsset, Stop> {
        let (partial, source) = match landed.content {
            CopyState::Staged(partial, source) => (partial, source),
            _ => return Ok(landed),
        };
        let directory = Arc::clone(&landed.directory);
        let target = directory.path().join(&landed.plan.name);
        match partial.publish(&landed.plan.name) {
            Ok(()) => {
                landed.content = CopyState::Published;
                Ok(landed)
            }
            // Another copier, or another asset of this unit with the same target, was first.
            Err(Errno::EXIST) => {
                let failed = |errno| Stop::from(error_map::destination(&target, "look at", errno));
                let found = directory.entry(landed.plan.name.as_ref()).map_err(failed)?;
                let found = found.ok_or_else(|| failed(Errno::NOENT))?;
                let (plan, cancel) = (&landed.plan, &self.context.cancel);
                let known = Some(landed.digests.as_slice());
                let (file, digests) =
                    existing::compare(plan, &source, &directory, &found, known, cancel)?;
                CopiedAsset::found(landed.index, landed.plan, directory, file, digests)
                    .map_err(failed)
            }
            Err(errno) => Err(error_map::destination(&target, "publish", errno).into()),
        }
    }

    fn directory(&self, relative: &Path) -> Result<Arc<Directory>, Failure> {
        if let Some(known) = self.directories.lock().get(relative) {
            return Ok(Arc::clone(known));
        }
        let opened = self
            .root
            .directory(relative)
            .map_err(|error| error_map::directory(&error))?;
        let mut directories = self.directories.lock();
        // Each holds a descriptor; files mostly come directory by directory, so forgetting all costs little.
        if directories.len() >= DIRECTORIES_MAX {
            directories.clear();
        }
        directories.insert(relative.to_owned(), Arc::clone(&opened));
        Ok(opened)
    }
}
