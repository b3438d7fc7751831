//! Credentials that are renewed while the process runs: when their files are replaced, and when the service refuses them.
use crate::file_stamp::{LOOK_EVERY, REFUSED_EVERY, Stamp, stamp};
use crate::settings::EndpointSettings;
use object_store::gcp::{GcpCredentialProvider, GoogleCloudStorageBuilder};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::time::Instant;

/// Variables that name files with credentials.
const VARIABLES: [&str; 3] = [
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
    "GOOGLE_APPLICATION_CREDENTIALS",
];

struct Loaded {
    provider: GcpCredentialProvider,
    stamp: Stamp,
    at: Instant,
    looked_at: Instant,
}

/// The credentials of a bucket.
pub(super) struct Renewed {
    bucket: String,
    file: Option<PathBuf>,
    /// The files that credentials may come from.
    files: Vec<PathBuf>,
    loaded: Mutex<Loaded>,
}

impl Renewed {
    /// Loads the credentials. The error names the wrong setting.
    pub(super) fn new(bucket: &str, settings: &EndpointSettings) -> Result<Renewed, String> {
        let file = settings.credentials_file.clone();
        let files: Vec<PathBuf> = match &file {
            Some(file) => vec![file.clone()],
            None => VARIABLES
                .iter()
                .filter_map(std::env::var_os)
                .map(PathBuf::from)
                .collect(),
        };
        let stamp = stamp(&files);
        let provider = provider(bucket, file.as_ref())?;
        let (at, looked_at) = (Instant::now(), Instant::now());
        let loaded = Mutex::new(Loaded {
            provider,
            stamp,
            at,
            looked_at,
        });
        Ok(Renewed {
            bucket: bucket.to_owned(),
            file,
            files,
            loaded,
        })
    }

    /// The provider of tokens, of the files as they are now.
    pub(super) fn provider(&self) -> GcpCredentialProvider {
        let mut loaded = self.loaded.lock();
        if loaded.looked_at.elapsed() >= LOOK_EVERY {
            loaded.looked_at = Instant::now();
            if stamp(&self.files) != loaded.stamp {
                self.load(&mut loaded);
            }
        }
        loaded.provider.clone()
    }

    /// The service refuses the credentials. Whether the next request is made with others.
    pub(super) fn refuse(&self) -> bool {
        let mut loaded = self.loaded.lock();
        let replaced = stamp(&self.files) != loaded.stamp;
        // Without a new file a new token may be enough.
        (replaced || loaded.at.elapsed() >= REFUSED_EVERY) && self.load(&mut loaded)
    }

    /// Loads the credentials again. A file that cannot be read, since it is being replaced, changes nothing.
    fn load(&self, loaded: &mut Loaded) -> bool {
        let stamp = stamp(&self.files);
        match provider(&self.bucket, self.file.as_ref()) {
            Ok(provider) => {
                let now = Instant::now();
                *loaded = Loaded {
                    provider,
                    stamp,
                    at: now,
                    looked_at: now,
                };
                true
            }
            Err(error) => {
                tracing::warn!(error, "replaced credentials cannot be loaded");
                false
            }
        }
    }
}

/// The other crate is asked for tokens only: it knows service accounts, users and instances.
fn provider(bucket: &str, file: Option<&PathBuf>) -> Result<GcpCredentialProvider, String> {
    let mut builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
    if let Some(file) = file {
        builder = builder.with_service_account_path(file.to_string_lossy());
    }
    let store = builder.build().map_err(|error| error.to_string())?;
    Ok(store.credentials().clone())
}
