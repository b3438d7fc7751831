//! Unfinished uploads to an object: begun, found again after an interruption, and aborted.
use super::error_map;
use super::target::TargetObject;
use super::uploaded_parts::UploadedParts;
use protocol::failure::Failure;
use storage::retry::{RetryBudget, retry};
use storage::{Attributes, BeginRequest, StorageError, Upload};

/// Begins an upload whose parts several workers send.
pub(super) async fn begin(object: &TargetObject) -> Result<Upload, Failure> {
    begin_from(object, None).await
}

/// Begins an upload whose parts all come from one source, when there is a source.
pub(super) async fn begin_from(
    object: &TargetObject,
    source: Option<&str>,
) -> Result<Upload, Failure> {
    let (uploads, attributes) = (object.uploads()?, Attributes::default());
    let request = BeginRequest {
        key: &object.key,
        attributes: &attributes,
        source,
    };
    let begun = retry(RetryBudget::default(), || uploads.begin(request)).await;
    begun.map_err(|error| error_map::destination(&error))
}

/// Aborts an upload; a failure is only logged, since a later attempt finds it again.
pub(super) async fn abort(object: &TargetObject, upload: &Upload) {
    let Ok(uploads) = object.uploads() else {
        return;
    };
    if let Err(error) = retry(RetryBudget::default(), || uploads.abort(upload)).await {
        tracing::warn!(%error, location = object.location(), "an upload could not be aborted");
    }
}

/// State of earlier attempts.
pub(super) struct Resumed {
    /// The upload to resume.
    pub(super) upload: Option<Upload>,
    /// Parts that it holds.
    pub(super) arrived: UploadedParts,
    /// Other uploads to the same key.
    pub(super) stale: Vec<Upload>,
    /// Whether uploads may be listed.
    pub(super) listed: bool,
}

/// Finds the upload to resume among those of earlier attempts; `expected` is preferred.
pub(super) async fn resume(
    object: &TargetObject,
    expected: Option<&Upload>,
) -> Result<Resumed, Failure> {
    let Some(mut uploads) = begun_where_allowed(object).await? else {
        return Ok(Resumed {
            upload: None,
            arrived: UploadedParts::new(),
            stale: Vec::new(),
            listed: false,
        });
    };
    // An upload of the same source comes first: its parts need not be read from the source.
    uploads.sort_by_key(|upload| Some(upload) != expected);
    let port = object.uploads()?;
    while !uploads.is_empty() {
        let upload = uploads.remove(0);
        match retry(RetryBudget::default(), || port.parts(&upload)).await {
            Ok(parts) => {
                let arrived = parts.into_iter().map(|part| (part.number, part)).collect();
                return Ok(Resumed {
                    upload: Some(upload),
                    arrived,
                    stale: uploads,
                    listed: true,
                });
            }
            Err(
                StorageError::UploadGone(_)
                | StorageError::NotFound(_)
                | StorageError::Denied { .. },
            ) => {}
            Err(error) => return Err(error_map::destination(&error)),
        }
    }
    Ok(Resumed {
        upload: None,
        arrived: UploadedParts::new(),
        stale: Vec::new(),
        listed: true,
    })
}

/// Open uploads to an object, in the same order for every worker.
pub(super) async fn begun(object: &TargetObject) -> Result<Vec<Upload>, Failure> {
    begun_where_allowed(object)
        .await
        .map(Option::unwrap_or_default)
}

/// Open uploads to an object; `None` where they may not be listed.
async fn begun_where_allowed(object: &TargetObject) -> Result<Option<Vec<Upload>>, Failure> {
    let port = object.uploads()?;
    let mut uploads = match retry(RetryBudget::default(), || port.uploads(&object.key)).await {
        Ok(uploads) => uploads,
        Err(StorageError::Denied { .. }) => return Ok(None),
        Err(error) => return Err(error_map::destination(&error)),
    };
    uploads.retain(|upload| upload.key == object.key);
    uploads.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Some(uploads))
}
