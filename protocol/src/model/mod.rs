//! Values that job files, rules, messages and reports share.
pub mod barrier;
pub mod hash;
pub mod location;
pub mod priority;
pub mod purge_proof;
pub mod qc;
pub mod restore_tier;
pub mod scan_cursor;
pub mod slot_count;
