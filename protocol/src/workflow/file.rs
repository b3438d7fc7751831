//! A job file exactly as a person writes it. Keys that do not exist are errors with the nearest right one.
use super::step::StepFile;
use crate::media::path_filter::Patterns;
use crate::model::priority::Priority;
use crate::quantity::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Folders only: what becomes of a link that does not lead to a file of the folder (default: `fail`).
    pub on_link: Option<OnLink>,
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

/// What becomes of a link in a folder that leads to a directory, out of the folder or nowhere. Links to files of the folder
/// are assets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnLink {
    /// It is passed over.
    Skip,
    /// It is reported as a row that cannot be used, and the job ends with failures.
    #[default]
    Fail,
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
