//! Bytes in and out of storage.
