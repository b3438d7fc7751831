//! Archived objects and older versions.
use super::S3Storage;
use super::error_map::Effect;
use crate::{Archive, ObjectState, Precondition, StorageError, Versions};
use async_trait::async_trait;
use aws_sdk_s3::types::Tier;
use protocol::model::restore_tier::RestoreTier;

/// The class of objects that the service moves between tiers by itself.
const TIERED: &str = "INTELLIGENT_TIERING";

#[async_trait]
impl Archive for S3Storage {
    async fn restore(&self, key: &str, days: u32, tier: RestoreTier) -> Result<(), StorageError> {
        let location = self.checked(key)?;
        let tier = match tier {
            RestoreTier::Expedited => Tier::Expedited,
            RestoreTier::Standard => Tier::Standard,
            RestoreTier::Bulk => Tier::Bulk,
        };
        let job = aws_sdk_s3::types::GlacierJobParameters::builder()
            .tier(tier)
            .build();
        let job =
            job.map_err(|error| StorageError::invalid(location.clone(), error.to_string()))?;
        // An object that the service tiered by itself comes back for good, and the request must not name a duration.
        let tiered = self.head(key).await?.class.as_deref() == Some(TIERED);
        let days = (!tiered).then(|| i32::try_from(days).unwrap_or(i32::MAX));
        let wish = aws_sdk_s3::types::RestoreRequest::builder()
            .set_days(days)
            .glacier_job_parameters(job)
            .build();
        let request = self
            .client()
            .restore_object()
            .bucket(&self.bucket)
            .key(key)
            .restore_request(wish);
        match request.set_request_payer(self.payer()).send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let code = aws_sdk_s3::error::ProvideErrorMetadata::code(&error);
                if code == Some("RestoreAlreadyInProgress") {
                    return Ok(());
                }
                Err(self.error(location, Effect::Repeatable, &error))
            }
        }
    }
}

#[async_trait]
impl Versions for S3Storage {
    /// In a versioned bucket an object has an id of its own. The next object without an id replaces `null`.
    async fn keep(&self, state: &ObjectState) -> Result<Precondition, StorageError> {
        match state.version.id.as_deref() {
            Some(id) if id != "null" => Ok(Precondition::IfMatch(state.version.clone())),
            _ => Err(StorageError::unsupported(
                self.at(&state.key),
                "the bucket keeps no older versions of it",
            )),
        }
    }
}
