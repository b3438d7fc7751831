//! An S3 client as an endpoint's settings want it. Nothing in it repeats a request: that is decided above, where it is
//! known what a repetition means.
use super::chain::{loader, named_credentials};
use super::credentials::Renewed;
use crate::settings::EndpointSettings;
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    IdentityCache, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedCredentialsProvider, StalledStreamProtectionConfig,
};
use std::sync::Arc;
use std::time::Duration;

/// A server that does not accept a connection for so long is not there.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Time to the first byte of an answer, once a request has been sent.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// A client and its credentials, which are renewed when the server rejects them. Anonymous endpoints have no
/// credentials.
pub(super) struct Connected {
    pub(super) client: Client,
    pub(super) credentials: Option<Arc<Renewed>>,
}

/// Makes a client. Says what is wrong with the settings otherwise.
pub(super) async fn client(settings: &EndpointSettings) -> Result<Connected, String> {
    // Wrong settings are an error here, not at the first request.
    named_credentials(settings)?;
    let shared = loader(settings)?.no_credentials().load().await;
    if shared.region().is_none() {
        return Err("no region is known: set `region` of its endpoint in the storage settings, or AWS_REGION".into());
    }
    let mut config = aws_sdk_s3::config::Builder::from(&shared)
        .retry_config(RetryConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_MAX)
                .read_timeout(ANSWER_MAX)
                .build(),
        )
        // Our own limits may let an upload stand still for longer than the client would bear, and a download that does
        // is noticed where it is read.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        // Checksums are ours: computed before the bytes are handed over, sent as plain headers that every server
        // understands, and compared with what comes back.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .force_path_style(settings.path_style.unwrap_or(settings.is_own_server()));
    if let Some(url) = &settings.url {
        config = config.endpoint_url(url);
    }
    let anonymous = settings.anonymous && settings.assume_role.is_none();
    let credentials = (!anonymous).then(|| Arc::new(Renewed::new(settings)));
    if let Some(credentials) = &credentials {
        let provider: Arc<dyn ProvideCredentials> = Arc::<Renewed>::clone(credentials);
        let shared = SharedCredentialsProvider::from(provider);
        config = config
            .credentials_provider(shared)
            .identity_cache(IdentityCache::no_cache());
    }
    Ok(Connected {
        client: Client::from_conf(config.build()),
        credentials,
    })
}
