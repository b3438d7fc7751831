//! Where an interrupted scan continues.
use serde::{Deserialize, Serialize};

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
