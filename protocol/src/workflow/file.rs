//! A job file exactly as a person writes it. Keys that do not exist are errors with the nearest right one.
use crate::media::path_filter::Patterns;
use crate::model::barrier::{Budget, Require, Scope};
use crate::model::priority::Priority;
use crate::quantity::{Bytes, Share, Span, SpanRange};
use crate::wire::unit::{HashAlgorithm, PurgeProof, RestoreTier};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A job: one workflow over one library.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobFile {
    /// Name of the job; its id is made from it.
    pub job: String,
    /// Where the assets come from.
    pub library: LibraryFile,
    /// When the job must be finished (RFC 3339).
    pub deadline: Option<String>,
    /// Class of the whole job.
    #[serde(default)]
    pub priority: Priority,
    /// Who the work is for; shares are fair between tenants.
    pub tenant: Option<String>,
    /// How assets are cut into units.
    #[serde(default)]
    pub partition: PartitionFile,
    /// What to do, in any order; `needs` gives the order.
    pub steps: Vec<StepFile>,
}

/// Exactly one source of assets.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LibraryFile {
    /// CSV or JSON lines file.
    pub manifest: Option<String>,
    /// Directory, or `s3://bucket/prefix` or `gs://bucket/prefix`; every regular file or object below it is an asset.
    pub folder: Option<String>,
    /// Folders and buckets only: regular expression over the relative path; named captures fill columns.
    pub pattern: Option<String>,
    /// Folders and buckets only: glob patterns of the files that are assets (default: all). Quote patterns that begin with `*`.
    pub include: Option<Patterns>,
    /// Folders and buckets only: glob patterns of files that are no assets. They count before `include`.
    pub exclude: Option<Patterns>,
    /// Manifest only: directory that relative locations start from and may not leave (default: the manifest's own).
    pub root: Option<String>,
    /// Bucket and prefix on S3: `bucket/prefix`.
    pub s3: Option<String>,
    /// Bucket and prefix on Google Cloud Storage: `bucket/prefix`.
    pub gcs: Option<String>,
    /// Search in Mimir.
    pub mimir: Option<String>,
    /// Query over the catalogue.
    pub catalogue: Option<String>,
}

/// How assets are cut into units.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PartitionFile {
    /// `title` keeps each unit within one title; `count` packs assets in id order.
    pub by: Option<PartitionBy>,
    /// Assets a unit carries at most (default 1).
    pub max_assets: Option<u32>,
    /// Declared bytes a unit carries at most; one larger asset still makes a unit.
    pub max_bytes: Option<Bytes>,
}

/// Affinity of partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PartitionBy {
    /// A unit never mixes titles.
    Title,
    /// Only count and bytes matter.
    Count,
}

/// One step. Exactly one of the kind keys is set.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepFile {
    /// Name of the step, unique in the job.
    pub id: String,
    /// Steps that must have succeeded for an asset (or barriers that must have been released) before this one starts.
    #[serde(default)]
    pub needs: Vec<String>,
    /// What an asset's failure means for the rest.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// How often and how soon to try again.
    pub retry: Option<RetryFile>,
    /// Copy and verify.
    pub transfer: Option<TransferFile>,
    /// Measure and judge.
    pub qc: Option<QcFile>,
    /// Take time only.
    pub noop: Option<NoopFile>,
    /// Wait for others.
    pub barrier: Option<BarrierFile>,
    /// A person's decision.
    pub approval: Option<ApprovalFile>,
    /// Metadata to another system.
    pub sync: Option<serde_json::Value>,
    /// Sends a message.
    pub notify: Option<serde_json::Value>,
    /// Move to cheaper storage.
    pub archive: Option<ArchiveFile>,
    /// Bring back from an archive, and wait for it.
    pub restore: Option<RestoreFile>,
    /// Delete what is proven to be elsewhere.
    pub purge: Option<PurgeFile>,
    /// Hand over to a partner.
    pub deliver: Option<serde_json::Value>,
}

/// What an asset's failure means for the rest of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// A person must decide; the asset goes no further until then.
    #[default]
    Task,
    /// Later steps run for the asset all the same; the failure stays on record.
    Continue,
    /// The asset goes no further; no task is opened.
    Hold,
    /// The whole job is cancelled.
    Abort,
}

/// Retries of a step.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryFile {
    /// Executions in all (default 3).
    pub attempts: Option<u32>,
    /// First and longest pause between them; doubles in between (default 2s..5m).
    pub backoff: Option<SpanRange>,
}

/// Parameters of a transfer step.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferFile {
    /// Target with placeholders, e.g. `file:./landing/{title}/{file}`.
    pub to: String,
    /// How the copy is proven (default xxh128); `none` copies without reading back.
    pub verify: Option<Verify>,
    /// Further hashes to compute in the same read.
    #[serde(default)]
    pub hashes: Vec<HashAlgorithm>,
    /// Whether an ASC MHL generation is written at the destination.
    #[serde(default)]
    pub mhl: bool,
    /// What becomes of other content at the destination. Left out, it stays and the asset fails
    /// (`destination_conflict`).
    pub replace: Option<ReplaceFile>,
}

/// How other content at a destination is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReplaceFile {
    /// It stays as an older version: of the object, where the bucket keeps versions, or below `.showrunner/versions` of
    /// a directory. Where neither can be, the asset fails.
    Versioned,
}

/// A hash algorithm, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verify(pub Option<HashAlgorithm>);

impl<'de> Deserialize<'de> for Verify {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.eq_ignore_ascii_case("none") {
            return Ok(Verify(None));
        }
        let known = HashAlgorithm::ALL.map(HashAlgorithm::as_str);
        HashAlgorithm::parse(&text).map(|a| Verify(Some(a))).ok_or_else(|| {
            de::Error::custom(format!("unknown hash {text:?}: {} or none", crate::yaml::suggest(&text, &known)))
        })
    }
}

impl JsonSchema for Verify {
    fn schema_name() -> Cow<'static, str> {
        "Verify".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": ["xxh128", "xxh3", "xxh64", "md5", "sha1", "sha256", "c4", "crc64nvme", "none"] })
    }
}

/// Parameters of an archive step.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveFile {
    /// Storage class to move to, as the storage spells it: `GLACIER`, `DEEP_ARCHIVE`, `GLACIER_IR`, `STANDARD_IA`; on
    /// Google Cloud Storage `NEARLINE`, `COLDLINE`, `ARCHIVE`.
    pub class: String,
}

/// Parameters of a restore step.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RestoreFile {
    /// Days the readable copy is kept (default 7).
    pub days: Option<u32>,
    /// How fast it is wanted (default standard: hours).
    pub tier: Option<RestoreTier>,
    /// How often to look whether it is there (default 15m; 1m when expedited).
    pub look: Option<Span>,
}

/// Parameters of a purge step.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PurgeFile {
    /// The transfer step whose copy is removed; without it the library's own file is.
    pub of: Option<String>,
    /// The transfer step whose copy stays, and proves each file before it is removed.
    pub keep: String,
    /// How the copy is proven (default content: both are read at that moment).
    #[serde(default)]
    pub proof: PurgeProof,
    /// Who orders it; kept with what is left of each file.
    pub ordered_by: String,
    /// Why; kept with what is left of each file.
    pub reason: String,
    /// Look and report, remove nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Parameters of a qc step.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QcFile {
    /// Path of the delivery spec to judge by.
    pub policy: String,
    /// Time for the rework of an asset that fails (default: until the job's deadline).
    pub due: Option<Span>,
}

/// Parameters of an approval step.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalFile {
    /// Who may approve.
    pub role: String,
    /// Which assets need it, e.g. `asset.role == 'master'`, joined by `&&` and `||` (default: all).
    pub when: Option<String>,
    /// Time for the decision (default: until the job's deadline).
    pub due: Option<Span>,
}

/// Parameters of a noop step, for load tests and rehearsals.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NoopFile {
    /// How long a unit takes, chosen evenly from the range.
    pub duration: Option<SpanRange>,
    /// Share of attempts that fail.
    pub fail: Option<Share>,
}

/// Parameters of a barrier step.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BarrierFile {
    /// What it holds together.
    pub scope: Scope,
    /// How much must have succeeded.
    #[serde(default)]
    pub require: Require,
    /// Failures it tolerates: a number, or a share such as `5%`. With it, it opens once everything ended within the budget.
    pub failure_budget: Option<Budget>,
    /// It opens at this time whatever has happened: RFC 3339, or a duration after the job was submitted.
    pub until: Option<String>,
    /// It is reported as overdue after this long.
    pub deadline: Option<Span>,
    /// Scope batch only: units in a batch (default 1000).
    pub batch_units: Option<u32>,
}
