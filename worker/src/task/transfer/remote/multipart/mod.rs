//! One large asset over several workers, as a multipart upload: opened by one worker, its slices sent by any, completed
//! by one.
pub(super) mod complete;
pub(in crate::task::transfer) mod open;
mod receipt;
pub(in crate::task::transfer) mod slice;
