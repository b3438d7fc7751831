//! An S3 client as an endpoint's settings want it. Nothing in it repeats a request: that is decided above, where it is
//! known what a repetition means.
use super::credentials::Renewed;
use crate::settings::EndpointSettings;
use aws_config::ConfigLoader;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::sts::AssumeRoleProvider;
use aws_credential_types::provider::ProvideCredentials;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, IdentityCache, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedCredentialsProvider, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use std::sync::Arc;
use std::time::Duration;

/// A server that does not accept a connection for so long is not there.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Time to the first byte of an answer, once a request has been sent.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Region of servers that have none.
const REGION_ANY: &str = "us-east-1";

/// A client with the credentials that it is to be told when the server refuses them; without any, where the endpoint is
/// anonymous.
pub(super) struct Connected {
    pub(super) client: Client,
    pub(super) credentials: Option<Arc<Renewed>>,
}

/// Makes a client. Says what is wrong with the settings otherwise.
pub(super) async fn client(settings: &EndpointSettings) -> Result<Connected, String> {
    // What is wrong with the settings is said here and not at the first request.
    named_credentials(settings)?;
    let shared = loader(settings)?.no_credentials().load().await;
    if shared.region().is_none() {
        return Err("no region is known: set `region` of its endpoint in the storage settings, or AWS_REGION".into());
    }
    let mut config = aws_sdk_s3::config::Builder::from(&shared)
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_MAX).read_timeout(ANSWER_MAX).build())
        // Our own limits may let an upload stand still for longer than the client would bear, and a download that does is
        // noticed where it is read.
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
        config = config.credentials_provider(shared).identity_cache(IdentityCache::no_cache());
    }
    Ok(Connected { client: Client::from_conf(config.build()), credentials })
}

fn loader(settings: &EndpointSettings) -> Result<ConfigLoader, String> {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
    if let Some(http) = http_client(settings)? {
        loader = loader.http_client(http);
    }
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    match (&settings.region, settings.is_own_server()) {
        (Some(region), _) => loader = loader.region(Region::new(region.clone())),
        (None, true) => loader = loader.region(Region::new(REGION_ANY)),
        (None, false) => {}
    }
    Ok(loader)
}

/// The credentials that the settings lead to now, read from their files anew.
pub(super) async fn provider(settings: &EndpointSettings) -> Result<Option<SharedCredentialsProvider>, String> {
    let mut loader = loader(settings)?;
    match (named_credentials(settings)?, &settings.assume_role) {
        // A file needs nothing else of the configuration, which takes longer to load.
        (Some(provider), None) => return Ok(Some(SharedCredentialsProvider::new(provider))),
        (Some(provider), Some(_)) => loader = loader.credentials_provider(provider),
        (None, _) => {}
    }
    if settings.anonymous {
        loader = loader.no_credentials();
    }
    let shared = loader.load().await;
    let Some(role) = &settings.assume_role else { return Ok(shared.credentials_provider()) };
    let mut provider = AssumeRoleProvider::builder(role).session_name("showrunner").configure(&shared);
    if let Some(id) = &settings.external_id {
        provider = provider.external_id(id);
    }
    let base = base_credentials(settings, &shared).await?;
    Ok(Some(SharedCredentialsProvider::new(provider.build_from_provider(base).await)))
}

/// The credentials that the settings name, which come before whatever the environment holds.
fn named_credentials(settings: &EndpointSettings) -> Result<Option<ProfileFileCredentialsProvider>, String> {
    if settings.profile.is_none() && settings.credentials_file.is_none() {
        return Ok(None);
    }
    let mut provider = ProfileFileCredentialsProvider::builder();
    if let Some(profile) = &settings.profile {
        provider = provider.profile_name(profile);
    }
    if let Some(file) = &settings.credentials_file {
        if !file.is_file() {
            return Err(format!("credentials_file {} does not exist", file.display()));
        }
        let files = EnvConfigFiles::builder().include_default_config_file(true);
        provider = provider.profile_files(files.with_file(EnvConfigFileKind::Credentials, file).build());
    }
    Ok(Some(provider.build()))
}

/// Whose rights the role is assumed with.
async fn base_credentials(
    settings: &EndpointSettings,
    shared: &aws_config::SdkConfig,
) -> Result<SharedCredentialsProvider, String> {
    match shared.credentials_provider() {
        Some(provider) => Ok(provider),
        None if settings.anonymous => Err("a role is assumed with credentials, and the endpoint is anonymous".into()),
        None => Ok(SharedCredentialsProvider::new(DefaultCredentialsChain::builder().build().await)),
    }
}

/// A client that trusts one more authority; `None` when the usual one will do.
fn http_client(settings: &EndpointSettings) -> Result<Option<SharedHttpClient>, String> {
    let Some(path) = &settings.ca else { return Ok(None) };
    let pem = std::fs::read(path).map_err(|error| format!("ca {} cannot be read: {error}", path.display()))?;
    // The client would panic on what is no certificate.
    let sound = reqwest::Certificate::from_pem_bundle(&pem).is_ok_and(|found| !found.is_empty());
    if !sound {
        return Err(format!("ca {} holds no certificate in PEM", path.display()));
    }
    let trust = TrustStore::default().with_pem_certificate(pem);
    let tls = TlsContext::builder().with_trust_store(trust).build().map_err(|error| error.to_string())?;
    let builder = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
    Ok(Some(builder.tls_context(tls).build_https()))
}
