//! Measuring and judging media: one ffprobe call, one decode, pure checks.
//!
//! [`inspect`] gathers a [`facts::FactSheet`] (probe, structure, hash, pass) and hands it to [`judge`], which knows no file
//! and no clock. A new check is one file in [`checks`] and one line in its registry.
pub mod checks;
mod course;
pub mod facts;
mod graph;
pub mod inspect;
pub mod judge;
mod log;
mod marks;
mod media;
mod needs;
mod outside;
mod pass;
mod picture;
mod probe;
mod references;
pub mod report;
mod scratch;
mod sheet;
mod still;
mod structure;
pub mod subject;
mod text;
mod tool;
mod tools;

pub use inspect::{Appraised, appraise, inspect};
pub use picture::{Picture, pictures};
pub use report::{Finding, Report, Verdict};
pub use still::still;
pub use subject::Subject;
pub use tools::Tools;
