//! ASC MHL v2.0: the history of a tree of files, one generation for each time it was written or checked.
//!
//! The format is that of <https://github.com/ascmitc/mhl> (`xsd/ASCMHL.xsd`, `xsd/ASCMHLDirectory.xsd`) and of the
//! reference tool `ascmhl` 1.2: each may continue what the other wrote.
//!
//! - [`journal`]: what a job landed, until its generation is written
//! - [`seal`]: writes the generation
//! - [`import`]: takes over the histories that a source came with
//! - [`source`]: what the histories of a source say of its copy
//! - [`verify`]: hashes a tree against its histories, and follows their references
mod action;
mod chain;
mod directory_hashes;
mod entry;
mod file_history;
mod folder;
mod frames;
mod generation;
mod history;
mod ignore;
pub mod import;
pub mod journal;
mod legacy;
#[cfg(test)]
mod link_swaps;
mod model;
pub mod object;
mod origin_search;
mod proof;
mod read;
mod references;
mod renames;
mod report;
mod scope;
pub mod seal;
pub mod source;
mod tally;
mod tree;
pub mod verify;
mod write;

pub use model::{Action, Entry, EntryKind, Header, MhlError, Recorded, Reference};
pub use read::read_generation;

use protocol::model::hash::HashAlgorithm;

/// Directory of a history, below the root it describes.
pub const FOLDER: &str = "ascmhl";
/// The list of generations in it.
pub const CHAIN_FILE: &str = "ascmhl_chain.xml";
/// Namespace of a generation.
const NAMESPACE: &str = "urn:ASC:MHL:v2.0";
/// Namespace of the chain.
const CHAIN_NAMESPACE: &str = "urn:ASC:MHL:DIRECTORY:v2.0";
/// The element of an entry's metadata that holds the state of an object, and its namespace.
const STATE: &str = "state";
const STATE_NAMESPACE: &str = "urn:showrunner:mhl";
/// How we name ourselves in generations.
const TOOL: &str = "showrunner";

/// Whether the format has an element for this algorithm.
pub fn is_recordable(algorithm: HashAlgorithm) -> bool {
    !matches!(algorithm, HashAlgorithm::Sha256 | HashAlgorithm::Crc64nvme)
}
