//! Where the credentials of an endpoint come from: its settings, files, the environment, a role.
use crate::settings::EndpointSettings;
use aws_config::ConfigLoader;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::sts::AssumeRoleProvider;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_sdk_s3::config::{BehaviorVersion, Region, SharedCredentialsProvider, SharedHttpClient};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

/// Region of servers that have none.
const REGION_ANY: &str = "us-east-1";

/// The configuration that settings and environment lead to, without credentials of their own.
pub(super) fn loader(settings: &EndpointSettings) -> Result<ConfigLoader, String> {
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
pub(super) async fn provider(
    settings: &EndpointSettings,
) -> Result<Option<SharedCredentialsProvider>, String> {
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
    let Some(role) = &settings.assume_role else {
        return Ok(shared.credentials_provider());
    };
    let mut provider = AssumeRoleProvider::builder(role)
        .session_name("showrunner")
        .configure(&shared);
    if let Some(id) = &settings.external_id {
        provider = provider.external_id(id);
    }
    let base = base_credentials(settings, &shared).await?;
    Ok(Some(SharedCredentialsProvider::new(
        provider.build_from_provider(base).await,
    )))
}

/// The credentials that the settings name, which come before whatever the environment holds.
pub(super) fn named_credentials(
    settings: &EndpointSettings,
) -> Result<Option<ProfileFileCredentialsProvider>, String> {
    if settings.profile.is_none() && settings.credentials_file.is_none() {
        return Ok(None);
    }
    let mut provider = ProfileFileCredentialsProvider::builder();
    if let Some(profile) = &settings.profile {
        provider = provider.profile_name(profile);
    }
    if let Some(file) = &settings.credentials_file {
        if !file.is_file() {
            return Err(format!(
                "credentials_file {} does not exist",
                file.display()
            ));
        }
        let files = EnvConfigFiles::builder().include_default_config_file(true);
        provider = provider.profile_files(
            files
                .with_file(EnvConfigFileKind::Credentials, file)
                .build(),
        );
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
        None if settings.anonymous => {
            Err("a role is assumed with credentials, and the endpoint is anonymous".into())
        }
        None => Ok(SharedCredentialsProvider::new(
            DefaultCredentialsChain::builder().build().await,
        )),
    }
}

/// A client that trusts one more authority; `None` when the usual one will do.
fn http_client(settings: &EndpointSettings) -> Result<Option<SharedHttpClient>, String> {
    let Some(path) = &settings.ca else {
        return Ok(None);
    };
    let pem = std::fs::read(path)
        .map_err(|error| format!("ca {} cannot be read: {error}", path.display()))?;
    // The client would panic on what is no certificate.
    let sound = reqwest::Certificate::from_pem_bundle(&pem).is_ok_and(|found| !found.is_empty());
    if !sound {
        return Err(format!("ca {} holds no certificate in PEM", path.display()));
    }
    let trust = TrustStore::default().with_pem_certificate(pem);
    let tls = TlsContext::builder()
        .with_trust_store(trust)
        .build()
        .map_err(|error| error.to_string())?;
    let builder =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
    Ok(Some(builder.tls_context(tls).build_https()))
}
