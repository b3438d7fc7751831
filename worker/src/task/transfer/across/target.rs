//! Where a unit's assets go: the storage behind the target's root, and the key of each asset below it.
use super::super::plan;
use super::fault::{self, conflict, unversioned};
use super::on_conflict::OnConflict;
use crate::task::TaskContext;
use ::mhl::journal;
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::media::template;
use protocol::wire::unit::TransferTask;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::hash::Digest;
use storage::persist::{Patience, persist};
use storage::{Checksum, ChecksumKind, Condition, ObjectState, Storage, StorageError, content};
use tokio_util::sync::CancellationToken;

/// Why a storage refuses a request for want of rights.
const DENIED: &str = "storage_denied";

/// The root that nothing of a task may be written above.
pub(super) struct Target {
    storage: Arc<dyn Storage>,
    /// Its key, without a slash at its end.
    key: String,
    /// As the target spells it.
    text: String,
    directory: Option<PathBuf>,
    on_conflict: OnConflict,
}

/// One asset's destination.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) key: String,
    /// What becomes of other content there.
    pub(super) on_conflict: OnConflict,
}

/// What an asset's content is, by every measure taken of it.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) bytes: u64,
    pub(super) digests: Vec<Digest>,
    /// As the destination computes it.
    pub(super) checksum: Option<Checksum>,
}

impl Target {
    /// Opens the root of a task's target.
    pub(super) async fn open(
        task: &TransferTask,
        on_conflict: OnConflict,
        context: &TaskContext,
    ) -> Result<Target, Failure> {
        let invalid = |message: String| Failure::permanent("target_invalid", message);
        template::check(&task.to).map_err(|error| invalid(error.to_string()))?;
        let directory = match task.to.starts_with("file:") {
            true => Some(plan::root(task)?),
            false => None,
        };
        let root = template::root(&task.to).trim_end_matches('/');
        let opened = match &directory {
            // A name below it, so that the storage is bound to the root itself.
            Some(path) => context.storage.open(&format!("file:{}", path.join("x").display()), Some(path)).await,
            None => context.storage.open(root, None).await,
        };
        let opened = opened.map_err(|error| match error {
            StorageError::Invalid { .. } => invalid(error.to_string()),
            error => error.failure(),
        })?;
        if !opened.storage.capabilities().write {
            return Err(invalid(format!("target {:?} can only be read: write to file:, s3:// or gs://", task.to)));
        }
        let key = match &directory {
            Some(_) => opened.key.strip_suffix('x').unwrap_or_default(),
            None => opened.key.as_str(),
        };
        let key = key.trim_matches('/').to_owned();
        Ok(Target { storage: opened.storage, key, text: root.to_owned(), directory, on_conflict })
    }

    /// The root as a directory, when it is one.
    pub(super) fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// The root's storage and key.
    pub(super) fn root(&self) -> (&dyn Storage, &str) {
        (&*self.storage, &self.key)
    }

    /// Where an asset goes, and its path below the root.
    pub(super) fn place(&self, task: &TransferTask, asset: &Asset) -> Result<(Place, String), Failure> {
        let invalid = |message: String| Failure::permanent("target_invalid", message);
        let expanded = template::expand(&task.to, asset).map_err(|error| invalid(error.to_string()))?;
        let below = expanded.strip_prefix(&self.text).and_then(|rest| rest.strip_prefix('/'));
        let below = below.ok_or_else(|| invalid(format!("target {expanded:?} leaves its root")))?;
        if below.is_empty() || below.ends_with('/') || below.split('/').next() == Some(journal::DIRECTORY) {
            let message = format!("target {expanded:?} names a directory that is not for assets: change the target");
            return Err(invalid(message));
        }
        let key = if self.key.is_empty() { below.to_owned() } else { format!("{}/{below}", self.key) };
        Ok((Place { storage: Arc::clone(&self.storage), key, on_conflict: self.on_conflict }, below.to_owned()))
    }
}

impl Place {
    /// Its location, for messages and facts.
    pub(super) fn location(&self) -> String {
        self.storage.location(&self.key)
    }

    /// What is there.
    pub(super) async fn look(&self) -> Result<Option<ObjectState>, Failure> {
        match persist(Patience::default(), || self.storage.stat(&self.key)).await {
            Ok(found) => Ok(Some(found)),
            Err(StorageError::NotFound(_)) => Ok(None),
            Err(error) => Err(fault::destination(&error)),
        }
    }

    /// What is there, as far as it may be seen: a bucket that only takes content refuses every look, or every look at what
    /// is not there. Where the other side judges that nothing is replaced, nothing has to be seen.
    pub(super) async fn look_where_allowed(&self) -> Result<Option<ObjectState>, Failure> {
        match self.look().await {
            Err(failure) if failure.reason == DENIED && self.storage.capabilities().create_only => Ok(None),
            looked => looked,
        }
    }

    /// What a commit has to find there. `found` is what was seen: nothing, or content that is not the source's, which
    /// is a conflict unless it may be replaced. Then it is sure to stay as an older version.
    pub(super) async fn condition(&self, found: Option<(&ObjectState, String)>) -> Result<Condition, Failure> {
        let Some((found, how)) = found else { return Ok(Condition::Free) };
        if self.on_conflict == OnConflict::Refused {
            return Err(conflict(&self.location(), &how));
        }
        match persist(Patience::default(), || self.storage.keep_version(found)).await {
            Ok(condition) => Ok(condition),
            Err(StorageError::Unsupported { .. }) => Err(unversioned(&self.location(), &how)),
            // It went, or was replaced, since it was seen.
            Err(error @ (StorageError::Condition { .. } | StorageError::NotFound(_))) => {
                Err(Failure::transient("destination_moving", error.to_string()))
            }
            Err(error) => Err(fault::destination(&error)),
        }
    }

    /// Compares what is there with `ours`; says how it differs. Read only where no checksum tells.
    pub(super) async fn differs(
        &self,
        found: &ObjectState,
        ours: &Content,
        cancel: &CancellationToken,
    ) -> Result<Option<String>, Failure> {
        if found.bytes != ours.bytes {
            return Ok(Some(format!("has {} bytes, the source {}", found.bytes, ours.bytes)));
        }
        if let (Some(theirs), Some(our)) = (found.checksum, ours.checksum)
            && theirs.kind() == our.kind()
        {
            if theirs != our {
                return Ok(Some(format!("has {theirs}, the source {our}")));
            }
            // 32 bits tell damage from its absence, but are too few to tell one file from another.
            if theirs.kind() == ChecksumKind::Crc64nvme || ours.digests.is_empty() {
                return Ok(None);
            }
        }
        let differing = self.read_back(found, ours, cancel).await?;
        Ok(differing.map(|(sent, back)| format!("hashes to {back}, the source to {sent}")))
    }

    /// Reads what is there and compares its digests; the first that differs, ours and theirs.
    pub(super) async fn read_back(
        &self,
        found: &ObjectState,
        ours: &Content,
        cancel: &CancellationToken,
    ) -> Result<Option<(Digest, Digest)>, Failure> {
        let algorithms: Vec<_> = ours.digests.iter().map(|digest| digest.algorithm).collect();
        let read = content::digests(Arc::clone(&self.storage), found, &algorithms, None, cancel).await;
        let read = read.map_err(|error| match error {
            StorageError::Condition { .. } | StorageError::NotFound(_) => {
                Failure::transient("destination_moving", error.to_string())
            }
            error => error.failure(),
        });
        let Some(theirs) = read? else {
            return Err(Failure::transient("cancelled", "the unit was revoked"));
        };
        let mut pairs = ours.digests.iter().cloned().zip(theirs);
        Ok(pairs.find(|(sent, back)| sent != back))
    }
}
