//! A work unit as a worker receives it.
use crate::id::{Kind, UnitId};
use crate::media::asset::Asset;
use crate::media::path_filter::PathFilter;
use crate::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One step over one partition, ready to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    /// Which unit this is.
    pub id: UnitId,
    /// Fencing token: a report with another epoch changes nothing (FEN-1).
    pub epoch: u32,
    /// Attempts that already failed.
    pub attempt: u32,
    /// Capacity class whose slot it takes.
    pub kind: Kind,
    /// What to do; shared by all units of a step.
    pub task: Arc<TaskSpec>,
    /// What to do it to. Locations are those the step must open (the landed copy, once there is one).
    pub assets: Vec<Asset>,
    /// When the job must be finished, if it must.
    pub deadline: Option<Timestamp>,
}

/// What a step does, compiled from the workflow: paths absolute, policies resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum TaskSpec {
    /// List a library.
    Scan(ScanTask),
    /// Copy and verify.
    Transfer(TransferTask),
    /// Measure and judge.
    Qc(QcTask),
    /// Takes time and moves nothing.
    Noop(NoopTask),
    /// Write the ASC MHL generation of a destination tree, once everything for it has arrived.
    Seal(SealTask),
    /// Do this while nothing else runs in the worker: the unit is suspected of killing the workers it runs in.
    Alone(Box<TaskSpec>),
    /// Move to another storage class.
    Archive(ArchiveTask),
    /// Bring content back from an archive, and wait for it.
    Restore(RestoreTask),
    /// Remove what is proven to be elsewhere.
    Purge(PurgeTask),
    /// Seal a tree that is a copy of another as a whole: it continues the history that the other came with.
    SealCopy {
        /// What is sealed.
        seal: SealTask,
        /// The tree it is a copy of: `file:`, `s3://` or `gs://`.
        from: String,
    },
    /// Judge, and measure only what is not known yet.
    Judge(Box<JudgeTask>),
    /// Copy and verify; other content at the destination stays there as an older version and is replaced.
    Replace(TransferTask),
    /// Copy and verify; begin what is large, and leave it to several workers.
    Cut(Box<CutTask>),
    /// Carry one slice of a large asset.
    Slice(Box<SliceTask>),
    /// Copy and verify; of what is large all slices have been carried.
    Assemble(Box<AssembleTask>),
    /// List those files of a folder or bucket that a filter selects. A worker that does not know it cannot list everything.
    ScanSelected {
        /// Parameters of the listing.
        scan: ScanTask,
        /// Which of its files are assets.
        filter: PathFilter,
    },
    /// Read content where it is, and record its hash.
    Checksum(ChecksumTask),
}

impl TaskSpec {
    /// The word of its step kind, where that is not the word of its capacity class.
    pub fn word(&self) -> Option<&'static str> {
        match self {
            TaskSpec::Archive(_) => Some("archive"),
            TaskSpec::Restore(_) => Some("restore"),
            TaskSpec::Purge(_) => Some("purge"),
            TaskSpec::Checksum(_) => Some("checksum"),
            _ => None,
        }
    }

    /// The listing of a library that this is.
    pub fn scan(&self) -> Option<&ScanTask> {
        match self {
            TaskSpec::Scan(task) | TaskSpec::ScanSelected { scan: task, .. } => Some(task),
            _ => None,
        }
    }

    /// The same listing with another scan: from another place on.
    #[must_use]
    pub fn with_scan(&self, scan: ScanTask) -> TaskSpec {
        match self {
            TaskSpec::ScanSelected { filter, .. } => TaskSpec::ScanSelected {
                scan,
                filter: filter.clone(),
            },
            _ => TaskSpec::Scan(scan),
        }
    }

    /// The transfer that this is, or is a piece of.
    pub fn transfer(&self) -> Option<&TransferTask> {
        match self {
            TaskSpec::Transfer(task) | TaskSpec::Replace(task) => Some(task),
            TaskSpec::Cut(task) => Some(&task.transfer),
            TaskSpec::Slice(task) => Some(&task.transfer),
            TaskSpec::Assemble(task) => Some(&task.transfer),
            TaskSpec::Alone(task) => task.transfer(),
            _ => None,
        }
    }
}

/// Where a library's assets are listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanTask {
    /// Manifest or folder.
    pub source: ScanSource,
    /// Directory that relative locations start from and may not leave.
    pub root: String,
    /// Where a previous, interrupted scan had got to.
    pub resume: Option<ScanCursor>,
    /// Assets a page carries at most.
    pub page_assets: u32,
}

/// The forms of a library.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ScanSource {
    /// CSV with a header, or JSON lines, by extension and first byte.
    Manifest {
        /// Absolute path of the source.
        path: String,
    },
    /// Every regular file below a directory.
    Folder {
        /// Absolute path of the source.
        path: String,
        /// Regular expression over the relative path; named captures fill the columns of the same name.
        pattern: Option<String>,
    },
    /// Every object whose key begins with a prefix.
    Bucket {
        /// `s3://bucket/prefix` or `gs://bucket/prefix`, without a slash at its end.
        location: String,
        /// As for folders, over the key without the prefix.
        pattern: Option<String>,
        /// The key after which an interrupted listing continues.
        after: Option<String>,
    },
}

/// A place in a manifest between two rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanCursor {
    /// Number of the next page.
    pub page: u64,
    /// Byte offset of the next row.
    pub byte: u64,
    /// Line number of the next row, counted from 1.
    pub line: u64,
}

/// A verified copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferTask {
    /// Target with placeholders; `file:` and absolute.
    pub to: String,
    /// How the copy is proven; `None` copies without reading back.
    pub verify: Option<HashAlgorithm>,
    /// Further hashes to compute in the same read.
    pub hashes: Vec<HashAlgorithm>,
    /// Id of the job, which names this run's MHL journal.
    pub job: String,
    /// Whether an ASC MHL generation is written at the end.
    pub mhl: bool,
}

/// A transfer whose large assets may be carried by several workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutTask {
    /// Parameters of the transfer.
    pub transfer: TransferTask,
    /// Assets of so many bytes or more are large.
    pub above: u64,
    /// Slices that are wanted of each.
    pub wanted: u32,
    /// Bytes of a slice at least.
    pub bytes_min: u64,
}

/// A large asset whose upload has been begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// The asset's id.
    pub asset: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Bytes of a part of the upload.
    pub part_bytes: u64,
    /// Bytes of a slice: whole parts.
    pub slice_bytes: u64,
    /// Whether its content is also read in order, for hashes that cannot be put together from pieces.
    pub measured: bool,
    /// What the destination calls the upload.
    pub upload: String,
    /// The state of the source that is carried: its tag, and its id where the source keeps several.
    pub version: (String, Option<String>),
}

/// One slice of a large asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceTask {
    /// The transfer it belongs to.
    pub transfer: TransferTask,
    /// The asset's upload.
    pub draft: Draft,
    /// Its first byte.
    pub first: u64,
    /// Length in bytes.
    pub bytes: u64,
    /// It is read and measured, not sent.
    pub measures: bool,
}

/// The end of a transfer whose large assets were carried in slices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssembleTask {
    /// Parameters of the transfer.
    pub transfer: TransferTask,
    /// Its large assets.
    pub drafts: Vec<Assembly>,
    /// Nothing of it is wanted any more: the uploads are aborted, and nothing else is done.
    pub discard: bool,
}

/// A large asset whose slices have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assembly {
    /// The asset's upload.
    pub draft: Draft,
    /// What its slices reported, by number; nothing when one of them failed.
    pub receipts: Vec<String>,
}

/// Closes a destination tree with an ASC MHL generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SealTask {
    /// Root of the tree; `file:` and absolute.
    pub root: String,
    /// Id of the job whose journal is read.
    pub job: String,
    /// Hash the generation records.
    pub algorithm: HashAlgorithm,
}

/// Moving content to another storage class, where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveTask {
    /// The class as the storage spells it.
    pub class: String,
}

/// Bringing content back from an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreTask {
    /// Days the readable copy is kept.
    pub days: u32,
    /// How fast it is wanted.
    pub tier: RestoreTier,
    /// Microseconds until it is looked for again.
    pub look_again_us: u64,
}

/// How fast content comes back from an archive, and at what price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RestoreTier {
    /// Minutes; not from the deepest archives.
    Expedited,
    /// Standard retrieval within hours.
    #[default]
    Standard,
    /// Up to two days, at the lowest price.
    Bulk,
}

/// Removing what is proven to be elsewhere. Targets are those of the transfers that made each copy, first to last; none
/// for the library's own file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeTask {
    /// Targets that lead to what is removed.
    pub of: Vec<String>,
    /// Targets that lead to the copy that stays.
    pub keep: Vec<String>,
    /// How the copy is proven.
    pub proof: PurgeProof,
    /// Who orders it.
    pub ordered_by: String,
    /// Reason for the record.
    pub reason: String,
    /// Look and report, remove nothing.
    pub dry_run: bool,
}

/// How a copy is proven to have the content that is to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PurgeProof {
    /// Both are read and hashed.
    #[default]
    Content,
    /// What is to be removed is read; of the copy, the checksum counts that its storage keeps and vouches for.
    Checksum,
}

/// Reading content where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChecksumTask {
    /// The hash that is recorded; none for the algorithm of the declared hash, else xxh128.
    pub algorithm: Option<HashAlgorithm>,
}

/// Measuring and judging media.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QcTask {
    /// The resolved delivery spec as JSON.
    pub policy: String,
    /// Digest of the policy: half of a verdict's key (QC-1).
    pub digest: String,
}

/// Judging media of which some have been measured before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgeTask {
    /// Policy and parameters of the check.
    pub qc: QcTask,
    /// What is known of the unit's assets.
    pub known: Vec<Measured>,
}

/// What was measured of bytes that an asset is believed to have. It counts only once the bytes have been read and have
/// this hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Id of the asset.
    pub asset: String,
    /// Hash of the bytes, `algorithm:hex`.
    pub hash: String,
    /// The fact sheet as JSON; it says its own version.
    pub sheet: String,
}

/// A unit that only takes time, for load tests and rehearsals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NoopTask {
    /// Shortest duration in microseconds.
    pub duration_min_us: u64,
    /// Longest duration in microseconds.
    pub duration_max_us: u64,
    /// Share of attempts that fail, 0 to 1.
    pub fail: f64,
}

/// Hash algorithms of file content. The spelling is the one ASC MHL and manifests use.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum HashAlgorithm {
    /// XXH3, 128 bits: the default, as in ASC MHL.
    Xxh128,
    /// XXH3, 64 bits.
    Xxh3,
    /// XXH64, 64 bits.
    Xxh64,
    /// MD5, 128 bits.
    Md5,
    /// SHA-1, 160 bits.
    Sha1,
    /// SHA-256, 256 bits.
    Sha256,
    /// C4 id (SHA-512 in base 58, SMPTE ST 2114).
    C4,
    /// CRC-64/NVME, as S3 verifies it.
    Crc64nvme,
}

impl HashAlgorithm {
    /// Every hash algorithm.
    pub const ALL: [HashAlgorithm; 8] = [
        HashAlgorithm::Xxh128,
        HashAlgorithm::Xxh3,
        HashAlgorithm::Xxh64,
        HashAlgorithm::Md5,
        HashAlgorithm::Sha1,
        HashAlgorithm::Sha256,
        HashAlgorithm::C4,
        HashAlgorithm::Crc64nvme,
    ];

    /// The spelling in manifests, MHL elements and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            HashAlgorithm::Xxh128 => "xxh128",
            HashAlgorithm::Xxh3 => "xxh3",
            HashAlgorithm::Xxh64 => "xxh64",
            HashAlgorithm::Md5 => "md5",
            HashAlgorithm::Sha1 => "sha1",
            HashAlgorithm::Sha256 => "sha256",
            HashAlgorithm::C4 => "c4",
            HashAlgorithm::Crc64nvme => "crc64nvme",
        }
    }

    /// Reads the spelling of [`HashAlgorithm::as_str`], in any case.
    pub fn parse(text: &str) -> Option<HashAlgorithm> {
        HashAlgorithm::ALL
            .into_iter()
            .find(|a| a.as_str().eq_ignore_ascii_case(text.trim()))
    }

    /// Length of a digest in hexadecimal digits; C4 ids are 90 characters of base 58 with their prefix.
    pub fn text_len(self) -> usize {
        match self {
            HashAlgorithm::Xxh3 | HashAlgorithm::Xxh64 | HashAlgorithm::Crc64nvme => 16,
            HashAlgorithm::Xxh128 | HashAlgorithm::Md5 => 32,
            HashAlgorithm::Sha1 => 40,
            HashAlgorithm::Sha256 => 64,
            HashAlgorithm::C4 => 90,
        }
    }
}

/// Splits `algorithm:digest` as manifests write it. Says what is wrong otherwise.
pub fn parse_hash(text: &str) -> Result<(HashAlgorithm, String), String> {
    let text = text.trim();
    let (name, digest) = match text.split_once(':') {
        Some(pair) => pair,
        None if text.starts_with("c4") && text.len() == 90 => ("c4", text),
        None => {
            return Err(format!(
                "hash {text:?} does not say its algorithm: write it as xxh128:{text} or md5:{text}"
            ));
        }
    };
    let Some(algorithm) = HashAlgorithm::parse(name) else {
        let known = HashAlgorithm::ALL.map(HashAlgorithm::as_str).join(", ");
        return Err(format!("unknown hash algorithm {name:?}; known: {known}"));
    };
    let hex = algorithm != HashAlgorithm::C4;
    if digest.len() != algorithm.text_len()
        || (hex && !digest.chars().all(|c| c.is_ascii_hexdigit()))
    {
        return Err(format!(
            "{name} digest {digest:?} is not {} characters long or not hexadecimal",
            algorithm.text_len()
        ));
    }
    let digest = if hex {
        digest.to_ascii_lowercase()
    } else {
        digest.to_owned()
    };
    Ok((algorithm, digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_name_their_algorithm() {
        assert_eq!(
            parse_hash("MD5:D41D8CD98F00B204E9800998ECF8427E"),
            Ok((
                HashAlgorithm::Md5,
                "d41d8cd98f00b204e9800998ecf8427e".into()
            ))
        );
        assert!(
            parse_hash("d41d8cd98f00b204e9800998ecf8427e")
                .expect_err("ambiguous")
                .contains("md5:")
        );
        assert!(parse_hash("md5:xyz").is_err());
        assert!(
            parse_hash("crc1:00")
                .expect_err("unknown")
                .contains("crc64nvme")
        );
    }
}
