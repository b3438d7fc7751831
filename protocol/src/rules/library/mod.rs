//! From the listing of a library to its partitions.
pub mod listing;
pub mod partition;
