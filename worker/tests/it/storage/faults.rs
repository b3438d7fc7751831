//! Everything that can go wrong, at every call: what comes out is right, or an error, and never a wrong object that is
//! reported good.
use crate::fixture::noise;
use crate::storage::subjects::{self, Lacks, Subject, uploads};
use ::storage::faults::{Fault, Faults};
use ::storage::layer::Operation;
use ::storage::retry::{RetryBudget, resume_read, retry};
use ::storage::{
    Attributes, BeginRequest, Body, CompleteRequest, Layered, MultipartUploads, ObjectState, Part,
    Precondition, PutRequest, RunningChecksum, Slot, Storage, StorageError, Upload,
};
use bytes::Bytes;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: RetryBudget = RetryBudget {
    attempts: 5,
    wait_min: Duration::from_millis(1),
    wait_max: Duration::from_millis(5),
};
const FAULTS: [Fault; 7] = [
    Fault::Dropped,
    Fault::ReplyLost,
    Fault::ServerError,
    Fault::SlowDown,
    Fault::Truncated,
    Fault::WrongByte,
    Fault::Slow(Duration::from_millis(2)),
];
const RUNS: u64 = 40;

/// What any user of the port does with it, in its simplest form.
struct Mover {
    storage: Arc<dyn Storage>,
}

impl Mover {
    fn uploads(&self) -> &dyn MultipartUploads {
        uploads(&*self.storage)
    }

    fn body(&self, content: &[u8]) -> Body {
        Body::new(
            vec![Bytes::copy_from_slice(content)],
            self.storage.capabilities().checksum,
        )
    }

    /// Whether what is there is what was sent; asked after an answer to a commit was lost.
    async fn arrived(&self, key: &str, content: &[u8]) -> Result<ObjectState, StorageError> {
        let state = retry(PATIENCE, || self.storage.stat(key)).await?;
        let reading = resume_read(Arc::clone(&self.storage), &state, 0..state.bytes, PATIENCE);
        if reading.collect().await?.concat() == content {
            return Ok(state);
        }
        Err(StorageError::Corrupt {
            location: key.to_owned(),
            said: "other content is there".into(),
        })
    }

    /// Commits, however often answers are lost: after each lost one it looks, and does it again if nothing is there.
    async fn commit<F>(
        &self,
        key: &str,
        content: &[u8],
        mut commit: impl FnMut() -> F,
    ) -> Result<ObjectState, StorageError>
    where
        F: Future<Output = Result<ObjectState, StorageError>>,
    {
        for _ in 0..PATIENCE.attempts {
            let lost = match retry(PATIENCE, &mut commit).await {
                Err(
                    error @ (StorageError::Unknown { .. }
                    | StorageError::Precondition { .. }
                    | StorageError::UploadGone(_)),
                ) => error,
                other => return other,
            };
            match self.arrived(key, content).await {
                Err(StorageError::NotFound(_)) if matches!(lost, StorageError::Unknown { .. }) => {}
                other => return other,
            }
        }
        Err(StorageError::Unavailable {
            location: key.to_owned(),
            said: "too many answers were lost".into(),
        })
    }

    async fn put(&self, key: &str, content: &[u8]) -> Result<ObjectState, StorageError> {
        let (body, attributes) = (self.body(content), Attributes::default());
        self.commit(key, content, || {
            self.storage.put(PutRequest {
                key,
                body: &body,
                attributes: &attributes,
                precondition: &Precondition::IfAbsent,
            })
        })
        .await
    }

    async fn put_in_parts(
        &self,
        key: &str,
        content: &[u8],
        part_bytes: usize,
    ) -> Result<ObjectState, StorageError> {
        let attributes = Attributes::default();
        let upload = retry(PATIENCE, || {
            self.uploads().begin(BeginRequest {
                key,
                attributes: &attributes,
                source: None,
            })
        })
        .await?;
        let outcome = self.send(&upload, content, part_bytes).await;
        if outcome.is_err() {
            retry(PATIENCE, || self.uploads().abort(&upload)).await?;
        }
        outcome
    }

    /// Begins an upload and thinks better of it.
    async fn give_up(&self, key: &str) -> Result<(), StorageError> {
        let upload = self
            .uploads()
            .begin(BeginRequest {
                key,
                attributes: &Attributes::default(),
                source: None,
            })
            .await?;
        retry(PATIENCE, || self.uploads().abort(&upload)).await
    }

    async fn send(
        &self,
        upload: &Upload,
        content: &[u8],
        part_bytes: usize,
    ) -> Result<ObjectState, StorageError> {
        let mut parts: Vec<Part> = Vec::new();
        for (at, piece) in content.chunks(part_bytes).enumerate() {
            let slot = Slot {
                number: at as u32 + 1,
                offset: (at * part_bytes) as u64,
            };
            let body = self.body(piece);
            parts.push(retry(PATIENCE, || self.uploads().put_part(upload, slot, &body)).await?);
        }
        let sum = Part::whole(&parts);
        self.commit(&upload.key, content, || {
            self.uploads().complete(CompleteRequest {
                upload,
                parts: &parts,
                whole: sum,
                precondition: &Precondition::IfAbsent,
            })
        })
        .await
    }

    /// Reads an object whose checksum is known, as a transfer knows it.
    async fn fetch(&self, key: &str, sum: ::storage::Checksum) -> Result<Vec<u8>, StorageError> {
        let state = retry(PATIENCE, || self.storage.stat(key)).await?;
        let storage = Arc::clone(&self.storage);
        let content = resume_read(storage, &state, 0..state.bytes, PATIENCE)
            .collect()
            .await?
            .concat();
        let mut running = RunningChecksum::new(sum.kind());
        running.update(&content);
        let found = running.finish();
        if found == sum {
            return Ok(content);
        }
        Err(StorageError::Corrupt {
            location: key.to_owned(),
            said: format!("{found}, not {sum}"),
        })
    }
}

/// Lets one call in three go wrong, differently in every run; what came of it.
async fn storm(subject: &Subject, in_parts: bool) {
    let seed = std::env::var("SHOWRUNNER_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    let (mut sent, mut fetched) = (0, 0);
    let (storage, prefix) = subject
        .open(if in_parts { "storm_parts" } else { "storm" })
        .await;
    let part_bytes = storage
        .capabilities()
        .multipart
        .expect("parts")
        .limits
        .bytes_min
        .max(50_000) as usize;
    for run in 0..RUNS {
        let mut random = fastrand::Rng::with_seed(seed + run);
        let faults = Faults::new(move |_| {
            (random.u8(..3) == 0).then(|| FAULTS[random.usize(..FAULTS.len())])
        });
        let faulty = Mover {
            storage: Arc::new(Layered::new(Arc::clone(&storage), faults.clone())),
        };
        let sound = Mover {
            storage: Arc::clone(&storage),
        };
        let key = format!("{prefix}{run}");
        let content = noise(
            if in_parts {
                2 * part_bytes + 999
            } else {
                60_000
            },
            run,
        );
        let sum = sound.body(&content).checksum();
        let outcome = match in_parts {
            true => faulty.put_in_parts(&key, &content, part_bytes).await,
            false => faulty.put(&key, &content).await,
        };
        println!(
            "{} run {run}: {:?}",
            subject.name,
            outcome.as_ref().map(|_| ())
        );
        match outcome {
            Ok(_) => {
                sent += 1;
                assert!(
                    sound.fetch(&key, sum).await.expect("reported good") == content,
                    "seed {seed} run {run}"
                );
            }
            // Not reported good: what is there, if anything is, is whole and right all the same.
            Err(_) => match sound.fetch(&key, sum).await {
                Ok(found) => assert!(found == content, "seed {seed} run {run}"),
                Err(error) => assert!(
                    matches!(error, StorageError::NotFound(_)),
                    "seed {seed} run {run}: {error}"
                ),
            },
        }
        if sound.fetch(&key, sum).await.is_ok() {
            for _ in 0..3 {
                if let Ok(found) = faulty.fetch(&key, sum).await {
                    assert!(found == content, "seed {seed} run {run}");
                    fetched += 1;
                }
            }
        }
        for upload in uploads(&*storage).uploads(&key).await.expect("listed") {
            // An upload whose begin was answered into the void is all that may be left, and is found.
            uploads(&*storage).abort(&upload).await.expect("aborted");
        }
    }
    println!(
        "{}: {sent} of {RUNS} sent, {fetched} of three times as many fetched",
        subject.name
    );
    assert!(
        sent >= RUNS / 2 && fetched >= RUNS,
        "{sent} sent, {fetched} fetched: patience should get further"
    );
}

/// Every fault, once, at the first call of every kind.
async fn each_once(subject: &Subject) {
    use Operation::{Abort, Begin, Complete, Put, PutPart, Read, Stat};
    let (storage, prefix) = subject.open("each").await;
    let part_bytes = storage
        .capabilities()
        .multipart
        .expect("parts")
        .limits
        .bytes_min
        .max(50_000) as usize;
    let content = noise(part_bytes + 999, 9);
    for operation in [Put, Begin, PutPart, Complete, Stat, Read, Abort] {
        for (at, fault) in FAULTS.into_iter().enumerate() {
            let mut left = 1;
            let faults = Faults::new(move |call| {
                let now = call.operation == operation && left > 0;
                left -= i32::from(now);
                now.then_some(fault)
            });
            let faulty = Mover {
                storage: Arc::new(Layered::new(Arc::clone(&storage), faults.clone())),
            };
            let key = format!("{prefix}{operation:?}-{at}");
            let sum = faulty.body(&content).checksum();
            match operation {
                Put => faulty.put(&key, &content).await.map(|_| ()),
                Abort => faulty.give_up(&key).await,
                _ => faulty
                    .put_in_parts(&key, &content, part_bytes)
                    .await
                    .map(|_| ()),
            }
            .unwrap_or_else(|error| panic!("{operation:?} {fault:?}: {error}"));
            if operation != Abort {
                let fetched = faulty.fetch(&key, sum).await;
                let flipped = operation == Read && fault == Fault::WrongByte;
                match fetched {
                    Ok(found) => assert!(found == content && !flipped, "{operation:?} {fault:?}"),
                    Err(error) => assert!(
                        flipped && error.reason() == "storage_corrupt",
                        "{operation:?}: {error}"
                    ),
                }
            }
            assert_eq!(faults.happened(), [(operation, fault)], "it happened");
            for upload in uploads(&*storage).uploads(&key).await.expect("listed") {
                assert_eq!(
                    (operation, fault),
                    (Begin, Fault::ReplyLost),
                    "only an unanswered begin leaves something"
                );
                uploads(&*storage).abort(&upload).await.expect("aborted");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_survives_every_fault() {
    let subject = subjects::folder();
    each_once(&subject).await;
    storm(&subject, false).await;
    storm(&subject, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seaweedfs_survives_every_fault() {
    let Some(subject) = subjects::weed().await else {
        return;
    };
    each_once(&subject).await;
    storm(&subject, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn google_storage_survives_every_fault() {
    let subject = subjects::stub().await;
    assert!(!subject.lacks(Lacks::Compose));
    each_once(&subject).await;
    storm(&subject, false).await;
    storm(&subject, true).await;
}
