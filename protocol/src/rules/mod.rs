//! Pure decisions, one file each, in a folder per subject. They know nothing of wire, SQL or actors.
pub mod barrier;
pub mod cluster;
pub mod library;
pub mod review;
pub mod schedule;
pub mod storage;
pub mod unit;
pub mod worker;
