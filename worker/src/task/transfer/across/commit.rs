//! Becoming visible, once. An answer that is lost is looked for instead of asking again.
use super::fault;
use super::target::{Content, Place};
use protocol::failure::Failure;
use std::future::Future;
use storage::persist::{Patience, persist};
use storage::{Condition, ObjectState, StorageError};
use tokio_util::sync::CancellationToken;

/// Answers to one commit that may be lost in a row.
const LOST_ANSWERS_MAX: u32 = 5;
/// Times that something else may be found at the destination in a row and be replaced.
const REPLACED_MAX: u32 = 5;

/// How content came to be at its destination.
pub(super) enum Committed {
    /// It was put there now.
    New(ObjectState),
    /// It was there already.
    Found(ObjectState),
}

/// Why a commit did not happen.
pub(super) enum Uncommitted {
    /// The asset failed.
    Failed(Failure),
    /// The upload is not known any more: it is begun again.
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
            Uncommitted::Gone(error) => fault::destination(&error),
        }
    }
}

/// Commits `ours` by `call`, which may be called again. It asks for the condition it is given: nothing is there, or what
/// may be replaced is; `condition` is the first.
pub(super) async fn commit<F>(
    place: &Place,
    ours: &Content,
    cancel: &CancellationToken,
    mut condition: Condition,
    mut call: impl FnMut(Condition) -> F,
) -> Result<Committed, Uncommitted>
where
    F: Future<Output = Result<ObjectState, StorageError>>,
{
    let (mut lost, mut replaced) = (0, 0);
    while lost < LOST_ANSWERS_MAX {
        let error = match persist(Patience::default(), || call(condition.clone())).await {
            Ok(state) => return Ok(Committed::New(state)),
            Err(error) => error,
        };
        let unknown = matches!(error, StorageError::Unknown { .. });
        if !unknown && !matches!(error, StorageError::Condition { .. } | StorageError::UploadGone(_)) {
            return Err(Uncommitted::Failed(fault::destination(&error)));
        }
        lost += u32::from(unknown);
        let looked = match (place.look().await, &error) {
            (Err(failure), StorageError::Condition { .. }) if failure.reason == "storage_denied" => {
                return Err(Uncommitted::Failed(fault::unseen(&place.location(), &failure.message)));
            }
            (looked, _) => looked?,
        };
        match (looked, error) {
            (Some(found), error) => {
                let Some(how) = place.differs(&found, ours, cancel).await? else {
                    return Ok(if lost > 0 { Committed::New(found) } else { Committed::Found(found) });
                };
                replaced += 1;
                condition = place.condition(Some((&found, how))).await?;
                if let StorageError::UploadGone(location) = error {
                    return Err(Uncommitted::Gone(StorageError::UploadGone(location)));
                }
                if replaced > REPLACED_MAX {
                    let said = format!("{} is replaced by others again and again", place.location());
                    return Err(Failure::transient("destination_moving", said).into());
                }
            }
            (None, StorageError::Unknown { .. }) => Patience::default().wait(lost).await,
            (None, StorageError::UploadGone(location)) => {
                return Err(Uncommitted::Gone(StorageError::UploadGone(location)));
            }
            (None, error) => {
                // Whatever was in the way has gone since.
                return Err(Uncommitted::Failed(Failure::transient("destination_moving", error.to_string())));
            }
        }
    }
    let said = format!("{lost} answers to the commit of {} were lost: it is tried again", place.location());
    Err(Uncommitted::Failed(Failure::transient("storage_unavailable", said)))
}

/// Reads back what nothing else has proven; what is wrong is removed.
pub(super) async fn prove(
    place: &Place,
    state: &ObjectState,
    ours: &Content,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    let Some((sent, back)) = place.read_back(state, ours, cancel).await? else { return Ok(()) };
    let removal = || place.storage.delete(&place.key, Some(&state.version));
    if let Err(error) = persist(Patience::default(), removal).await {
        tracing::error!(%error, location = place.location(), "a wrong copy could not be removed");
    }
    Err(fault::unproven(&place.location(), &sent.to_string(), &back.to_string()))
}
