//! Replies of Redis that several readers parse.

/// A reply over streams: per stream its entries, per entry its field names and values.
pub(super) type Streams = Vec<(String, Vec<(String, Option<Vec<Vec<u8>>>)>)>;
