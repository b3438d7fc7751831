//! Consequences of an error reply: new credentials or another region for later requests.
use super::S3Storage;
use super::credentials::Renewed;
use super::error_map::{Answer, Effect, answered, unanswered};
use crate::StorageError;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Region;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use std::error::Error;

impl S3Storage {
    /// The client, in the region of the bucket as far as it is known.
    pub(super) fn client(&self) -> Client {
        self.client.read().clone()
    }

    /// Reads an error at `location`, and sees to what the next request needs. Where that makes the difference, the
    /// error is one that passes.
    pub(super) fn error<E>(
        &self,
        location: String,
        effect: Effect,
        error: &SdkError<E, HttpResponse>,
    ) -> StorageError
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let Some(answer) = self.answer(error) else {
            return unanswered(location, effect, error);
        };
        let refused = |credentials: &Renewed| credentials.refuse(answer.expired());
        if answer.refuses_credentials() && self.credentials.as_deref().is_some_and(refused) {
            return StorageError::unavailable(
                location,
                "it refused credentials that have been replaced meanwhile",
            );
        }
        if answer.elsewhere()
            && let Some(region) = answer.region.as_deref()
            && self.moves_to(region)
        {
            let said = format!(
                "its bucket is in the region {region:?}, where it is asked for from now on"
            );
            return StorageError::unavailable(location, said);
        }
        answered(location, effect, &answer)
    }

    /// The answer behind an error. Its region is only of interest where it is another one.
    pub(super) fn answer<E: ProvideErrorMetadata>(
        &self,
        error: &SdkError<E, HttpResponse>,
    ) -> Option<Answer> {
        let mut answer = Answer::of(error)?;
        let now = self
            .client
            .read()
            .config()
            .region()
            .map(|region| region.as_ref().to_owned());
        answer.region = answer.region.filter(|region| now.as_ref() != Some(region));
        Some(answer)
    }

    /// Asks another region from now on; a server of one's own has one address for all of them.
    fn moves_to(&self, region: &str) -> bool {
        let mut client = self.client.write();
        let now = client
            .config()
            .region()
            .map(|region| region.as_ref().to_owned());
        if self.settings.is_own_server() || now.as_deref() == Some(region) {
            return false;
        }
        tracing::warn!(
            bucket = self.bucket,
            region,
            configured = now,
            "the bucket is in another region"
        );
        *client = Client::from_conf(
            client
                .config()
                .to_builder()
                .region(Region::new(region.to_owned()))
                .build(),
        );
        true
    }
}
