//! Parameters of a listing.
use crate::model::scan_cursor::ScanCursor;
use serde::{Deserialize, Serialize};

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
