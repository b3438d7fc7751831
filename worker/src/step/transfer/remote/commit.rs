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
    let mut attempts = Attempts {
        object,
        ours,
        cancel,
        lost: 0,
        replaced: 0,
    };
    while attempts.lost < LOST_ANSWERS_MAX {
        let error = match retry(RetryBudget::default(), || call(condition.clone())).await {
            Ok(state) => return Ok(Committed::New(state)),
            Err(error) => error,
        };
        match attempts.resolve(error).await? {
            Resolution::Committed(committed) => return Ok(committed),
            Resolution::Repeat(changed) => condition = changed,
            Resolution::Unknown => RetryBudget::default().wait(attempts.lost).await,
        }
    }
    let said = format!(
        "{} answers to the commit of {} were lost: it is tried again",
        attempts.lost,
        object.location()
    );
    Err(Uncommitted::Failed(Failure::transient(
        "storage_unavailable",
        said,
    )))
}

/// What follows from a request that reported an error.
enum Resolution {
    /// The content is there.
    Committed(Committed),
    /// Other content is there: the request is repeated with this precondition.
    Repeat(Precondition),
    /// The reply was lost, and nothing shows whether the request was carried out.
    Unknown,
}

/// The requests of one commit.
struct Attempts<'a> {
    object: &'a TargetObject,
    ours: &'a Content,
    cancel: &'a CancellationToken,
    /// Requests whose reply was lost.
    lost: u32,
    /// How often other content was found.
    replaced: u32,
}

impl Attempts<'_> {
    /// Looks up what became of a request that reported an error.
    async fn resolve(&mut self, error: StorageError) -> Result<Resolution, Uncommitted> {
        let unknown = matches!(error, StorageError::Unknown { .. });
        if !unknown
            && !matches!(
                error,
                StorageError::Precondition { .. } | StorageError::UploadGone(_)
            )
        {
            return Err(Uncommitted::Failed(error_map::destination(&error)));
        }
        self.lost += u32::from(unknown);
        let looked = match self.object.stat().await {
            Err(failure) if failure.reason == DENIED => return self.unseen(error, &failure),
            looked => looked?,
        };
        match (looked, error) {
            (Some(found), error) => self.compare(found, error).await,
            (None, StorageError::Unknown { .. }) => Ok(Resolution::Unknown),
            (None, StorageError::UploadGone(location)) => {
                Err(Uncommitted::Gone(StorageError::UploadGone(location)))
            }
            // The conflicting object has been removed since.
            (None, error) => Err(Uncommitted::Failed(Failure::transient(
                "destination_moving",
                error.to_string(),
            ))),
        }
    }

    /// Without the right to read the state of the destination.
    fn unseen(&self, error: StorageError, denied: &Failure) -> Result<Resolution, Uncommitted> {
        match error {
            // The precondition of the next request finds out what the state cannot tell.
            StorageError::Unknown { .. } => Ok(Resolution::Unknown),
            StorageError::UploadGone(location) if self.lost == 0 => {
                Err(Uncommitted::Gone(StorageError::UploadGone(location)))
            }
            _ => Err(Uncommitted::Failed(error_map::unseen(
                &self.object.location(),
                &denied.message,
            ))),
        }
    }

    /// Compares the content that was found with ours.
    async fn compare(
        &mut self,
        found: ObjectState,
        error: StorageError,
    ) -> Result<Resolution, Uncommitted> {
        let differs = self.object.differs(&found, self.ours, self.cancel).await?;
        let Some(how) = differs else {
            return Ok(Resolution::Committed(if self.lost > 0 {
                Committed::New(found)
            } else {
                Committed::Found(found)
            }));
        };
        self.replaced += 1;
        let condition = self.object.condition(Some((&found, how))).await?;
        if let StorageError::UploadGone(location) = error {
            return Err(Uncommitted::Gone(StorageError::UploadGone(location)));
        }
        if self.replaced > REPLACED_MAX {
            let said = format!(
                "{} is replaced by others again and again",
                self.object.location()
            );
            return Err(Failure::transient("destination_moving", said).into());
        }
        Ok(Resolution::Repeat(condition))
    }
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
