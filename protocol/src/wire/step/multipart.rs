//! Parameters of a transfer whose large assets several workers carry in slices.
use crate::wire::step::transfer::TransferTask;
use serde::{Deserialize, Serialize};

/// A transfer whose large assets may be carried by several workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeginUploadsTask {
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
pub struct OpenUpload {
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
    /// The state of the source that is carried.
    pub version: SourceVersion,
}

/// The state of a source. Messages and stored rows hold it as a pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(String, Option<String>)", into = "(String, Option<String>)")]
pub struct SourceVersion {
    /// Its tag, as the source calls its content.
    pub tag: String,
    /// Its id, where the source keeps several versions.
    pub id: Option<String>,
}

impl From<(String, Option<String>)> for SourceVersion {
    fn from((tag, id): (String, Option<String>)) -> SourceVersion {
        SourceVersion { tag, id }
    }
}

impl From<SourceVersion> for (String, Option<String>) {
    fn from(version: SourceVersion) -> (String, Option<String>) {
        (version.tag, version.id)
    }
}

/// One slice of a large asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceTask {
    /// The transfer it belongs to.
    pub transfer: TransferTask,
    /// The asset's upload.
    pub open_upload: OpenUpload,
    /// Its first byte.
    pub first: u64,
    /// Length in bytes.
    pub bytes: u64,
    /// It is read and measured, not sent.
    pub measures: bool,
}

/// The end of a transfer whose large assets were carried in slices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompleteUploadsTask {
    /// Parameters of the transfer.
    pub transfer: TransferTask,
    /// Its large assets.
    pub open_uploads: Vec<UploadReceipts>,
    /// Nothing of it is wanted any more: the uploads are aborted, and nothing else is done.
    pub discard: bool,
}

/// A large asset whose slices have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadReceipts {
    /// The asset's upload.
    pub open_upload: OpenUpload,
    /// What its slices reported, by number; nothing when one of them failed.
    pub receipts: Vec<String>,
}
