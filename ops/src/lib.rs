//! The `showrunner` command: everything in one binary.
pub mod demo;
