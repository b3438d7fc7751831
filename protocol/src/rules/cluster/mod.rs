//! The leader and its database: election, retention, bounded transactions, smoothed rates.
pub mod deployment;
pub mod election;
pub mod report_read;
pub mod retention;
pub mod smoothing;
pub mod transaction_share;
