//! What the suite is run against, and what is known of each: how a server differs from what it imitates is declared
//! here and nowhere else.
use crate::storage::gcs_stub;
use crate::storage::server::{ACCESS_KEY, SECRET_KEY, Server};
use ::storage::settings::{EndpointSettings, StorageSettings};
use ::storage::{ChecksumKind, MultipartUploads, Registry, Storage};
use std::path::Path;
use std::sync::Arc;

/// Starts until a server stays.
const STARTS: u32 = 5;

/// Where a server is less than what it imitates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lacks {
    /// Conditions on what is there at commit.
    CommitConditions,
    /// Conditions on what is read, copied or deleted.
    ReadConditions,
    /// Refusing content that differs from its checksum; the answer tells the right one, and we compare.
    ChecksumRefusal,
    /// Composing objects.
    Compose,
    /// Names beyond ASCII.
    UnicodeNames,
}

/// A storage under test, with whatever keeps it alive.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    /// A location in it, without a key: `s3://bucket/`.
    pub(crate) base: String,
    pub(crate) registry: Registry,
    /// What its registry was made of.
    pub(crate) settings: StorageSettings,
    pub(crate) lacks: &'static [Lacks],
    pub(crate) alive: (Option<Server>, Option<tempfile::TempDir>),
}

impl Subject {
    /// The storage, and the key that keys of a test begin with.
    pub(crate) async fn open(&self, test: &str) -> (Arc<dyn Storage>, String) {
        let root = self.base.strip_prefix("file:").map(Path::new);
        let opened = self
            .registry
            .open(&format!("{}{test}/x", self.base), root)
            .await;
        let opened = opened.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        (opened.storage, opened.key.trim_end_matches('x').to_owned())
    }

    /// Another registry for the same server, as another worker has one.
    pub(crate) fn again(&self) -> Registry {
        Registry::new(self.settings.clone())
    }

    pub(crate) fn server_url(&self) -> String {
        self.alive
            .0
            .as_ref()
            .map(|server| server.url.clone())
            .expect("a server of its own")
    }

    pub(crate) fn lacks(&self, what: Lacks) -> bool {
        self.lacks.contains(&what)
    }
}

/// The multipart uploads of a storage that has them.
pub(crate) fn uploads(storage: &dyn Storage) -> &dyn MultipartUploads {
    storage.multipart("").expect("it takes content in parts")
}

fn only(endpoint: EndpointSettings) -> StorageSettings {
    StorageSettings {
        endpoints: vec![endpoint],
        ..StorageSettings::default()
    }
}

pub(crate) fn folder() -> Subject {
    let dir = tempfile::tempdir().expect("a temp dir");
    let base = format!("file:{}/", dir.path().display());
    let (registry, settings) = (Registry::default(), StorageSettings::default());
    Subject {
        name: "folder",
        base,
        registry,
        settings,
        lacks: &[],
        alive: (None, Some(dir)),
    }
}

/// Makes a bucket with the plain client, as an administrator would. False when the server is gone.
async fn make_bucket(server: &mut Server, bucket: &str) -> bool {
    let credentials =
        aws_sdk_s3::config::Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(aws_sdk_s3::config::BehaviorVersion::v2026_01_12())
        .region(aws_sdk_s3::config::Region::new("us-east-1"))
        .credentials_provider(credentials)
        .endpoint_url(&server.url)
        .force_path_style(true)
        .build();
    let client = aws_sdk_s3::Client::from_conf(config);
    // A port that is open is not yet a filer that answers.
    for attempt in 0..60 {
        match client.create_bucket().bucket(bucket).send().await {
            Ok(_) => return true,
            Err(_) if server.has_ended() => return false,
            Err(error) if attempt == 59 => panic!(
                "no bucket: {}",
                aws_sdk_s3::error::DisplayErrorContext(&error)
            ),
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(500)).await,
        }
    }
    false
}

pub(crate) fn credentials(dir: &Path, secret: &str) -> std::path::PathBuf {
    let path = dir.join("credentials");
    let text =
        format!("[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {secret}\n");
    std::fs::write(&path, text).expect("written");
    path
}

/// Starts a server and makes a bucket. One that ends by itself had a port taken away between finding and opening it.
async fn with_bucket(start: fn() -> Option<Server>) -> Option<Server> {
    for _ in 0..STARTS {
        let mut server = start()?;
        if make_bucket(&mut server, "bucket").await {
            return Some(server);
        }
    }
    panic!("a server does not stay")
}

async fn s3(
    name: &'static str,
    start: fn() -> Option<Server>,
    lacks: &'static [Lacks],
    change: impl FnOnce(&mut EndpointSettings),
) -> Option<Subject> {
    let server = with_bucket(start).await?;
    let dir = tempfile::tempdir().expect("a temp dir");
    let mut endpoint = EndpointSettings {
        prefix: "s3://bucket".into(),
        url: Some(server.url.clone()),
        credentials_file: Some(credentials(dir.path(), SECRET_KEY)),
        ..EndpointSettings::default()
    };
    change(&mut endpoint);
    let settings = only(endpoint);
    let (base, registry) = ("s3://bucket/".into(), Registry::new(settings.clone()));
    Some(Subject {
        name,
        base,
        registry,
        settings,
        lacks,
        alive: (Some(server), Some(dir)),
    })
}

pub(crate) async fn weed() -> Option<Subject> {
    s3("weed", Server::weed, &[], |_| {}).await
}

/// The same server with other settings.
pub(crate) async fn weed_with(change: impl FnOnce(&mut EndpointSettings)) -> Option<Subject> {
    s3("weed", Server::weed, &[], change).await
}

/// The same server spoken to as one that knows nothing newer than MD5.
pub(crate) async fn weed_md5() -> Option<Subject> {
    s3("weed, md5", Server::weed, &[], |endpoint| {
        endpoint.checksum = Some(ChecksumKind::Md5)
    })
    .await
}

pub(crate) async fn ministack() -> Option<Subject> {
    // It computes checksums of wholes wrongly, those of parts rightly.
    let change = |endpoint: &mut EndpointSettings| {
        endpoint.checksum = Some(ChecksumKind::Crc32c);
        endpoint.whole_checksum = Some(false);
    };
    s3("ministack", Server::ministack, &[], change).await
}

async fn gcs(
    name: &'static str,
    url: String,
    server: Option<Server>,
    lacks: &'static [Lacks],
) -> Subject {
    if server.is_some() {
        let client = reqwest::Client::new();
        let made = client
            .post(format!("{url}/storage/v1/b?project=p"))
            .body(r#"{"name":"bucket"}"#);
        let made = made
            .header("content-type", "application/json")
            .send()
            .await
            .expect("answers");
        assert!(made.status().is_success(), "{name}: {}", made.status());
    }
    let endpoint = EndpointSettings {
        prefix: "gs://bucket".into(),
        url: Some(url),
        anonymous: true,
        ..EndpointSettings::default()
    };
    let settings = only(endpoint);
    let (base, registry) = ("gs://bucket/".into(), Registry::new(settings.clone()));
    Subject {
        name,
        base,
        registry,
        settings,
        lacks,
        alive: (server, None),
    }
}

pub(crate) async fn stub() -> Subject {
    gcs("gcs stub", gcs_stub::start().await, None, &[]).await
}

pub(crate) async fn fake_gcs() -> Option<Subject> {
    let server = Server::fake_gcs()?;
    let lacks = &[
        Lacks::CommitConditions,
        Lacks::ReadConditions,
        Lacks::ChecksumRefusal,
    ];
    Some(gcs("fake-gcs-server", server.url.clone(), Some(server), lacks).await)
}

pub(crate) async fn gcp_emulator() -> Option<Subject> {
    let server = Server::gcp_emulator()?;
    let lacks = &[
        Lacks::CommitConditions,
        Lacks::ReadConditions,
        Lacks::Compose,
        Lacks::UnicodeNames,
    ];
    Some(
        gcs(
            "gcp-storage-emulator",
            server.url.clone(),
            Some(server),
            lacks,
        )
        .await,
    )
}
