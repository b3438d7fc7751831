//! The life of a unit: its states, what a report means for it, and who may report.
pub mod fingerprint;
pub mod lease;
pub mod redrive_rate;
pub mod retry;
pub mod selection;
pub mod settle;
pub mod transition;
