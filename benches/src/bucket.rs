//! How fast, and in how much memory, a bucket is listed, and a tree in it sealed and verified: `bench bucket [OBJECTS]`.
//!
//! The bucket is simulated and answers at once, so that only our own work is measured. Prints one JSON object for the scan
//! of ten times as many objects, the seal with a journal that vouches for every object, the next seal, which finds nothing
//! new, and the verification, which reads every object. `rss_kib_peak` is the most since the start.
use ::mhl::journal::{self, Action, Record};
use ::mhl::object::{self, ObjectTree};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use protocol::failure::Failure;
use protocol::id::{JobNo, Kind, StepNo, UnitId, WorkerId};
use protocol::model::hash::HashAlgorithm;
use protocol::wire::report::UnitResult;
use protocol::wire::step::TaskSpec;
use protocol::wire::step::scan::{ScanSource, ScanTask};
use protocol::wire::unit::Unit;
use serde_json::json;
use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use storage::hash::hash_bytes;
use storage::{
    BeginRequest, Body, ByteStream, Capabilities, ChecksumKind, CompleteRequest, ListRequest,
    ListStart, Listing, Multipart, MultipartUploads, ObjectState, Part, PartLimits, PutRequest,
    Slot, StateWithContent, Storage, StorageError, Upload, Version,
};
use tokio_util::sync::CancellationToken;
use worker::step::{Effect, Effects, Registry, StepContext};

const CONTENT: &[u8] = b"sixteen bytes...";
/// Bytes of one chunk of written content.
const PIECE: usize = 64 << 10;
/// Records in an object of the journal: assets of a unit.
const UNIT_ASSETS: usize = 1_000;

/// Any number of equal objects, and the objects that were written.
struct MadeUp {
    objects: AtomicU64,
    /// Size and state of an object. Its content is a file and takes no memory.
    written: Mutex<BTreeMap<String, (u64, u64)>>,
    dir: tempfile::TempDir,
}

fn key(n: u64) -> String {
    format!("lib/title-{:06}/{n:09}.mov", n / 100)
}

fn state(key: String, bytes: u64, tag: String) -> ObjectState {
    let version = Version { tag, id: None };
    ObjectState {
        key,
        bytes,
        version,
        checksum: None,
        modified: None,
        class: None,
        archive: None,
    }
}

impl MadeUp {
    fn write(&self, key: &str, body: &Body, append: bool) -> Result<ObjectState, StorageError> {
        let failed = |error: std::io::Error| StorageError::Unavailable {
            location: self.location(key),
            said: error.to_string(),
        };
        let path = self.dir.path().join(key.replace('/', "|"));
        let file = File::options()
            .create(true)
            .append(append)
            .write(true)
            .truncate(!append)
            .open(path);
        let mut file = file.map_err(failed)?;
        body.pieces()
            .iter()
            .try_for_each(|piece| file.write_all(piece))
            .map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let mut written = self.written.lock();
        let tag = written.get(key).map_or(1, |(_, tag)| tag + 1);
        written.insert(key.to_owned(), (bytes, tag));
        Ok(state(key.to_owned(), bytes, tag.to_string()))
    }

    /// Keys of written objects, the journal excepted, sort before the simulated ones.
    fn stored(&self) -> Vec<ObjectState> {
        let written = self.written.lock();
        let own = written
            .iter()
            .map(|(key, (bytes, tag))| state(key.clone(), *bytes, tag.to_string()));
        own.collect()
    }
}

#[async_trait]
impl Storage for MadeUp {
    fn location(&self, key: &str) -> String {
        format!("s3://made-up/{key}")
    }

    fn capabilities(&self) -> Capabilities<'_> {
        let limits = PartLimits {
            bytes_min: 1,
            bytes_max: u64::MAX,
            count_max: u32::MAX,
        };
        Capabilities {
            write: true,
            list: true,
            files: false,
            ranges: true,
            create_only: true,
            replace_same: true,
            put_bytes_max: u64::MAX,
            checksum: ChecksumKind::Crc64nvme,
            whole_checksum: false,
            multipart: Some(Multipart {
                limits,
                uploads: self,
                in_place: None,
            }),
            server_copy: None,
            classes: None,
            archive: None,
            versions: None,
            rename: None,
        }
    }

    async fn stat(&self, key: &str) -> Result<ObjectState, StorageError> {
        let found = self.stored().into_iter().find(|state| state.key == key);
        found.ok_or_else(|| StorageError::NotFound(key.to_owned()))
    }

    async fn stat_with_content(
        &self,
        key: &str,
        _bytes_max: u64,
    ) -> Result<StateWithContent, StorageError> {
        Ok((self.stat(key).await?, None))
    }

    async fn read(
        &self,
        key: &str,
        range: Range<u64>,
        _version: Option<&Version>,
    ) -> Result<ByteStream, StorageError> {
        let bytes = range.end - range.start;
        if !self.written.lock().contains_key(key) {
            let piece = Bytes::from_static(CONTENT).slice(range.start as usize..range.end as usize);
            return Ok(ByteStream::new(
                self.location(key),
                bytes,
                futures_util::stream::iter([Ok(piece)]),
            ));
        }
        let path = self.dir.path().join(key.replace('/', "|"));
        let file = File::open(path).map_err(|_| StorageError::NotFound(key.to_owned()))?;
        let stream =
            futures_util::stream::iter((range.start..range.end).step_by(PIECE).map(move |from| {
                let mut piece = vec![0; PIECE.min((range.end - from) as usize)];
                let read = file.read_exact_at(&mut piece, from);
                read.map(|()| Bytes::from(piece))
                    .map_err(|_| StorageError::NotFound("it shrinks".to_owned()))
            }));
        Ok(ByteStream::new(self.location(key), bytes, stream))
    }

    async fn list(&self, request: ListRequest<'_>) -> Result<Listing, StorageError> {
        let page = if let ListStart::Page(token) = request.start {
            token.parse().ok()
        } else {
            None
        };
        let from: u64 = page.unwrap_or(0);
        let to = (from + u64::from(request.objects_max)).min(self.objects.load(Ordering::Relaxed));
        let mut objects = if from == 0 { self.stored() } else { Vec::new() };
        objects.extend((from..to).map(|n| state(key(n), CONTENT.len() as u64, "1".into())));
        let next = (to < self.objects.load(Ordering::Relaxed)).then(|| to.to_string());
        Ok(Listing { objects, next })
    }

    async fn put(&self, request: PutRequest<'_>) -> Result<ObjectState, StorageError> {
        self.write(request.key, request.body, false)
    }

    async fn delete(&self, key: &str, _version: Option<&Version>) -> Result<(), StorageError> {
        self.written.lock().remove(key);
        Ok(())
    }
}

#[async_trait]
impl MultipartUploads for MadeUp {
    async fn begin(&self, request: BeginRequest<'_>) -> Result<Upload, StorageError> {
        Ok(Upload {
            key: request.key.to_owned(),
            id: String::new(),
        })
    }

    /// Parts arrive in order here.
    async fn put_part(
        &self,
        upload: &Upload,
        slot: Slot,
        body: &Body,
    ) -> Result<Part, StorageError> {
        self.write(&upload.key, body, slot.number > 1)?;
        Ok(Part {
            number: slot.number,
            bytes: body.bytes(),
            tag: String::new(),
            checksum: None,
        })
    }

    async fn parts(&self, _upload: &Upload) -> Result<Vec<Part>, StorageError> {
        Ok(Vec::new())
    }

    async fn complete(&self, request: CompleteRequest<'_>) -> Result<ObjectState, StorageError> {
        self.stat(&request.upload.key).await
    }

    async fn abort(&self, _upload: &Upload) -> Result<(), StorageError> {
        Ok(())
    }

    async fn uploads(&self, _prefix: &str) -> Result<Vec<Upload>, StorageError> {
        Ok(Vec::new())
    }
}

#[derive(Default)]
struct Counted(AtomicU64);

#[async_trait]
impl Effects for Counted {
    async fn send(&self, effect: Effect) -> Result<(), Failure> {
        let Effect::Page { page, .. } = effect else {
            return Ok(());
        };
        self.0
            .fetch_add(page.assets.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

fn rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

fn told(what: &str, objects: u64, since: Instant) {
    let seconds = since.elapsed().as_secs_f64();
    let rate = objects as f64 / seconds;
    println!(
        "{}",
        json!({ "what": what, "objects": objects, "seconds": seconds, "objects_per_second": rate, "rss_kib_peak": rss_kib() })
    );
}

async fn scan(made_up: &Arc<MadeUp>, objects: u64) -> Result<(), Box<dyn Error>> {
    made_up.objects.store(objects, Ordering::Relaxed);
    let counted = Arc::new(Counted::default());
    let location = "s3://made-up/lib".to_owned();
    let source = ScanSource::Bucket {
        location: location.clone(),
        pattern: None,
        after: None,
    };
    let task = TaskSpec::Scan(ScanTask {
        source,
        root: location,
        resume: None,
        page_assets: 2_000,
    });
    let id = UnitId::new(JobNo(1), StepNo::SCAN, 0);
    let (task, kind) = (Arc::new(task), Kind::Scan);
    let unit = Unit {
        id,
        epoch: 1,
        attempt: 0,
        kind,
        task,
        assets: vec![],
        deadline: None,
    };
    let context = StepContext {
        cancel: CancellationToken::new(),
        worker: WorkerId("bench".into()),
        effects: Arc::clone(&counted) as Arc<dyn Effects>,
        bytes: Arc::default(),
        tools: Arc::default(),
        rehearsal: Arc::default(),
        storage: Arc::new(
            Registry::default().with("s3://made-up|", Arc::clone(made_up) as Arc<dyn Storage>),
        ),
    };
    let began = Instant::now();
    let result = worker::step::run(&unit, &context).await;
    if !matches!(result, UnitResult::Listed { .. }) || counted.0.load(Ordering::Relaxed) != objects
    {
        return Err(format!(
            "listed {} of {objects}: {result:?}",
            counted.0.load(Ordering::Relaxed)
        )
        .into());
    }
    told("scan", objects, began);
    Ok(())
}

async fn histories(made_up: &Arc<MadeUp>, objects: u64) -> Result<(), Box<dyn Error>> {
    made_up.objects.store(objects, Ordering::Relaxed);
    let hash = hash_bytes(HashAlgorithm::Xxh128, CONTENT).to_string();
    let numbers: Vec<u64> = (0..objects).collect();
    for (part, unit) in numbers.chunks(UNIT_ASSETS).enumerate() {
        let record = |n: &u64| Record {
            path: key(*n).trim_start_matches("lib/").to_owned(),
            bytes: CONTENT.len() as u64,
            modified_ns: 0,
            hashed_at_us: 1,
            hashes: vec![hash.clone()],
            action: Action::Copied,
            tag: Some("1".into()),
            source: None,
        };
        let id = UnitId::new(JobNo(1), StepNo(0), part as i64);
        let records: Vec<Record> = unit.iter().map(record).collect();
        journal::put(&**made_up, "lib", "job", id.execution(1), &records).await?;
    }
    let tree = ObjectTree::new(Arc::clone(made_up) as Arc<dyn Storage>, "lib");
    let cancel = CancellationToken::new();
    for what in ["seal", "seal with nothing new"] {
        let began = Instant::now();
        let report = object::seal(&tree, "job", HashAlgorithm::Xxh128, &cancel).await?;
        if !report.failed.is_empty() || report.hashed_bytes > 0 {
            return Err(format!("{what}: {report:?}").into());
        }
        told(what, objects, began);
    }
    let began = Instant::now();
    let report = object::verify(&tree, 16, &cancel).await?;
    if !report.is_intact() || report.files != objects {
        return Err(format!("verified {} of {objects}", report.files).into());
    }
    told("verify", objects, began);
    Ok(())
}

/// Runs both measurements; the argument is the number of objects in the tree.
pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let objects: u64 = arguments.first().map_or(Ok(100_000), |text| text.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure(objects))
}

async fn measure(objects: u64) -> Result<(), Box<dyn Error>> {
    let made_up = Arc::new(MadeUp {
        objects: AtomicU64::new(0),
        written: Mutex::default(),
        dir: tempfile::tempdir()?,
    });
    scan(&made_up, objects * 10).await?;
    histories(&made_up, objects).await
}
