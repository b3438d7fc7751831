//! S3 and servers that speak like it.
//!
//! Checksums are sent as headers, computed over the pieces before they are handed to the client: no trailer, which
//! older servers cut off, and no second read. What a server keeps of them is compared with ours when a part and when
//! the whole arrives.
mod answers;
mod chain;
mod client;
mod copy;
mod credentials;
mod fault;
mod head;
mod look;
mod upload;

use super::{Backend, Opening, Place};
use crate::body::Pieces;
use crate::error::chain;
use crate::place::{Object, check_key};
use crate::settings::EndpointSettings;
use crate::{
    Archive, Attributes, Body, Capabilities, Checksum, ChecksumKind, Condition, CopySource, Listing, Location,
    ObjectState, Part, PartLimits, Reading, Slot, Storage, StorageError, Upload, Version,
};
use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::{ByteStream, DateTime, SdkBody};
use aws_sdk_s3::types::{RequestPayer, ServerSideEncryption, StorageClass, Tier};
use bytes::Bytes;
use credentials::Renewed;
use fault::Effect;
use futures_util::{FutureExt, Stream};
use parking_lot::RwLock;
use protocol::time::Timestamp;
use protocol::wire::unit::RestoreTier;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;
/// Limits of the service; compatible servers have kept to them.
const PART_LIMITS: PartLimits = PartLimits { bytes_min: 5 * MIB, bytes_max: 5 * GIB, count_max: 10_000 };
/// The class of what the service moves between tiers by itself.
const TIERED: &str = "INTELLIGENT_TIERING";
/// Largest object one request copies.
const COPY_BYTES_MAX: u64 = 5 * GIB;

/// The registry's line.
pub const BACKEND: Backend = Backend {
    name: "s3",
    place: |opening| match opening.location {
        Location::S3(Object { bucket, key }) => {
            Some(Ok(Place { name: format!("s3://{bucket}|{}", opening.settings.prefix), key: key.clone() }))
        }
        _ => None,
    },
    open: |opening| open(opening).boxed(),
};

async fn open(opening: &Opening<'_>) -> Result<Arc<dyn Storage>, StorageError> {
    let Location::S3(Object { bucket, .. }) = opening.location else {
        return Err(StorageError::invalid(opening.text, "it is no S3 location"));
    };
    let connected = client::client(opening.settings).await;
    let connected = connected.map_err(|said| StorageError::invalid(opening.text, said))?;
    Ok(Arc::new(S3Storage {
        client: RwLock::new(connected.client),
        credentials: connected.credentials,
        bucket: bucket.clone(),
        settings: opening.settings.clone(),
        bucket_exists: AtomicBool::new(false),
    }))
}

/// A bucket.
pub struct S3Storage {
    client: RwLock<Client>,
    credentials: Option<Arc<Renewed>>,
    bucket: String,
    settings: EndpointSettings,
    /// It was asked for: an answer that something is missing in it means the object.
    bucket_exists: AtomicBool,
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
        self.settings.copy_bytes_max.map_or(COPY_BYTES_MAX, |bytes| bytes.0.min(COPY_BYTES_MAX))
    }

    fn payer(&self) -> Option<RequestPayer> {
        self.settings.requester_pays.then_some(RequestPayer::Requester)
    }

    fn class(&self, attributes: &Attributes) -> Option<StorageClass> {
        let class = attributes.class.as_ref().or(self.settings.storage_class.as_ref());
        class.map(|class| StorageClass::from(class.as_str()))
    }

    fn encryption(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        match self.settings.encryption.as_deref() {
            None => (None, None),
            Some("aes256") => (Some(ServerSideEncryption::Aes256), None),
            Some(kms) => (Some(ServerSideEncryption::AwsKms), kms.strip_prefix("kms:").map(str::to_owned)),
        }
    }

    async fn get(&self, key: &str, range: &Range<u64>, same: Option<&Version>) -> Result<Reading, StorageError> {
        let location = self.checked(key)?;
        let wanted = range.end.saturating_sub(range.start);
        let mut request = self.client().get_object().bucket(&self.bucket).key(key).set_request_payer(self.payer());
        request = request.range(format!("bytes={}-{}", range.start, range.end - 1));
        if let Some(same) = same {
            request = request.set_version_id(same.id.clone()).if_match(&same.tag);
        }
        let got = request.send().await.map_err(|error| self.fault(location.clone(), Effect::Repeatable, &error))?;
        let found = version(got.e_tag(), got.version_id());
        // Some servers read past the condition.
        if same.is_some_and(|same| same.tag != found.tag) {
            return Err(StorageError::condition(location, format!("it has changed: its ETag is {}", found.tag)));
        }
        let whole = got.content_range().and_then(|range| range.rsplit_once('/')?.1.parse().ok());
        let sent = size(got.content_length());
        if sent != wanted {
            let said = format!("asked for {wanted} bytes from {}, it sends {sent}", range.start);
            return Err(StorageError::invalid(location, said));
        }
        let stream = body(location.clone(), got.body);
        Ok(Reading::new(location, wanted, stream).of(Some(found), whole))
    }

    async fn put_whole(
        &self,
        key: &str,
        body: &Body,
        attributes: &Attributes,
        condition: &Condition,
    ) -> Result<ObjectState, StorageError> {
        let location = self.checked(key)?;
        let (encryption, kms) = self.encryption();
        let (crc64, crc32c, md5) = headers(body.checksum());
        let (free, same) = conditions(condition);
        let request = self.client().put_object().bucket(&self.bucket).key(key).set_request_payer(self.payer());
        let request = request
            .set_content_type(attributes.content_type.clone())
            .set_storage_class(self.class(attributes))
            .set_metadata((!attributes.metadata.is_empty()).then(|| attributes.metadata.clone().into_iter().collect()))
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(kms)
            .set_checksum_crc64_nvme(crc64)
            .set_checksum_crc32_c(crc32c)
            .set_content_md5(md5)
            .set_if_none_match(free)
            .set_if_match(same)
            .content_length(i64::try_from(body.bytes()).unwrap_or(i64::MAX));
        let put = request.body(stream(body)).send().await;
        let put = put.map_err(|error| self.fault(location.clone(), Effect::Commit, &error))?;
        let returned = kept(put.checksum_crc64_nvme(), put.checksum_crc32_c());
        agree(&location, body.checksum(), returned)?;
        Ok(ObjectState {
            key: key.to_owned(),
            bytes: body.bytes(),
            version: version(put.e_tag(), put.version_id()),
            checksum: returned,
            modified: None,
            class: self.class(attributes).map(|class| class.as_str().to_owned()),
            archive: None,
        })
    }

    /// A page of a listing: the one a token names, or the one that begins after a key.
    async fn page(
        &self,
        prefix: &str,
        page: Option<&str>,
        after: Option<&str>,
        most: u32,
    ) -> Result<Listing, StorageError> {
        let location = self.at(prefix);
        let request = self.client().list_objects_v2().bucket(&self.bucket).prefix(prefix);
        let request = request.set_continuation_token(page.map(str::to_owned)).set_request_payer(self.payer());
        let request = request.set_start_after(after.map(str::to_owned));
        let most = i32::try_from(most.clamp(1, 1000)).unwrap_or(1000);
        let listed = request.max_keys(most).send().await;
        let listed = listed.map_err(|error| self.fault(location, Effect::Repeatable, &error))?;
        let objects = listed.contents().iter().filter_map(|object| {
            let class =
                object.storage_class().map(|class| class.as_str().to_owned()).filter(|class| class != "STANDARD");
            Some(ObjectState {
                key: object.key()?.to_owned(),
                bytes: size(object.size()),
                version: version(object.e_tag(), None),
                checksum: None,
                modified: object.last_modified().map(timestamp),
                archive: archive(class.as_deref(), false, None),
                class,
            })
        });
        let objects = objects.collect();
        let more = listed.is_truncated().unwrap_or(false);
        Ok(Listing { objects, next: listed.next_continuation_token().filter(|_| more).map(str::to_owned) })
    }
}

/// A body as the client takes it: a stream of known length, which it does not sign byte by byte.
fn stream(body: &Body) -> ByteStream {
    ByteStream::new(SdkBody::from_body_1_x(Pieces::from(body)))
}

/// Content as it comes.
fn body(location: String, body: ByteStream) -> impl Stream<Item = Result<Bytes, StorageError>> + Send {
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
    bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0)
}

fn timestamp(at: &DateTime) -> Timestamp {
    Timestamp(at.secs().saturating_mul(1_000_000).saturating_add(i64::from(at.subsec_nanos()) / 1_000))
}

fn version(tag: Option<&str>, id: Option<&str>) -> Version {
    Version { tag: tag.unwrap_or_default().to_owned(), id: id.filter(|id| *id != "null").map(str::to_owned) }
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

/// A condition as the headers `If-None-Match` and `If-Match`.
fn conditions(condition: &Condition) -> (Option<String>, Option<String>) {
    match condition {
        Condition::Free => (Some("*".to_owned()), None),
        Condition::Same(version) => (None, Some(version.tag.clone())),
        Condition::Any => (None, None),
    }
}

/// Compares what a server says it has with what was sent.
fn agree(location: &str, sent: Checksum, kept: Option<Checksum>) -> Result<(), StorageError> {
    match kept {
        Some(kept) if kept.kind() == sent.kind() && kept != sent => {
            Err(StorageError::corrupt(location, format!("sent {sent}, the server has {kept}")))
        }
        _ => Ok(()),
    }
}

/// Where the content of an object is, by its class, `x-amz-archive-status` (tiers that the service itself moved it to)
/// and `x-amz-restore`.
fn archive(class: Option<&str>, tiered: bool, restore: Option<&str>) -> Option<Archive> {
    let away = tiered || matches!(class, Some("GLACIER" | "DEEP_ARCHIVE"));
    match restore {
        Some(text) if text.contains("ongoing-request=\"true\"") => Some(Archive::Coming),
        Some(_) if away => Some(Archive::Here),
        _ => away.then_some(Archive::Away),
    }
}

#[async_trait]
impl Storage for S3Storage {
    fn location(&self, key: &str) -> String {
        self.at(key)
    }

    fn capabilities(&self) -> Capabilities {
        let kind = self.kind();
        Capabilities {
            write: true,
            list: true,
            create_only: true,
            replace_same: true,
            put_bytes_max: 5 * GIB,
            parts: Some(PART_LIMITS),
            checksum: kind,
            whole_checksum: kind != ChecksumKind::Md5 && self.settings.whole_checksum.unwrap_or(true),
            copy_bytes_max: Some(self.copy_bytes_max()),
            copy_part: true,
            rename: false,
            classes: true,
        }
    }

    async fn stat(&self, key: &str) -> Result<ObjectState, StorageError> {
        self.head(key).await
    }

    async fn look(&self, key: &str, most: u64) -> Result<(ObjectState, Option<Vec<Bytes>>), StorageError> {
        self.whole(key, most).await
    }

    async fn read(&self, key: &str, range: Range<u64>, same: Option<&Version>) -> Result<Reading, StorageError> {
        if range.start >= range.end {
            // A range of nothing cannot be asked for; whether the object is there and the same, can.
            let now = self.head(key).await?;
            if same.is_some_and(|same| same.tag != now.version.tag) || range.start > now.bytes {
                return Err(StorageError::condition(self.at(key), "it has changed"));
            }
            let empty = Reading::new(self.at(key), 0, futures_util::stream::empty());
            return Ok(empty.of(Some(now.version), Some(now.bytes)));
        }
        self.get(key, &range, same).await
    }

    async fn list(&self, prefix: &str, page: Option<&str>, most: u32) -> Result<Listing, StorageError> {
        self.page(prefix, page, None, most).await
    }

    async fn list_after(&self, prefix: &str, after: &str, most: u32) -> Result<Listing, StorageError> {
        self.page(prefix, None, Some(after), most).await
    }

    async fn put(
        &self,
        key: &str,
        body: &Body,
        attributes: &Attributes,
        condition: &Condition,
    ) -> Result<ObjectState, StorageError> {
        self.put_whole(key, body, attributes, condition).await
    }

    async fn begin(&self, key: &str, attributes: &Attributes) -> Result<Upload, StorageError> {
        self.begin_upload(key, attributes).await
    }

    async fn put_part(&self, upload: &Upload, slot: Slot, body: &Body) -> Result<Part, StorageError> {
        self.send_part(upload, slot, body).await
    }

    async fn copy_part(
        &self,
        upload: &Upload,
        slot: Slot,
        from: &CopySource,
        range: Range<u64>,
    ) -> Result<Part, StorageError> {
        self.take_part(upload, slot, from, range).await
    }

    async fn parts(&self, upload: &Upload) -> Result<Vec<Part>, StorageError> {
        self.list_parts(upload).await
    }

    async fn complete(
        &self,
        upload: &Upload,
        parts: &[Part],
        whole: Option<Checksum>,
        condition: &Condition,
    ) -> Result<ObjectState, StorageError> {
        self.complete_upload(upload, parts, whole, condition).await
    }

    async fn abort(&self, upload: &Upload) -> Result<(), StorageError> {
        self.abort_upload(upload).await
    }

    async fn uploads(&self, prefix: &str) -> Result<Vec<Upload>, StorageError> {
        self.list_uploads(prefix).await
    }

    fn copy_source(&self, state: &ObjectState) -> Option<CopySource> {
        let domain = self.settings.url.clone().unwrap_or_else(|| "aws".to_owned());
        Some(CopySource {
            domain,
            container: self.bucket.clone(),
            key: state.key.clone(),
            version: state.version.clone(),
            bytes: state.bytes,
            checksum: state.checksum,
        })
    }

    async fn copy(
        &self,
        from: &CopySource,
        key: &str,
        attributes: &Attributes,
        condition: &Condition,
    ) -> Result<ObjectState, StorageError> {
        self.copy_object(from, key, attributes, condition).await
    }

    async fn delete(&self, key: &str, same: Option<&Version>) -> Result<(), StorageError> {
        let location = self.checked(key)?;
        if let Some(same) = same {
            // Few servers judge the condition of a deletion; what can be seen is looked at first.
            match self.head(key).await {
                Err(StorageError::NotFound(_)) => return Ok(()),
                Ok(now) if now.version.tag != same.tag => {
                    return Err(StorageError::condition(location, "it has changed"));
                }
                other => other.map(|_| ())?,
            }
        }
        let request = self.client().delete_object().bucket(&self.bucket).key(key).set_request_payer(self.payer());
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => match self.fault(location, Effect::Repeatable, &error) {
                StorageError::NotFound(_) => Ok(()),
                error => Err(error),
            },
        }
    }

    /// Where versions are kept an object has an id of its own; `null` is what the next one without takes the place of.
    async fn keep_version(&self, state: &ObjectState) -> Result<Condition, StorageError> {
        match state.version.id.as_deref() {
            Some(id) if id != "null" => Ok(Condition::Same(state.version.clone())),
            _ => Err(StorageError::unsupported(self.at(&state.key), "the bucket keeps no older versions of it")),
        }
    }

    async fn set_class(&self, key: &str, same: &Version, class: &str) -> Result<ObjectState, StorageError> {
        self.move_to_class(key, same, class).await
    }

    async fn restore(&self, key: &str, days: u32, tier: RestoreTier) -> Result<(), StorageError> {
        let location = self.checked(key)?;
        let tier = match tier {
            RestoreTier::Expedited => Tier::Expedited,
            RestoreTier::Standard => Tier::Standard,
            RestoreTier::Bulk => Tier::Bulk,
        };
        let job = aws_sdk_s3::types::GlacierJobParameters::builder().tier(tier).build();
        let job = job.map_err(|error| StorageError::invalid(location.clone(), error.to_string()))?;
        // What the service tiered by itself comes back for good, and the request must not say for how long.
        let tiered = self.head(key).await?.class.as_deref() == Some(TIERED);
        let days = (!tiered).then(|| i32::try_from(days).unwrap_or(i32::MAX));
        let wish = aws_sdk_s3::types::RestoreRequest::builder().set_days(days).glacier_job_parameters(job).build();
        let request = self.client().restore_object().bucket(&self.bucket).key(key).restore_request(wish);
        match request.set_request_payer(self.payer()).send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let code = aws_sdk_s3::error::ProvideErrorMetadata::code(&error);
                if code == Some("RestoreAlreadyInProgress") {
                    return Ok(());
                }
                Err(self.fault(location, Effect::Repeatable, &error))
            }
        }
    }
}
