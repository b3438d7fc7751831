//! The destination of a unit: the storage of the target's root, and the key of each asset below it.
use super::error_map::{self, conflict, unversioned};
use super::on_conflict::OnConflict;
use crate::step::StepContext;
use crate::step::transfer::local::plan;
use ::mhl::journal;
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::media::template;
use protocol::model::location::Scheme;
use protocol::wire::step::transfer::TransferTask;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::hash::Digest;
use storage::retry::{RetryBudget, retry};
use storage::{
    Checksum, ChecksumKind, MultipartUploads, ObjectState, Precondition, Storage, StorageError,
    content,
};
use tokio_util::sync::CancellationToken;

/// Reason code of a request without sufficient rights.
pub(super) const DENIED: &str = "storage_denied";

/// The root of a transfer's target. Nothing is written above it.
pub(super) struct Target {
    storage: Arc<dyn Storage>,
    /// Key of the root, without a trailing slash.
    key: String,
    /// The root as the target spells it.
    text: String,
    directory: Option<PathBuf>,
    on_conflict: OnConflict,
}

/// The destination of one asset.
#[derive(Clone)]
pub(super) struct TargetObject {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) key: String,
    /// Handling of different content.
    pub(super) on_conflict: OnConflict,
}

/// The content of an asset by its measures.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) bytes: u64,
    pub(super) digests: Vec<Digest>,
    /// The checksum that the destination verifies.
    pub(super) checksum: Option<Checksum>,
}

impl Target {
    /// Opens the root of a transfer's target.
    pub(super) async fn open(
        task: &TransferTask,
        on_conflict: OnConflict,
        context: &StepContext,
    ) -> Result<Target, Failure> {
        let invalid = |message: String| Failure::permanent("target_invalid", message);
        template::check(&task.to).map_err(|error| invalid(error.to_string()))?;
        let directory = match Scheme::is_local(&task.to) {
            true => Some(plan::root(task)?),
            false => None,
        };
        let root = template::root(&task.to).trim_end_matches('/');
        let opened = match &directory {
            // A name below the root, so that the storage is bound to the root itself.
            Some(path) => {
                context
                    .storage
                    .open(&format!("file:{}", path.join("x").display()), Some(path))
                    .await
            }
            None => context.storage.open(root, None).await,
        };
        let opened = opened.map_err(|error| match error {
            StorageError::Invalid { .. } => invalid(error.to_string()),
            error => error.failure(),
        })?;
        if !opened.storage.capabilities().write {
            return Err(invalid(format!(
                "target {:?} can only be read: write to file:, s3:// or gs://",
                task.to
            )));
        }
        let key = match &directory {
            Some(_) => opened.key.strip_suffix('x').unwrap_or_default(),
            None => opened.key.as_str(),
        };
        let key = key.trim_matches('/').to_owned();
        Ok(Target {
            storage: opened.storage,
            key,
            text: root.to_owned(),
            directory,
            on_conflict,
        })
    }

    /// The root as a directory, when it is one.
    pub(super) fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// The root's storage and key.
    pub(super) fn root(&self) -> (&dyn Storage, &str) {
        (&*self.storage, &self.key)
    }

    /// The destination of an asset, and its path below the root.
    pub(super) fn object(
        &self,
        task: &TransferTask,
        asset: &Asset,
    ) -> Result<(TargetObject, String), Failure> {
        let invalid = |message: String| Failure::permanent("target_invalid", message);
        let expanded =
            template::expand(&task.to, asset).map_err(|error| invalid(error.to_string()))?;
        let below = expanded
            .strip_prefix(&self.text)
            .and_then(|rest| rest.strip_prefix('/'));
        let below = below.ok_or_else(|| invalid(format!("target {expanded:?} leaves its root")))?;
        if below.is_empty()
            || below.ends_with('/')
            || below.split('/').next() == Some(journal::DIRECTORY)
        {
            let message = format!(
                "target {expanded:?} names a directory that is not for assets: change the target"
            );
            return Err(invalid(message));
        }
        let key = if self.key.is_empty() {
            below.to_owned()
        } else {
            format!("{}/{below}", self.key)
        };
        Ok((
            TargetObject {
                storage: Arc::clone(&self.storage),
                key,
                on_conflict: self.on_conflict,
            },
            below.to_owned(),
        ))
    }
}

impl TargetObject {
    /// Location of the object, for messages and facts.
    pub(super) fn location(&self) -> String {
        self.storage.location(&self.key)
    }

    /// The multipart uploads of its storage.
    pub(super) fn uploads(&self) -> Result<&dyn MultipartUploads, Failure> {
        self.storage
            .multipart(&self.key)
            .map_err(|error| error_map::destination(&error))
    }

    /// The state of the object; `None` when there is none.
    pub(super) async fn stat(&self) -> Result<Option<ObjectState>, Failure> {
        match retry(RetryBudget::default(), || self.storage.stat(&self.key)).await {
            Ok(found) => Ok(Some(found)),
            Err(StorageError::NotFound(_)) => Ok(None),
            Err(error) => Err(error_map::destination(&error)),
        }
    }

    /// The state of the object as far as it may be read. A write-only bucket refuses the request; when it checks
    /// preconditions, the state is not needed.
    pub(super) async fn stat_where_allowed(&self) -> Result<Option<ObjectState>, Failure> {
        match self.stat().await {
            Err(failure) if failure.reason == DENIED && self.storage.capabilities().create_only => {
                Ok(None)
            }
            looked => looked,
        }
    }

    /// The precondition of a commit. `found` is different content at the destination: a conflict, unless it may be
    /// replaced. Then it stays as an older version.
    pub(super) async fn condition(
        &self,
        found: Option<(&ObjectState, String)>,
    ) -> Result<Precondition, Failure> {
        let Some((found, how)) = found else {
            return Ok(Precondition::IfAbsent);
        };
        if self.on_conflict == OnConflict::Fail {
            return Err(conflict(&self.location(), &how));
        }
        let Some(versions) = self.storage.capabilities().versions else {
            return Err(unversioned(&self.location(), &how));
        };
        match retry(RetryBudget::default(), || versions.keep(found)).await {
            Ok(condition) => Ok(condition),
            Err(StorageError::Unsupported { .. }) => Err(unversioned(&self.location(), &how)),
            // The object was removed or replaced since.
            Err(error @ (StorageError::Precondition { .. } | StorageError::NotFound(_))) => {
                Err(Failure::transient("destination_moving", error.to_string()))
            }
            Err(error) => Err(error_map::destination(&error)),
        }
    }

    /// Compares an existing object with `ours` and describes the difference. The object is read only without a
    /// comparable checksum.
    pub(super) async fn differs(
        &self,
        found: &ObjectState,
        ours: &Content,
        cancel: &CancellationToken,
    ) -> Result<Option<String>, Failure> {
        if found.bytes != ours.bytes {
            return Ok(Some(format!(
                "has {} bytes, the source {}",
                found.bytes, ours.bytes
            )));
        }
        if let (Some(theirs), Some(our)) = (found.checksum, ours.checksum)
            && theirs.kind() == our.kind()
        {
            if theirs != our {
                return Ok(Some(format!("has {theirs}, the source {our}")));
            }
            // 32 bits detect damage, but are too few to distinguish contents.
            if theirs.kind() == ChecksumKind::Crc64nvme || ours.digests.is_empty() {
                return Ok(None);
            }
        }
        let differing = self.read_back(found, ours, cancel).await?;
        Ok(differing.map(|(sent, back)| format!("hashes to {back}, the source to {sent}")))
    }

    /// Reads an object and compares its digests. Returns the first difference: ours and theirs.
    pub(super) async fn read_back(
        &self,
        found: &ObjectState,
        ours: &Content,
        cancel: &CancellationToken,
    ) -> Result<Option<(Digest, Digest)>, Failure> {
        let algorithms: Vec<_> = ours.digests.iter().map(|digest| digest.algorithm).collect();
        let read =
            content::digests(Arc::clone(&self.storage), found, &algorithms, None, cancel).await;
        let read = read.map_err(|error| match error {
            StorageError::Precondition { .. } | StorageError::NotFound(_) => {
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
