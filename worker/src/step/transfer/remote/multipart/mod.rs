//! One large asset over several workers, as a multipart upload: opened by one worker, its slices sent by any, completed
//! by one.
pub(super) mod complete;
pub(crate) mod open;
mod receipt;
pub(crate) mod slice;
