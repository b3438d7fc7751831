//! Values that job files, rules and messages share.
pub mod barrier;
pub mod priority;
