//! The demonstration: a small library with faults whose truth is known, so that what Showrunner finds can be compared.
//!
//! - [`library`]: makes the files and lists their planted faults
mod encode;
pub mod library;
pub mod model;
#[cfg(test)]
mod tests;
mod text;
mod titles;
