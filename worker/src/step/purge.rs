//! Removes content permanently, after a copy of it is verified at another place in the same execution. Records of the
//! catalogue or of earlier steps are no proof: [`protocol::rules::storage::purge`] decides over the observed state.
//!
//! Each removal is reported before the unit ends. A unit that is interrupted in between finds the object missing and
//! the copy present, and reports exactly that.
use super::probe::{Probes, Side};
use super::{Effect, StepContext, assets};
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::media::template::{follow, root};
use protocol::model::hash::{HashAlgorithm, parse_hash};
use protocol::model::location::shown;
use protocol::model::purge_proof::PurgeProof;
use protocol::rules::storage::purge::{ContentState, Evidence, PurgeDecision, decide};
use protocol::wire::report::{Burial, UnitResult};
use protocol::wire::step::purge::PurgeTask;
use protocol::wire::unit::Unit;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, LazyLock};
use storage::content::digests;
use storage::retry::{RetryBudget, retry};
use storage::{Checksum, ObjectState, Storage, StorageError, local_path};

/// The hash for the comparison of two copies, when the asset declares none.
const USUAL: HashAlgorithm = HashAlgorithm::Xxh128;

/// What is known of pairs of places, for all units of the process.
static PROBES: LazyLock<Probes> = LazyLock::new(Probes::default);

/// Purges every asset of a unit, or reports the reason not to.
pub async fn run(task: &PurgeTask, unit: &Unit, context: &StepContext) -> UnitResult {
    if task.keep.is_empty() || task.ordered_by.trim().is_empty() || task.reason.trim().is_empty() {
        let message = "the job does not state which copy stays, who orders the purge and why: nothing was removed";
        return UnitResult::Failed(Failure::permanent("purge_not_ordered", message));
    }
    let purged = assets::each(unit, context, |asset| purge(task, unit, asset, context)).await;
    let Some(purged) = purged else {
        return UnitResult::Cancelled;
    };
    let failures = purged
        .into_iter()
        .filter_map(|(asset, done)| Some((asset.id.clone(), done.err()?)));
    UnitResult::Finished {
        facts: Vec::new(),
        failures: failures.collect(),
    }
}

/// An object and its storage.
struct LocatedObject {
    location: String,
    storage: Arc<dyn Storage>,
    key: String,
    /// State of the object; `None` when there is none.
    state: Option<ObjectState>,
}

impl LocatedObject {
    /// The object of an asset after it went through these targets; its own without any. A local one is opened below the
    /// root of the last target or the base of the asset, so that no symbolic link leads to another file.
    async fn stat(
        targets: &[String],
        asset: &Asset,
        context: &StepContext,
    ) -> Result<LocatedObject, Failure> {
        let failed = |error: StorageError| error.failure();
        let location = follow(targets, asset)
            .map_err(|error| Failure::permanent("purge_invalid", error.to_string()))?;
        let base = match targets.last() {
            Some(target) => local_path(root(target)).ok(),
            None => assets::base(asset),
        };
        let opened = context
            .storage
            .open(&location, base.as_deref())
            .await
            .map_err(failed)?;
        let (storage, key) = (opened.storage, opened.key);
        let state = match retry(RetryBudget::default(), || storage.stat(&key)).await {
            Ok(state) => Some(state),
            Err(StorageError::NotFound(_)) => None,
            Err(error) => return Err(failed(error)),
        };
        Ok(LocatedObject {
            location,
            storage,
            key,
            state,
        })
    }

    /// Hash of the content, read now; `None` when there is no object.
    async fn read(
        &self,
        algorithm: HashAlgorithm,
        context: &StepContext,
    ) -> Result<Option<ContentState>, StorageError> {
        let Some(state) = &self.state else {
            return Ok(None);
        };
        let moved = Some(&*context.bytes);
        let read = digests(
            Arc::clone(&self.storage),
            state,
            &[algorithm],
            moved,
            &context.cancel,
        )
        .await?;
        // Cancelled: the unit ends before this result is used.
        let digest = read.and_then(|digests| digests.into_iter().next());
        Ok(digest.map(|digest| ContentState {
            bytes: state.bytes,
            hash: digest.to_string(),
        }))
    }

    /// Hash of the content that the storage keeps.
    fn vouched(&self) -> Result<Option<ContentState>, Failure> {
        let Some(state) = &self.state else {
            return Ok(None);
        };
        match state.checksum {
            Some(sum @ Checksum::Crc64nvme(_)) => Ok(Some(ContentState {
                bytes: state.bytes,
                hash: sum.to_string(),
            })),
            _ => {
                let message = format!(
                    "the storage of {} keeps no CRC-64/NVME of the whole: say `proof: content`, which reads it",
                    self.location
                );
                Err(Failure::permanent("purge_unproven", message))
            }
        }
    }
}

async fn purge(
    task: &PurgeTask,
    unit: &Unit,
    asset: &Asset,
    context: &StepContext,
) -> Result<(), Failure> {
    let failed = |error: StorageError| error.failure();
    let of = LocatedObject::stat(&task.of, asset, context).await?;
    let keep = LocatedObject::stat(&task.keep, asset, context).await?;
    let declared = asset.hash.as_deref().and_then(|text| parse_hash(text).ok());
    let algorithm = match task.proof {
        PurgeProof::Content => declared.as_ref().map_or(USUAL, |(algorithm, _)| *algorithm),
        PurgeProof::Checksum => HashAlgorithm::Crc64nvme,
    };
    let declared = declared.filter(|(declared, _)| *declared == algorithm);
    let (seen, kept) = match task.proof {
        PurgeProof::Content => {
            tokio::join!(of.read(algorithm, context), keep.read(algorithm, context))
        }
        PurgeProof::Checksum => (of.read(algorithm, context).await, Ok(keep.vouched()?)),
    };
    let mut evidence = Evidence {
        of: seen.map_err(failed)?,
        keep: kept.map_err(failed)?,
        same_object: same_object(&of, &keep),
        declared: declared.map(|(algorithm, digest)| format!("{}:{digest}", algorithm.as_str())),
    };
    if decide(&evidence) == PurgeDecision::Remove {
        evidence.same_object = one_place(&of, &keep).await?;
    }
    let found_gone = match decide(&evidence) {
        PurgeDecision::Remove => false,
        PurgeDecision::Gone => true,
        refused => return Err(refusal(refused, &evidence, &of.location, &keep.location)),
    };
    if let (false, false, Some(state)) = (found_gone, task.dry_run, &of.state) {
        let same = Some(&state.version);
        retry(RetryBudget::default(), || of.storage.delete(&of.key, same))
            .await
            .map_err(failed)?;
    }
    let content = evidence.of.or(evidence.keep);
    let burial = Burial {
        asset: asset.id.clone(),
        location: shown(&of.location).into_owned(),
        version: of
            .state
            .map(|state| state.version.id.unwrap_or(state.version.tag))
            .unwrap_or_default(),
        bytes: content.as_ref().map_or(0, |seen| seen.bytes),
        hash: content.map(|seen| seen.hash).unwrap_or_default(),
        copy: shown(&keep.location).into_owned(),
        proof: task.proof,
        found_gone,
        dry_run: task.dry_run,
    };
    let tombstones = Effect::Tombstones {
        unit: unit.id,
        epoch: unit.epoch,
        burials: vec![burial],
    };
    context.effects.send(tombstones).await
}

/// Whether two places with different names are one.
async fn one_place(of: &LocatedObject, keep: &LocatedObject) -> Result<bool, Failure> {
    let side = |object: &LocatedObject| Side::of(Arc::clone(&object.storage), &object.key);
    PROBES.are_one(&side(of), &side(keep)).await.map_err(|error| match error.class().retryable() {
        true => error.failure(),
        false => Failure::permanent(
            "purge_unproven",
            format!(
                "{} was not removed: whether {} is another object or the same one under another name cannot be \
                 established ({error}): allow writing next to both",
                of.location, keep.location
            ),
        ),
    })
}

/// Whether two names belong to one object: the same key of the same bucket, or one file under two names.
fn same_object(of: &LocatedObject, keep: &LocatedObject) -> bool {
    if of.location == keep.location {
        return true;
    }
    let source = |object: &LocatedObject| {
        object
            .storage
            .server_copy(&object.key)
            .ok()?
            .source(object.state.as_ref()?)
    };
    if let (Some(a), Some(b)) = (source(of), source(keep))
        && (&a.domain, &a.container, &a.key) == (&b.domain, &b.container, &b.key)
    {
        return true;
    }
    let inode = |object: &LocatedObject| {
        let metadata = std::fs::metadata(local_path(&object.location).ok()?).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    inode(of).is_some_and(|inode_of| Some(inode_of) == inode(keep))
}

fn refusal(why: PurgeDecision, evidence: &Evidence, of: &str, keep: &str) -> Failure {
    let described = |seen: &Option<ContentState>| {
        seen.as_ref().map_or_else(
            || "nothing".to_owned(),
            |seen| format!("{} ({} bytes)", seen.hash, seen.bytes),
        )
    };
    let message = match why {
        PurgeDecision::NoCopy => {
            format!("{of} was not removed: there is no copy at {keep}; make one, then retry")
        }
        PurgeDecision::SameObject => {
            format!(
                "{of} was not removed: {keep} is the same object under another name, not a copy of it; keep another copy"
            )
        }
        PurgeDecision::NotDeclared => format!(
            "{of} was not removed: it holds {}, declared is {}; find out which is right",
            described(&evidence.of),
            evidence.declared.as_deref().unwrap_or_default()
        ),
        PurgeDecision::Differs | PurgeDecision::Remove | PurgeDecision::Gone => format!(
            "{of} was not removed: it holds {}, the copy at {keep} {}; make a right copy, then retry",
            described(&evidence.of),
            described(&evidence.keep)
        ),
    };
    Failure::permanent("purge_unproven", message)
}
