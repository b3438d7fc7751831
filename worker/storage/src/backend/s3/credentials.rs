//! Credentials that are renewed while the process runs: when their files are replaced, when they expire, and when the
//! server refuses them. The client keeps none itself: its cache would go on with the old ones for a quarter of an hour.
use super::chain::provider;
use crate::file_stamp::{LOOK_EVERY, REFUSED_EVERY, Stamp, stamp};
use crate::settings::EndpointSettings;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self as interface, ProvideCredentials, future};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Credentials that do not say when they expire are asked for again after this time.
const KEPT_MAX: Duration = Duration::from_secs(15 * 60);
/// Credentials that expire within this time are asked for again, since a request takes its time.
const EXPIRY_MARGIN: Duration = Duration::from_secs(30);
/// Credentials that the server calls expired are loaded again after this time at the earliest.
const EXPIRED_EVERY: Duration = Duration::from_secs(1);

struct Loaded {
    credentials: Credentials,
    stamp: Stamp,
    at: Instant,
    looked_at: Instant,
}

/// The credentials of an endpoint.
pub(super) struct Renewed {
    settings: EndpointSettings,
    files: Vec<PathBuf>,
    loaded: Mutex<Option<Loaded>>,
    /// The server refused the ones at hand.
    refused: AtomicBool,
    /// One load at a time.
    loading: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Renewed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renewed")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl Renewed {
    pub(super) fn new(settings: &EndpointSettings) -> Renewed {
        Renewed {
            settings: settings.clone(),
            files: files(settings),
            loaded: Mutex::new(None),
            refused: AtomicBool::new(false),
            loading: tokio::sync::Mutex::new(()),
        }
    }

    /// The server refuses the credentials: they are loaded again before the next request. Says whether their files were
    /// replaced since they were loaded, so that the next request is made with others.
    pub(super) fn refuse(&self, expired: bool) -> bool {
        let loaded = self.loaded.lock();
        let Some(loaded) = loaded.as_ref() else {
            return false;
        };
        let replaced = self.stamp() != loaded.stamp;
        let every = if expired {
            EXPIRED_EVERY
        } else {
            REFUSED_EVERY
        };
        if replaced || loaded.at.elapsed() >= every {
            self.refused.store(true, Ordering::Relaxed);
        }
        replaced
    }

    fn stamp(&self) -> Stamp {
        stamp(&self.files)
    }

    /// The credentials at hand, while they are good.
    fn at_hand(&self) -> Option<Credentials> {
        let mut loaded = self.loaded.lock();
        let loaded = loaded.as_mut()?;
        if self.refused.load(Ordering::Relaxed) {
            return None;
        }
        let expired = match loaded.credentials.expiry() {
            Some(expiry) => SystemTime::now() + EXPIRY_MARGIN >= expiry,
            None => loaded.at.elapsed() >= KEPT_MAX,
        };
        if expired {
            return None;
        }
        if loaded.looked_at.elapsed() >= LOOK_EVERY {
            loaded.looked_at = Instant::now();
            if self.stamp() != loaded.stamp {
                return None;
            }
        }
        Some(loaded.credentials.clone())
    }

    async fn load(&self) -> interface::Result {
        if let Some(credentials) = self.at_hand() {
            return Ok(credentials);
        }
        let _one = self.loading.lock().await;
        if let Some(credentials) = self.at_hand() {
            return Ok(credentials);
        }
        // Before they are read: files that are replaced meanwhile are read again.
        let stamp = self.stamp();
        let found = provider(&self.settings)
            .await
            .map_err(CredentialsError::invalid_configuration)?;
        let found =
            found.ok_or_else(|| CredentialsError::not_loaded("no credentials are configured"))?;
        let credentials = found.provide_credentials().await?;
        let at = Instant::now();
        *self.loaded.lock() = Some(Loaded {
            credentials: credentials.clone(),
            stamp,
            at,
            looked_at: at,
        });
        self.refused.store(false, Ordering::Relaxed);
        Ok(credentials)
    }
}

impl ProvideCredentials for Renewed {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.load())
    }
}

/// The files that credentials may come from.
fn files(settings: &EndpointSettings) -> Vec<PathBuf> {
    let home = || std::env::var_os("HOME").map(PathBuf::from);
    let named = |variable: &str, usual: &str| {
        std::env::var_os(variable)
            .map(PathBuf::from)
            .or_else(|| Some(home()?.join(".aws").join(usual)))
    };
    let credentials = settings
        .credentials_file
        .clone()
        .or_else(|| named("AWS_SHARED_CREDENTIALS_FILE", "credentials"));
    let others = [
        named("AWS_CONFIG_FILE", "config"),
        named("AWS_WEB_IDENTITY_TOKEN_FILE", "token"),
    ];
    credentials
        .into_iter()
        .chain(others.into_iter().flatten())
        .collect()
}
