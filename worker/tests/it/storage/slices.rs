//! One large file over several workers, as workers see it: begun, carried in slices by whomever, in any order, more than
//! once, and completed; or not.
use crate::fixture::{finished, noise, unit};
use crate::storage::carry::{Road, task, xxh128};
use crate::storage::subjects::{self, Subject};
use ::storage::layer::Operation;
use ::storage::{Body, Slot, Upload};
use protocol::failure::Failure;
use protocol::media::asset::{Asset, AssetFact};
use protocol::model::hash::HashAlgorithm;
use protocol::rules::storage::multipart::{LargeAsset, PlannedSlice, plan_slices};
use protocol::wire::report::UnitResult;
use protocol::wire::step::TaskSpec;
use protocol::wire::step::multipart::{
    BeginUploadsTask, CompleteUploadsTask, OpenUpload, SliceTask, UploadReceipts,
};
use protocol::wire::step::transfer::TransferTask;
use std::sync::Arc;

const MIB: usize = 1024 * 1024;
/// Five parts and a bit, in three slices.
const BYTES: usize = 40 * MIB + 12_345;

/// A unit of one asset that is cut.
struct Cutting<'a> {
    road: &'a Road,
    transfer: TransferTask,
    asset: Asset,
    open_upload: OpenUpload,
    portions: Vec<PlannedSlice>,
}

async fn run(road: &Road, task: TaskSpec, asset: &Asset, epoch: u32) -> UnitResult {
    let whole = unit(
        task.transfer().expect("one of a transfer"),
        std::slice::from_ref(asset),
    );
    let unit = protocol::wire::unit::Unit {
        task: Arc::new(task),
        epoch,
        ..whole
    };
    worker::step::run(&unit, &road.context()).await
}

fn cut(transfer: &TransferTask) -> TaskSpec {
    let task = BeginUploadsTask {
        transfer: transfer.clone(),
        above: MIB as u64,
        wanted: 3,
        bytes_min: MIB as u64,
    };
    TaskSpec::BeginUploads(Box::new(task))
}

impl<'a> Cutting<'a> {
    async fn begin(road: &'a Road, transfer: TransferTask, asset: Asset) -> Cutting<'a> {
        let begun = run(road, cut(&transfer), &asset, 1).await;
        let UnitResult::UploadsBegun(mut open_uploads) = begun else {
            panic!("it is not cut: {begun:?}")
        };
        let open_upload = open_uploads.pop().expect("one asset");
        assert_eq!(open_uploads, []);
        let large = LargeAsset {
            bytes: open_upload.bytes,
            part_bytes: open_upload.part_bytes,
            slice_bytes: open_upload.slice_bytes,
            measured: open_upload.measured,
        };
        let portions = plan_slices(&[large]).expect("it can be cut");
        assert_eq!(portions.len(), 3 + usize::from(open_upload.measured));
        Cutting {
            road,
            transfer,
            asset,
            open_upload,
            portions,
        }
    }

    async fn slice(&self, at: usize, epoch: u32) -> Result<String, Failure> {
        let portion = self.portions[at];
        let task = SliceTask {
            transfer: self.transfer.clone(),
            open_upload: self.open_upload.clone(),
            first: portion.slice.first,
            bytes: portion.slice.bytes,
            measures: portion.measures,
        };
        match run(
            self.road,
            TaskSpec::Slice(Box::new(task)),
            &self.asset,
            epoch,
        )
        .await
        {
            UnitResult::Sliced(receipt) => Ok(receipt),
            UnitResult::Failed(failure) => Err(failure),
            other => panic!("no end of a slice: {other:?}"),
        }
    }

    /// Every slice, the last one first.
    async fn slices(&self) -> Vec<String> {
        let mut receipts = Vec::new();
        for at in (0..self.portions.len()).rev() {
            receipts.push(self.slice(at, 1).await.expect("carried"));
        }
        receipts.reverse();
        receipts
    }

    async fn end(&self, receipts: Vec<String>, discard: bool) -> UnitResult {
        let open_uploads = vec![UploadReceipts {
            open_upload: self.open_upload.clone(),
            receipts,
        }];
        let task = CompleteUploadsTask {
            transfer: self.transfer.clone(),
            open_uploads,
            discard,
        };
        run(
            self.road,
            TaskSpec::CompleteUploads(Box::new(task)),
            &self.asset,
            2,
        )
        .await
    }

    async fn assemble(&self, receipts: Vec<String>) -> (Vec<AssetFact>, Vec<(String, Failure)>) {
        finished(self.end(receipts, false).await)
    }

    /// The upload of an asset that goes up.
    async fn upload(&self) -> Upload {
        let (_, root) = self.road.storage().await;
        Upload {
            key: format!("{root}/{}", self.asset.path),
            id: self.open_upload.upload.clone(),
        }
    }
}

fn up(road: &Road) -> TransferTask {
    task(&format!("{}up/{{path}}", road.base))
}

fn assert_landed(name: &str, landed: &(Vec<AssetFact>, Vec<(String, Failure)>), content: &[u8]) {
    let (facts, failures) = landed;
    assert_eq!((failures.as_slice(), facts.len()), (&[][..], 1), "{name}");
    assert_eq!(
        (facts[0].bytes, &facts[0].hash),
        (Some(content.len() as u64), &xxh128(content)),
        "{name}"
    );
}

/// Up and down again, with slices carried twice, by workers that know nothing of each other, and one that comes too late.
async fn round_trip(subject: Subject) {
    let name = subject.name;
    let road = Road::new(subject, |_| None);
    let content = noise(BYTES, 7);
    let file = road.file("a b.mov", &content);
    let cutting = Cutting::begin(&road, up(&road), file.clone()).await;
    let mut receipts = cutting.slices().await;
    receipts[1] = cutting.slice(1, 2).await.expect("carried again");
    let again = cutting.slice(2, 3).await.expect("carried once more");
    assert!(
        road.content("a b.mov").await.is_none(),
        "{name}: nothing is visible before its end"
    );
    let landed = cutting.assemble(receipts.clone()).await;
    assert_landed(name, &landed, &content);
    assert!(!landed.0[0].skipped, "{name}");
    assert!(
        road.content("a b.mov").await.as_deref() == Some(&content),
        "{name}"
    );
    assert_eq!(road.uploads().await, [], "{name}");
    // A zombie: its slice was taken back long ago.
    assert_eq!(
        cutting.slice(2, 1).await.expect_err("too late").reason,
        "slice_obsolete",
        "{name}"
    );
    // The report of the end was lost: whoever does it again finds it done.
    receipts[2] = again;
    assert_landed(name, &cutting.assemble(receipts).await, &content);
    assert!(
        road.content("a b.mov").await.as_deref() == Some(&content),
        "{name}"
    );
    assert_eq!(road.uploads().await, [], "{name}");

    let down = task(&format!("file:{}/{{path}}", road.path("down").display()));
    let object = Asset {
        bytes: Some(BYTES as u64),
        ..road.object("a b.mov", "up")
    };
    let cutting = Cutting::begin(&road, down, object).await;
    let mut receipts = cutting.slices().await;
    receipts[1] = cutting.slice(1, 2).await.expect("carried again");
    assert!(
        !road.path("down/a b.mov").exists(),
        "{name}: nothing is visible before its end"
    );
    assert_landed(name, &cutting.assemble(receipts).await, &content);
    assert!(
        std::fs::read(road.path("down/a b.mov")).expect("landed") == content,
        "{name}"
    );
    assert_eq!(
        std::fs::read_dir(road.path("down"))
            .expect("listed")
            .count(),
        1,
        "{name}: nothing hidden is left"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weed_takes_and_gives_slices() {
    let Some(subject) = subjects::weed().await else {
        return;
    };
    round_trip(subject).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_does_a_server_that_knows_md5_only() {
    let Some(subject) = subjects::weed_md5().await else {
        return;
    };
    round_trip(subject).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_does_a_second_kind_of_s3() {
    let Some(subject) = subjects::ministack().await else {
        return;
    };
    round_trip(subject).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_does_google_storage() {
    round_trip(subjects::stub().await).await;
}

/// Where the hash that is wanted comes from those of the parts, nothing is read twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hash_that_can_be_put_together_costs_no_second_reading() {
    let Some(subject) = subjects::weed().await else {
        return;
    };
    let road = Road::new(subject, |_| None);
    let content = noise(BYTES, 8);
    let transfer = TransferTask {
        verify: Some(HashAlgorithm::Crc64nvme),
        hashes: Vec::new(),
        ..up(&road)
    };
    let cutting = Cutting::begin(&road, transfer, road.file("a.mov", &content)).await;
    assert!(!cutting.open_upload.measured);
    let (facts, failures) = cutting.assemble(cutting.slices().await).await;
    assert_eq!(failures, []);
    let expected = ::storage::hash::hash_bytes(HashAlgorithm::Crc64nvme, &content);
    assert_eq!(facts[0].hash, Some(expected.to_string()));
    assert!(road.content("a.mov").await == Some(content));
    assert_eq!(
        (road.bytes_of(Operation::PutPart), road.uploads().await),
        (BYTES as u64, vec![])
    );
}

/// A worker was killed in the middle of a slice: the next one sends what is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_slice_resumes_at_its_missing_parts() {
    let Some(subject) = subjects::weed().await else {
        return;
    };
    let road = Road::new(subject, |_| None);
    let content = noise(BYTES, 9);
    let cutting = Cutting::begin(&road, up(&road), road.file("a.mov", &content)).await;
    let (storage, _) = road.storage().await;
    let first = Body::new(
        vec![content[..8 * MIB].to_vec().into()],
        storage.capabilities().checksum,
    );
    storage
        .multipart("")
        .expect("parts")
        .put_part(
            &cutting.upload().await,
            Slot {
                number: 1,
                offset: 0,
            },
            &first,
        )
        .await
        .expect("sent");
    let at = usize::from(cutting.open_upload.measured);
    cutting.slice(at, 2).await.expect("carried");
    assert_eq!(
        road.bytes_of(Operation::PutPart),
        8 * MIB as u64,
        "the slice has two parts, one of which was there"
    );
}

/// A worker whose memory lies sends something else than was read, and is believed by the server: the checksum of the
/// whole is not that of what was read in one go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_do_not_make_what_was_read_never_land() {
    let Some(subject) = subjects::weed().await else {
        return;
    };
    let road = Road::new(subject, |_| None);
    let content = noise(BYTES, 10);
    let cutting = Cutting::begin(&road, up(&road), road.file("a.mov", &content)).await;
    let mut receipts = cutting.slices().await;
    let (storage, _) = road.storage().await;
    let lie = Body::new(
        vec![noise(8 * MIB, 11).into()],
        storage.capabilities().checksum,
    );
    let part = storage
        .multipart("")
        .expect("parts")
        .put_part(
            &cutting.upload().await,
            Slot {
                number: 2,
                offset: 8 * MIB as u64,
            },
            &lie,
        )
        .await;
    let part = part.expect("the server knows no better");
    let sum = part.checksum.expect("as it was sent");
    let mut told: serde_json::Value = serde_json::from_str(&receipts[1]).expect("JSON");
    assert_eq!(told["Parts"][1][0], 2, "{told}");
    told["Parts"][1] = serde_json::json!([
        2,
        part.bytes,
        part.tag,
        format!("{}:{}", sum.kind().as_str(), sum.base64())
    ]);
    receipts[1] = told.to_string();
    assert_landed("weed", &cutting.assemble(receipts).await, &content);
    assert!(road.content("a.mov").await == Some(content));
    assert_eq!(road.uploads().await, []);
}

/// What changes while it is carried is never a mixture of both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn source_changed_during_transfer_is_sent_again() {
    let Some(subject) = subjects::weed().await else {
        return;
    };
    let road = Road::new(subject, |_| None);
    let cutting = Cutting::begin(&road, up(&road), road.file("a.mov", &noise(BYTES, 12))).await;
    let mut receipts = cutting.slices().await;
    let content = noise(BYTES, 13);
    road.file("a.mov", &content);
    assert_eq!(
        cutting.slice(1, 2).await.expect_err("another file").reason,
        "slice_obsolete"
    );
    assert_landed(
        "all slices",
        &cutting.assemble(receipts.clone()).await,
        &content,
    );
    assert!(road.content("a.mov").await.as_deref() == Some(&content));
    let cutting = Cutting::begin(&road, up(&road), road.file("b.mov", &content)).await;
    receipts = cutting.slices().await;
    receipts.pop();
    assert_landed(
        "not all slices",
        &cutting.assemble(receipts).await,
        &content,
    );
    let cutting = Cutting::begin(&road, up(&road), road.file("c.mov", &content)).await;
    assert_landed("no slices", &cutting.assemble(Vec::new()).await, &content);
    assert_eq!(road.uploads().await, []);
}

/// Cancelled half-way: nothing is left, and nobody can go on with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_discarded_leaves_nothing() {
    for subject in [subjects::weed().await, Some(subjects::folder())]
        .into_iter()
        .flatten()
    {
        let (name, is_folder) = (subject.name, subject.name == "folder");
        let road = Road::new(subject, |_| None);
        let Some(source) = subjects::weed().await else {
            return;
        };
        let other = Road::new(source, |_| None);
        let content = noise(BYTES, 14);
        let (road, cutting) = match is_folder {
            false => (
                &road,
                Cutting::begin(&road, up(&road), road.file("a.mov", &content)).await,
            ),
            // From the bucket into a folder.
            true => {
                finished(
                    worker::step::run(
                        &unit(&up(&other), &[other.file("a.mov", &content)]),
                        &other.context(),
                    )
                    .await,
                );
                let down = task(&format!(
                    "file:{}/up/{{path}}",
                    other.path("down").display()
                ));
                (
                    &other,
                    Cutting::begin(&other, down, other.object("a.mov", "up")).await,
                )
            }
        };
        cutting.slice(1, 1).await.expect("carried");
        for _ in 0..2 {
            assert_eq!(
                cutting.end(Vec::new(), true).await,
                UnitResult::Cancelled,
                "{name}"
            );
        }
        match is_folder {
            false => {
                assert_eq!(road.uploads().await, [], "{name}");
                assert!(road.content("a.mov").await.is_none(), "{name}");
            }
            true => assert_eq!(
                std::fs::read_dir(road.path("down/up"))
                    .expect("listed")
                    .count(),
                0
            ),
        }
        assert_eq!(
            cutting.slice(2, 1).await.expect_err("gone").reason,
            "slice_obsolete",
            "{name}"
        );
    }
}

/// What one worker does as well: small files, what is there already, what the server copies by itself, file to file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_gains_nothing_is_carried_whole() {
    let Some(subject) = subjects::weed().await else {
        return;
    };
    let road = Road::new(subject, |_| None);
    let content = noise(9 * MIB, 15);
    let (small, large) = (
        road.file("small.mov", b"small"),
        road.file("large.mov", &content),
    );
    let cutting = Cutting::begin(&road, up(&road), road.file("a.mov", &noise(BYTES, 16))).await;
    drop(cutting);
    let whole = |transfer: TransferTask, asset: Asset| {
        let road = &road;
        async move { finished(run(road, cut(&transfer), &asset, 1).await) }
    };
    assert_eq!(whole(up(&road), small).await.1, []);
    finished(
        worker::step::run(
            &unit(&up(&road), std::slice::from_ref(&large)),
            &road.context(),
        )
        .await,
    );
    assert!(whole(up(&road), large.clone()).await.0[0].skipped);
    let across = task(&format!("{}across/{{path}}", road.base));
    assert_landed(
        "across",
        &whole(across, road.object("large.mov", "up")).await,
        &content,
    );
    let beside = task(&format!("file:{}/{{path}}", road.path("beside").display()));
    assert_landed("beside", &whole(beside, large).await, &content);
}
