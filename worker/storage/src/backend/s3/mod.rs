//! S3 and servers that speak like it.
//!
//! Checksums are sent as headers, computed over the pieces before they are handed to the client: no trailer, which
//! older servers cut off, and no second read. What a server keeps of them is compared with ours when a part and when
//! the whole arrives.
mod answers;
mod archive;
mod chain;
mod client;
mod copy;
mod credentials;
mod error_map;
mod head;
mod port;
mod stat_with_content;
mod upload;

use super::{Backend, Binding, Opening};
use crate::ArchiveState;
use crate::body::Pieces;
use crate::error::chain;
use crate::location::{Object, check_key};
use crate::settings::EndpointSettings;
use crate::web::ContentRange;
use crate::{
    Attributes, Body, ByteStream, Checksum, ChecksumKind, PartLimits, Precondition, Storage,
    StorageError, Version,
};
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::{ByteStream as SdkStream, DateTime, SdkBody};
use aws_sdk_s3::types::{RequestPayer, ServerSideEncryption, StorageClass};
use bytes::Bytes;
use credentials::Renewed;
use error_map::Effect;
use futures_util::{FutureExt, Stream};
use parking_lot::RwLock;
use protocol::model::location::Scheme;
use protocol::time::Timestamp;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;
/// Limits of the service; compatible servers have kept to them.
const PART_LIMITS: PartLimits = PartLimits {
    bytes_min: 5 * MIB,
    bytes_max: 5 * GIB,
    count_max: 10_000,
};
/// Largest object one request copies.
const COPY_BYTES_MAX: u64 = 5 * GIB;

/// The registry's line.
pub const BACKEND: Backend = Backend {
    schemes: &[Scheme::S3],
    bind: |opening| {
        let Object { bucket, key } = opening.object()?;
        Ok(Binding {
            storage: format!("s3://{bucket}|{}", opening.settings.prefix),
            key: key.clone(),
        })
    },
    open: |opening| open(opening).boxed(),
};

async fn open(opening: &Opening<'_>) -> Result<Arc<dyn Storage>, StorageError> {
    let Object { bucket, .. } = opening.object()?;
    let connected = client::client(opening.settings).await;
    let connected = connected.map_err(|said| StorageError::invalid(opening.text, said))?;
    Ok(Arc::new(S3Storage {
        client: RwLock::new(connected.client),
        credentials: connected.credentials,
        bucket: bucket.clone(),
        settings: opening.settings.clone(),
        bucket_exists: AtomicBool::new(false),
        versions_denied: AtomicBool::new(false),
    }))
}

/// A bucket behind an S3 endpoint, with its client and settings.
pub struct S3Storage {
    client: RwLock<Client>,
    credentials: Option<Arc<Renewed>>,
    bucket: String,
    settings: EndpointSettings,
    /// It was asked for: an answer that something is missing in it means the object.
    bucket_exists: AtomicBool,
    /// The credentials may not read versions (`s3:GetObjectVersion`): states are identified by their tags alone.
    versions_denied: AtomicBool,
}

impl S3Storage {
    fn at(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    fn checked(&self, key: &str) -> Result<String, StorageError> {
        let location = self.at(key);
        if key.is_empty() {
            return Err(StorageError::invalid(location, "it names no object"));
        }
        check_key(&location, key)?;
        Ok(location)
    }

    fn kind(&self) -> ChecksumKind {
        self.settings.checksum.unwrap_or(ChecksumKind::Crc64nvme)
    }

    fn copy_bytes_max(&self) -> u64 {
        self.settings
            .copy_bytes_max
            .map_or(COPY_BYTES_MAX, |bytes| bytes.0.min(COPY_BYTES_MAX))
    }

    fn payer(&self) -> Option<RequestPayer> {
        self.settings
            .requester_pays
            .then_some(RequestPayer::Requester)
    }

    fn class(&self, attributes: &Attributes) -> Option<StorageClass> {
        let class = attributes
            .class
            .as_ref()
            .or(self.settings.storage_class.as_ref());
        class.map(|class| StorageClass::from(class.as_str()))
    }

    fn encryption(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        match self.settings.encryption.as_deref() {
            None => (None, None),
            Some("aes256") => (Some(ServerSideEncryption::Aes256), None),
            Some(kms) => (
                Some(ServerSideEncryption::AwsKms),
                kms.strip_prefix("kms:").map(str::to_owned),
            ),
        }
    }

    /// The id of a state, as far as versions may be asked for.
    fn version_id(&self, version: &Version) -> Option<String> {
        version
            .id
            .clone()
            .filter(|_| !self.versions_denied.load(Ordering::Relaxed))
    }

    /// Makes a request for one state of an object. Where its version may not be read (`s3:GetObjectVersion`), its tag
    /// alone identifies it from then on.
    async fn of_version<T, F>(
        &self,
        version: Option<&Version>,
        ask: impl Fn(Option<String>) -> F,
    ) -> Result<T, StorageError>
    where
        F: Future<Output = Result<T, StorageError>>,
    {
        let id = version.and_then(|version| self.version_id(version));
        let named = id.is_some();
        match ask(id).await {
            Err(StorageError::Denied { .. }) if named => {
                let got = ask(None).await?;
                self.versions_denied.store(true, Ordering::Relaxed);
                Ok(got)
            }
            got => got,
        }
    }

    async fn get(
        &self,
        key: &str,
        range: &Range<u64>,
        same: Option<&Version>,
    ) -> Result<ByteStream, StorageError> {
        let location = self.checked(key)?;
        let wanted = range.end.saturating_sub(range.start);
        let got = self.of_version(same, async |id| {
            let request = self
                .client()
                .get_object()
                .bucket(&self.bucket)
                .key(key)
                .set_request_payer(self.payer());
            let request = request.range(format!("bytes={}-{}", range.start, range.end - 1));
            let request = request
                .set_version_id(id)
                .set_if_match(same.map(|same| same.tag.clone()));
            request
                .send()
                .await
                .map_err(|error| self.error(location.clone(), Effect::Repeatable, &error))
        });
        let got = got.await?;
        let found = version(got.e_tag(), got.version_id());
        // Some servers read past the condition.
        if same.is_some_and(|same| same.tag != found.tag) {
            return Err(StorageError::precondition(
                location,
                format!("it has changed: its ETag is {}", found.tag),
            ));
        }
        let length = size(got.content_length());
        // A response that names no range holds the whole object.
        let sent = got
            .content_range()
            .map_or(Some(ContentRange::whole(length)), ContentRange::parse);
        let sent = sent.ok_or_else(|| {
            StorageError::invalid(&location, "it does not name the range that it sends")
        })?;
        if let Some(said) = sent.differs(range, Some(length)) {
            return Err(StorageError::invalid(location, said));
        }
        let stream = body(location.clone(), got.body);
        Ok(ByteStream::new(location, wanted, stream).of(Some(found), sent.whole))
    }
}

/// A body as the client takes it: a stream of known length, which it does not sign byte by byte.
fn stream(body: &Body) -> SdkStream {
    SdkStream::new(SdkBody::from_body_1_x(Pieces::from(body)))
}

/// Content as it comes.
fn body(
    location: String,
    body: SdkStream,
) -> impl Stream<Item = Result<Bytes, StorageError>> + Send {
    futures_util::stream::unfold(body, move |mut body| {
        let location = location.clone();
        async move {
            let next = body.next().await?;
            let next = next.map_err(|error| StorageError::unavailable(location, chain(&error)));
            Some((next, body))
        }
    })
}

fn size(bytes: Option<i64>) -> u64 {
    bytes
        .and_then(|bytes| u64::try_from(bytes).ok())
        .unwrap_or(0)
}

fn timestamp(at: &DateTime) -> Timestamp {
    Timestamp(
        at.secs()
            .saturating_mul(1_000_000)
            .saturating_add(i64::from(at.subsec_nanos()) / 1_000),
    )
}

fn version(tag: Option<&str>, id: Option<&str>) -> Version {
    Version {
        tag: tag.unwrap_or_default().to_owned(),
        id: id.filter(|id| *id != "null").map(str::to_owned),
    }
}

/// The checksum of the content among those a server returned; one over the checksums of parts is none.
fn kept(crc64: Option<&str>, crc32c: Option<&str>) -> Option<Checksum> {
    let crc64 = crc64.and_then(|text| Checksum::from_base64(ChecksumKind::Crc64nvme, text));
    crc64.or_else(|| crc32c.and_then(|text| Checksum::from_base64(ChecksumKind::Crc32c, text)))
}

/// A checksum as the three headers there are.
fn headers(sum: Checksum) -> (Option<String>, Option<String>, Option<String>) {
    let text = Some(sum.base64());
    match sum.kind() {
        ChecksumKind::Crc64nvme => (text, None, None),
        ChecksumKind::Crc32c => (None, text, None),
        ChecksumKind::Md5 => (None, None, text),
    }
}

/// A precondition as the headers `If-None-Match` and `If-Match`.
fn preconditions(precondition: &Precondition) -> (Option<String>, Option<String>) {
    match precondition {
        Precondition::IfAbsent => (Some("*".to_owned()), None),
        Precondition::IfMatch(version) => (None, Some(version.tag.clone())),
        Precondition::Unconditional => (None, None),
    }
}

/// Compares what a server says it has with what was sent.
fn agree(location: &str, sent: Checksum, kept: Option<Checksum>) -> Result<(), StorageError> {
    match kept {
        Some(kept) if kept.kind() == sent.kind() && kept != sent => Err(StorageError::corrupt(
            location,
            format!("sent {sent}, the server has {kept}"),
        )),
        _ => Ok(()),
    }
}

/// Where the content of an object is, by its class, `x-amz-archive-status` (tiers that the service itself moved it to)
/// and `x-amz-restore`.
fn archive(class: Option<&str>, tiered: bool, restore: Option<&str>) -> Option<ArchiveState> {
    let away = tiered || matches!(class, Some("GLACIER" | "DEEP_ARCHIVE"));
    match restore {
        Some(text) if text.contains("ongoing-request=\"true\"") => Some(ArchiveState::Restoring),
        Some(_) if away => Some(ArchiveState::Restored),
        _ => away.then_some(ArchiveState::Archived),
    }
}
