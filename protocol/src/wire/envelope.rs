//! The one place where wire messages become bytes: a version byte, then bincode's compact layout.
//!
//! bincode is not self-describing, so a changed struct is a new version: add the new struct, keep the old one readable
//! (N-1), and write N-1 until every node reports N. Golden bytes in `tests/golden` fail when a layout moves by accident.
//! Only short-lived messages are encoded this way; what is stored is JSON.
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// The version this build writes.
pub const VERSION: u8 = 1;

/// Versions this build reads.
pub const READABLE: std::ops::RangeInclusive<u8> = 1..=1;

/// Largest message either side sends or accepts.
pub const BYTES_MAX: usize = 4 * 1024 * 1024;

/// Memory that decoding may claim. bincode counts what a value takes in memory, at most eight bytes for one on the wire: so
/// whatever may be sent can be read, and a length that lies allocates no more than this.
const CLAIM_MAX: usize = 8 * BYTES_MAX;

/// Why bytes are not a message. All of these are permanent: the message is parked, never retried for ever.
#[derive(Debug, Error)]
pub enum WireError {
    /// No bytes at all.
    #[error("empty wire message")]
    Empty,
    /// Written by a build this one does not know.
    #[error("wire version {0}; this build reads {start} to {end}: upgrade this process", start = READABLE.start(), end = READABLE.end())]
    Version(u8),
    /// Larger than [`BYTES_MAX`].
    #[error("wire message of {0} bytes exceeds {BYTES_MAX}")]
    TooLong(usize),
    /// Not the layout its version promises.
    #[error("malformed wire message: {0}")]
    Malformed(String),
}

/// Encodes a message with its version byte.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, WireError> {
    let mut bytes = vec![VERSION];
    bincode::serde::encode_into_std_write(message, &mut bytes, config())
        .map_err(|e| WireError::Malformed(e.to_string()))?;
    if bytes.len() > BYTES_MAX {
        return Err(WireError::TooLong(bytes.len()));
    }
    Ok(bytes)
}

/// Bytes that [`encode`] makes of a message, however many these are.
pub fn measure<T: Serialize>(message: &T) -> Result<usize, WireError> {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(1);
    bincode::serde::encode_into_std_write(message, &mut count, config())
        .map_err(|e| WireError::Malformed(e.to_string()))?;
    Ok(count.0)
}

/// Decodes a message; refuses unknown versions, left-over bytes and oversized bodies.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    let (&version, body) = bytes.split_first().ok_or(WireError::Empty)?;
    if !READABLE.contains(&version) {
        return Err(WireError::Version(version));
    }
    if bytes.len() > BYTES_MAX {
        return Err(WireError::TooLong(bytes.len()));
    }
    let (message, used) = bincode::serde::decode_from_slice(body, config())
        .map_err(|e| WireError::Malformed(e.to_string()))?;
    if used != body.len() {
        return Err(WireError::Malformed(format!(
            "{} left-over bytes",
            body.len() - used
        )));
    }
    Ok(message)
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<CLAIM_MAX>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{ErrorClass, Failure};
    use crate::id::{Execution, JobNo, Kind, SliceNo, StepNo, UnitId, WorkerId};
    use crate::media::asset::{Asset, Role};
    use crate::media::path_filter::PathFilter;
    use crate::model::hash::HashAlgorithm;
    use crate::model::purge_proof::PurgeProof;
    use crate::model::restore_tier::RestoreTier;
    use crate::model::slot_count::SlotCount;
    use crate::wire::control::Control;
    use crate::wire::report::{
        Burial, Heartbeat, ListedAsset, Outcome, Progress, Report, RowError, ScanPage,
        UnitProgress, UnitResult,
    };
    use crate::wire::step::TaskSpec;
    use crate::wire::step::archive::{ArchiveTask, RestoreTask};
    use crate::wire::step::checksum::ChecksumTask;
    use crate::wire::step::multipart::{
        BeginUploadsTask, CompleteUploadsTask, OpenUpload, SliceTask, SourceVersion, UploadReceipts,
    };
    use crate::wire::step::noop::NoopTask;
    use crate::wire::step::purge::PurgeTask;
    use crate::wire::step::qc::{JudgeTask, Measured, QcTask};
    use crate::wire::step::scan::{ScanSource, ScanTask};
    use crate::wire::step::seal::SealTask;
    use crate::wire::step::transfer::TransferTask;
    use crate::wire::unit::Unit;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn unit() -> Unit {
        Unit {
            id: UnitId::new(JobNo(7), StepNo(2), 42),
            epoch: 3,
            attempt: 1,
            kind: Kind::Noop,
            task: Arc::new(TaskSpec::Noop(NoopTask {
                duration_min_us: 0,
                duration_max_us: 5000,
                fail: 0.01,
            })),
            assets: vec![Asset {
                id: "a-1".into(),
                title: "t-1".into(),
                role: Role::Master,
                location: "file:///m/a.mov".into(),
                path: "a.mov".into(),
                bytes: Some(12),
                hash: None,
                declared: None,
            }],
            deadline: None,
        }
    }

    fn judge() -> TaskSpec {
        let qc = QcTask {
            policy: "{}".into(),
            digest: "d".into(),
        };
        let known = Measured {
            asset: "a-1".into(),
            hash: "xxh128:00".into(),
            sheet: "{}".into(),
        };
        TaskSpec::Judge(Box::new(JudgeTask {
            qc,
            known: vec![known],
        }))
    }

    fn report() -> Report {
        Report::Settled(Outcome {
            unit: unit().id,
            epoch: 3,
            worker: WorkerId("w".into()),
            result: UnitResult::Finished {
                facts: vec![],
                failures: vec![(
                    "a-1".into(),
                    Failure::new(
                        ErrorClass::Throttled {
                            retry_after_ms: Some(5),
                        },
                        "slow",
                        "m",
                    ),
                )],
            },
            duration_us: 77,
        })
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Frozen layout of version 1. If this fails you changed the wire: make a new version instead.
    #[test]
    fn golden_bytes_of_version_1() {
        insta::assert_snapshot!("wire-1-unit", hex(&encode(&unit()).expect("encodes")));
        insta::assert_snapshot!("wire-1-report", hex(&encode(&report()).expect("encodes")));
        insta::assert_snapshot!("wire-1-judge", hex(&encode(&judge()).expect("encodes")));
    }

    /// Messages that came later, each at the end of its enum: what was there before keeps its bytes.
    #[test]
    fn golden_bytes_of_later_messages() {
        let (id, worker) = (unit().id, || WorkerId("w".into()));
        let moved = |epoch, bytes| UnitProgress {
            execution: Execution { unit: id, epoch },
            bytes,
        };
        let progress = Progress {
            worker: worker(),
            units: vec![moved(3, 1 << 40), moved(4, 0)],
        };
        let burial = Burial {
            asset: "a-1".into(),
            location: "s3://b/a".into(),
            version: "e".into(),
            bytes: 12,
            hash: "xxh128:00".into(),
            copy: "file:/c/a".into(),
            proof: PurgeProof::Content,
            found_gone: false,
            dry_run: true,
        };
        let page = ScanPage {
            unit: id,
            epoch: 1,
            page: 2,
            assets: vec![],
            errors: vec![],
            next: None,
        };
        let waiting = UnitResult::Waiting {
            look_again_us: 900_000_000,
            message: "m".into(),
        };
        let outcome = Outcome {
            unit: id,
            epoch: 3,
            worker: worker(),
            result: waiting,
            duration_us: 7,
        };
        let restore = RestoreTask {
            days: 7,
            tier: RestoreTier::Bulk,
            look_again_us: 5,
        };
        let purge = PurgeTask {
            of: vec![],
            keep: vec!["s3://b/{path}".into()],
            proof: PurgeProof::Checksum,
            ordered_by: "o".into(),
            reason: "r".into(),
            dry_run: true,
        };
        let bucket = ScanSource::Bucket {
            location: "s3://b/p".into(),
            pattern: None,
            after: Some("p/k".into()),
        };
        let scan = ScanTask {
            source: bucket,
            root: String::new(),
            resume: None,
            page_assets: 9,
        };
        let seal = SealTask {
            root: "s3://b/p".into(),
            job: "j".into(),
            algorithm: HashAlgorithm::Md5,
        };
        let reports = [
            Report::Page {
                page,
                up_to: Some("p/k".into()),
            },
            Report::Buried {
                execution: Execution { unit: id, epoch: 3 },
                burials: vec![burial],
            },
            Report::Progress(progress),
            Report::Settled(outcome),
        ];
        let transfer = TransferTask {
            to: "s3://b/{path}".into(),
            verify: None,
            hashes: vec![],
            job: "j".into(),
            mhl: false,
        };
        let open_upload = OpenUpload {
            asset: "a-1".into(),
            bytes: 1 << 33,
            part_bytes: 1 << 23,
            slice_bytes: 1 << 30,
            measured: true,
            upload: "u".into(),
            version: SourceVersion {
                tag: "t".into(),
                id: None,
            },
        };
        let cut = BeginUploadsTask {
            transfer: transfer.clone(),
            above: 1 << 31,
            wanted: 8,
            bytes_min: 1 << 27,
        };
        let slice = SliceTask {
            transfer: transfer.clone(),
            open_upload: open_upload.clone(),
            first: 1 << 30,
            bytes: 1 << 30,
            measures: false,
        };
        let assembly = UploadReceipts {
            open_upload: open_upload.clone(),
            receipts: vec!["r".into()],
        };
        let assemble = CompleteUploadsTask {
            transfer,
            open_uploads: vec![assembly],
            discard: true,
        };
        let ends = [
            UnitResult::UploadsBegun(vec![open_upload]),
            UnitResult::Sliced("r".into()),
        ];
        let ended = |result: &UnitResult| {
            Report::Settled(Outcome {
                unit: id.with_slice(SliceNo::new(2).expect("a slice")),
                epoch: 3,
                worker: worker(),
                result: result.clone(),
                duration_us: 7,
            })
        };
        let slicing = [
            TaskSpec::BeginUploads(Box::new(cut)),
            TaskSpec::Slice(Box::new(slice)),
            TaskSpec::CompleteUploads(Box::new(assemble)),
        ];
        let tasks = [
            TaskSpec::Archive(ArchiveTask {
                class: "GLACIER".into(),
            }),
            TaskSpec::Restore(restore),
            TaskSpec::Purge(purge),
            TaskSpec::Scan(scan),
            TaskSpec::SealCopy {
                seal,
                from: "file:/card".into(),
            },
        ];
        let mut bytes: Vec<String> = reports
            .iter()
            .map(|report| hex(&encode(report).expect("encodes")))
            .collect();
        bytes.extend(
            tasks
                .iter()
                .chain(&slicing)
                .map(|task| hex(&encode(task).expect("encodes"))),
        );
        bytes.extend(
            ends.iter()
                .map(|end| hex(&encode(&ended(end)).expect("encodes"))),
        );
        insta::assert_snapshot!("wire-1-later", bytes.join("\n"));
    }

    /// Messages with lists: of executions, of slots, of assets and of failures.
    #[test]
    fn golden_bytes_of_lists() {
        let (id, worker, asset) = (unit().id, WorkerId("w".into()), unit().assets.remove(0));
        let slice = id.with_slice(SliceNo::new(2).expect("a slice"));
        let slots = |kind, total, free| SlotCount { kind, total, free };
        let beat = Heartbeat {
            worker: worker.clone(),
            held: vec![id.execution(3), slice.execution(400)],
            slots: vec![slots(Kind::Qc, 4, 300), slots(Kind::Noop, 1, 0)],
            draining: true,
            bytes: 1 << 40,
            leaves_at: None,
        };
        let page = ScanPage {
            unit: id,
            epoch: 1,
            page: 2,
            assets: vec![ListedAsset { line: 300, asset }],
            errors: vec![],
            next: None,
        };
        let reports = [
            Report::Heartbeat(beat),
            Report::Isolated {
                execution: id.execution(3),
                worker,
            },
            Report::Page { page, up_to: None },
        ];
        let revoke = Control::Revoke(vec![id.execution(3), slice.execution(400)]);
        let mut bytes: Vec<String> = reports
            .iter()
            .map(|report| hex(&encode(report).expect("encodes")))
            .collect();
        bytes.push(hex(&encode(&revoke).expect("encodes")));
        insta::assert_snapshot!("wire-1-lists", bytes.join("\n"));
        for report in reports {
            assert_eq!(
                decode::<Report>(&encode(&report).expect("encodes")).expect("reads"),
                report
            );
        }
        assert_eq!(
            decode::<Control>(&encode(&revoke).expect("encodes")).expect("reads"),
            revoke
        );
    }

    /// A scan that selects is a task of its own: what does not know it cannot list everything instead.
    #[test]
    fn golden_bytes_of_a_selecting_scan() {
        let source = ScanSource::Folder {
            path: "/c".into(),
            pattern: None,
        };
        let scan = ScanTask {
            source,
            root: "/c".into(),
            resume: None,
            page_assets: 9,
        };
        let filter = PathFilter {
            include: vec!["*.mov".into()],
            exclude: vec!["x/".into()],
        };
        let task = TaskSpec::ScanSelected { scan, filter };
        let bytes = encode(&task).expect("encodes");
        insta::assert_snapshot!("wire-1-scan-selected", hex(&bytes));
        assert_eq!(decode::<TaskSpec>(&bytes).expect("reads"), task);
    }

    /// Hashing in place is the last task of its version.
    #[test]
    fn golden_bytes_of_a_checksum() {
        let task = TaskSpec::Checksum(ChecksumTask {
            algorithm: Some(HashAlgorithm::Md5),
        });
        let bytes = encode(&task).expect("encodes");
        insta::assert_snapshot!("wire-1-checksum", hex(&bytes));
        assert_eq!(decode::<TaskSpec>(&bytes).expect("reads"), task);
    }

    /// Passing over links is the last task of this version.
    #[test]
    fn golden_bytes_of_a_scan_without_links() {
        let scan = ScanTask {
            source: ScanSource::Folder {
                path: "/c".into(),
                pattern: None,
            },
            root: "/c".into(),
            resume: None,
            page_assets: 9,
        };
        let task = TaskSpec::ScanWithoutLinks {
            scan,
            filter: PathFilter::default(),
        };
        let bytes = encode(&task).expect("encodes");
        insta::assert_snapshot!("wire-1-scan-without-links", hex(&bytes));
        assert_eq!(decode::<TaskSpec>(&bytes).expect("reads"), task);
    }

    /// Titles of rows that cannot be used came later still: a page without them keeps its bytes.
    #[test]
    fn golden_bytes_of_titled_pages() {
        let error = |title: Option<&str>| RowError {
            line: 7,
            column: Some("bytes".into()),
            asset: Some("a-1".into()),
            message: "m".into(),
            title: title.map(str::to_owned),
        };
        let page = |errors| ScanPage {
            unit: unit().id,
            epoch: 1,
            page: 2,
            assets: vec![],
            errors,
            next: None,
        };
        let report = |errors, up_to: Option<&str>| Report::Page {
            page: page(errors),
            up_to: up_to.map(str::to_owned),
        };
        let titled = report(vec![error(Some("t-1")), error(None)], Some("p/k"));
        let bytes = encode(&titled).expect("encodes");
        insta::assert_snapshot!("wire-1-titled-page", hex(&bytes));
        assert_eq!(decode::<Report>(&bytes).expect("reads"), titled);
        // The number of the message follows the version: what earlier versions read is written where it suffices.
        for (report, number) in [
            (report(vec![error(None)], None), 1),
            (report(vec![], Some("k")), 4),
            (report(vec![error(Some("t-1"))], None), 7),
        ] {
            let bytes = encode(&report).expect("encodes");
            assert_eq!(
                (bytes[1], decode::<Report>(&bytes).expect("reads")),
                (number, report)
            );
        }
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let mut bytes = encode(&unit()).expect("encodes");
        assert_eq!(decode::<Unit>(&bytes).expect("reads"), unit());
        bytes.push(0);
        assert!(matches!(
            decode::<Unit>(&bytes),
            Err(WireError::Malformed(_))
        ));
        bytes[0] = 9;
        assert!(matches!(decode::<Unit>(&bytes), Err(WireError::Version(9))));
        assert!(matches!(decode::<Unit>(&[]), Err(WireError::Empty)));
    }

    /// One limit for both sides: the layouts that take the most memory for their bytes can be read up to the largest that
    /// can be sent.
    #[test]
    fn largest_message_that_can_be_sent_can_be_read() {
        let small = Execution {
            unit: UnitId::new(JobNo(0), StepNo(0), 0),
            epoch: 0,
        };
        let revoke = Control::Revoke(vec![small; BYTES_MAX / 4 - 2]);
        let bytes = encode(&revoke).expect("it fits");
        assert!(bytes.len() > BYTES_MAX - 64, "{}", bytes.len());
        assert_eq!(measure(&revoke).expect("it can be measured"), bytes.len());
        assert_eq!(
            decode::<Control>(&bytes).expect("what was sent can be read"),
            revoke
        );
        let missing = Failure::permanent("source_missing", "no such file: /l/0123456789.mxf");
        let failures: Vec<(String, Failure)> = (0..50_000)
            .map(|n| (format!("a{n:08}"), missing.clone()))
            .collect();
        let result = UnitResult::Finished {
            facts: vec![],
            failures,
        };
        let report = Report::Settled(Outcome {
            unit: small.unit,
            epoch: 1,
            worker: WorkerId("w".into()),
            result,
            duration_us: 1,
        });
        let bytes = encode(&vec![report.clone()]).expect("it fits");
        assert!(bytes.len() > BYTES_MAX / 2, "{}", bytes.len());
        assert_eq!(
            decode::<Vec<Report>>(&bytes).expect("what was sent can be read"),
            [report]
        );
        let long = Control::Revoke(vec![small; BYTES_MAX / 4]);
        assert!(
            matches!(encode(&long), Err(WireError::TooLong(bytes)) if bytes == measure(&long).unwrap_or(0))
        );
    }

    proptest! {
        /// Arbitrary bytes never panic and never allocate without bound.
        #[test]
        fn survives_any_bytes(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(first) = bytes.first_mut() { *first = VERSION; }
            let _unit = decode::<Unit>(&bytes);
            let _report = decode::<Report>(&bytes);
        }
    }
}
