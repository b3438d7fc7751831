//! Names of the hidden files of an upload, content and ledger, which are in the directory of the target.
use crate::partial::{LEDGER_SUFFIX as LEDGER, UPLOAD_SUFFIX as CONTENT};

/// The id of uploads of a source.
pub(super) fn id_of(source: &str) -> String {
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(source.as_bytes()))
}

/// The hidden names of an upload.
pub(super) struct Names {
    pub(super) content: String,
    pub(super) ledger: String,
}

impl Names {
    pub(super) fn of(name: &str, id: &str) -> Names {
        let stem = crate::partial::stem(name);
        Names {
            content: format!(".{stem}.{id}{CONTENT}"),
            ledger: format!(".{stem}.{id}{LEDGER}"),
        }
    }
}
