//! Values that job files, rules, messages and reports share.
pub mod barrier;
pub mod location;
pub mod priority;
pub mod qc;
