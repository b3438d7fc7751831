//! From directory to directory, by the shortest path: small files in batches that share their syncs, large ones through
//! a pipeline of reader, hashes, writer and verifier.
mod copied_asset;
mod existing;
mod large;
pub(super) mod plan;
mod small;
mod source;
pub(super) mod unit;
