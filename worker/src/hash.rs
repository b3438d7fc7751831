//! Content hashes, computed while bytes stream by.
