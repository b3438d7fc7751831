//! Measuring media: one ffprobe call, one decode. What is measured is judged by the crate `spec`, which knows no file and no
//! clock.
//!
//! [`inspect()`] gathers a fact sheet (probe, structure, hash, decode) and has it judged by a delivery spec.
mod external_tools;
mod fact_sheet;
pub mod inspect;
mod media;
mod pass;
mod picture;
mod probe;
mod references;
mod scratch;
mod still;
mod structure;
mod timed_text;
mod tool;
mod tools;

pub use inspect::{Appraised, appraise, inspect};
pub use media::Media;
pub use picture::pictures;
pub use protocol::model::qc::{Finding, Picture, Report, Verdict};
pub use spec::{MediaUnderTest, facts};
pub use still::still;
pub use tool::bare_command;
pub use tools::Tools;
