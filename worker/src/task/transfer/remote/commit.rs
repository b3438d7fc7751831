//! Commits the object exactly once. After a lost reply the result is looked up, never re-sent.
use super::error_map;
use super::target::{Content, DENIED, TargetObject};
use protocol::failure::Failure;
use std::future::Future;
use storage::retry::{RetryBudget, retry};
use storage::{ObjectState, Precondition, StorageError};
use tokio_util::sync::CancellationToken;

/// Consecutive lost replies to one commit before it fails.
const LOST_ANSWERS_MAX: u32 = 5;
/// Consecutive replacements of different content before the commit fails.
const REPLACED_MAX: u32 = 5;

/// Outcome of a commit.
pub(super) enum Committed {
    /// The content is new at the destination.
    New(ObjectState),
    /// The same content existed already.
    Found(ObjectState),
}

/// Why a commit failed.
pub(super) enum Uncommitted {
    /// The asset failed.
    Failed(Failure),
    /// The storage no longer knows the upload: it begins again.
    Gone(StorageError),
}

impl From<Failure> for Uncommitted {
    fn from(failure: Failure) -> Uncommitted {
        Uncommitted::Failed(failure)
    }
}

impl From<Uncommitted> for Failure {
    fn from(uncommitted: Uncommitted) -> Failure {
        match uncommitted {
            Uncommitted::Failed(failure) => failure,
            Uncommitted::Gone(error) => error_map::destination(&error),
        }
    }
}

/// Commits `ours` by `call`, which may be called again with another precondition. `condition` is the first one.
pub(super) async fn commit<F>(
    object: &TargetObject,
    ours: &Content,
    cancel: &CancellationToken,
    mut condition: Precondition,
    mut call: impl FnMut(Precondition) -> F,
) -> Result<Committed, Uncommitted>
where
    F: Future<Output = Result<ObjectState, StorageError>>,
{
    let (mut lost, mut replaced) = (0, 0);
    while lost < LOST_ANSWERS_MAX {
        let error = match retry(RetryBudget::default(), || call(condition.clone())).await {
            Ok(state) => return Ok(Committed::New(state)),
            Err(error) => error,
        };
        let unknown = matches!(error, StorageError::Unknown { .. });
        if !unknown
            && !matches!(
                error,
                StorageError::Precondition { .. } | StorageError::UploadGone(_)
            )
        {
            return Err(Uncommitted::Failed(error_map::destination(&error)));
        }
        lost += u32::from(unknown);
        let looked = match object.stat().await {
            Err(failure) if failure.reason == DENIED => match error {
                // The precondition of the next request finds out what the state cannot tell.
                StorageError::Unknown { .. } => {
                    RetryBudget::default().wait(lost).await;
                    continue;
                }
                StorageError::UploadGone(location) if lost == 0 => {
                    return Err(Uncommitted::Gone(StorageError::UploadGone(location)));
                }
                _ => {
                    return Err(Uncommitted::Failed(error_map::unseen(
                        &object.location(),
                        &failure.message,
                    )));
                }
            },
            looked => looked?,
        };
        match (looked, error) {
            (Some(found), error) => {
                let Some(how) = object.differs(&found, ours, cancel).await? else {
                    return Ok(if lost > 0 {
                        Committed::New(found)
                    } else {
                        Committed::Found(found)
                    });
                };
                replaced += 1;
                condition = object.condition(Some((&found, how))).await?;
                if let StorageError::UploadGone(location) = error {
                    return Err(Uncommitted::Gone(StorageError::UploadGone(location)));
                }
                if replaced > REPLACED_MAX {
                    let said = format!(
                        "{} is replaced by others again and again",
                        object.location()
                    );
                    return Err(Failure::transient("destination_moving", said).into());
                }
            }
            (None, StorageError::Unknown { .. }) => RetryBudget::default().wait(lost).await,
            (None, StorageError::UploadGone(location)) => {
                return Err(Uncommitted::Gone(StorageError::UploadGone(location)));
            }
            (None, error) => {
                // The conflicting object has been removed since.
                return Err(Uncommitted::Failed(Failure::transient(
                    "destination_moving",
                    error.to_string(),
                )));
            }
        }
    }
    let said = format!(
        "{lost} answers to the commit of {} were lost: it is tried again",
        object.location()
    );
    Err(Uncommitted::Failed(Failure::transient(
        "storage_unavailable",
        said,
    )))
}

/// Reads back content that is not verified otherwise, and removes a wrong copy.
pub(super) async fn prove(
    object: &TargetObject,
    state: &ObjectState,
    ours: &Content,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    let Some((sent, back)) = object.read_back(state, ours, cancel).await? else {
        return Ok(());
    };
    let removal = || object.storage.delete(&object.key, Some(&state.version));
    if let Err(error) = retry(RetryBudget::default(), removal).await {
        tracing::error!(%error, location = object.location(), "a wrong copy could not be removed");
    }
    Err(error_map::unproven(
        &object.location(),
        &sent.to_string(),
        &back.to_string(),
    ))
}
