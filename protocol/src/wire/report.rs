//! What a worker tells the coordinator.
pub mod layout;

use super::step::multipart::OpenUpload;
use crate::failure::Failure;
use crate::id::{Execution, UnitId, WorkerId};
use crate::media::asset::{Asset, AssetFact};
use crate::model::purge_proof::PurgeProof;
use crate::model::scan_cursor::ScanCursor;
use crate::model::slot_count::SlotCount;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// One message from a worker. [`layout`] has its form on the wire.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// A unit ended, one way or another.
    Settled(Outcome),
    /// A part of a library's listing.
    Page {
        /// Assets and rejected rows of the page.
        page: ScanPage,
        /// Last key of the page, from which an interrupted listing of a bucket continues.
        up_to: Option<String>,
    },
    /// The worker lives and holds these units.
    Heartbeat(Heartbeat),
    /// This execution is about to run alone: everything else in the worker has ended.
    Isolated {
        /// The execution that is about to begin.
        execution: Execution,
        /// Who executes it.
        worker: WorkerId,
    },
    /// What an execution has removed. It is a fact whatever becomes of its unit.
    Buried {
        /// The execution that removed it.
        execution: Execution,
        /// One tombstone per removed object.
        burials: Vec<Burial>,
    },
    /// How far units in hand are.
    Progress(Progress),
}

/// How one execution of a unit ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Id of the unit.
    pub unit: UnitId,
    /// The epoch it was executed under (FEN-1).
    pub epoch: u32,
    /// Who executed it.
    pub worker: WorkerId,
    /// How it ended.
    pub result: UnitResult,
    /// Microseconds of execution.
    pub duration_us: u64,
}

/// The ways an execution ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum UnitResult {
    /// Every asset was looked at; those in `failures` did not pass.
    Finished {
        /// What was learned about assets that passed (may be empty) and, for QC, about those that did not.
        facts: Vec<AssetFact>,
        /// Assets that failed, by id.
        failures: Vec<(String, Failure)>,
    },
    /// The unit as a whole failed (its tool is missing, it panicked, its destination is full).
    Failed(Failure),
    /// Handed back without using an attempt (drain).
    Returned,
    /// Stopped because it was revoked.
    Cancelled,
    /// A scan read its library to the end. Its pages may be lost on the way: only when all of them have been taken is the
    /// library listed.
    Listed {
        /// Number of pages of the whole listing, those before the scan was resumed included.
        pages: u64,
    },
    /// Nothing is wrong, but what it needs is not there yet. No attempt is used and no slot held until it is looked for
    /// again.
    Waiting {
        /// Microseconds until then.
        look_again_us: u64,
        /// What it waits for, for people.
        message: String,
    },
    /// Nothing has been carried yet. What is large has been begun and is left to several workers.
    #[serde(rename = "Cut")]
    UploadsBegun(Vec<OpenUpload>),
    /// A slice has arrived, and was proven. What it was given for it is what completion needs; only workers read it.
    Sliced(String),
}

/// What is left of something that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Burial {
    /// The asset's id.
    pub asset: String,
    /// What was removed.
    pub location: String,
    /// Its state, as its storage called it.
    pub version: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Its content, `algorithm:digest`.
    pub hash: String,
    /// The copy that stays.
    pub copy: String,
    /// How the copy was proven.
    pub proof: PurgeProof,
    /// It was already removed before this execution, by an earlier one or by another program.
    pub found_gone: bool,
    /// Nothing was removed; it would have been.
    pub dry_run: bool,
}

/// Units whose progress one message tells at most.
pub const PROGRESS_UNITS_MAX: usize = 256;

/// How far units in hand are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Who holds them.
    pub worker: WorkerId,
    /// Executions that have moved bytes; at most [`PROGRESS_UNITS_MAX`].
    pub units: Vec<UnitProgress>,
}

/// How far one execution is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitProgress {
    /// The execution that moves them.
    pub execution: Execution,
    /// Bytes it has moved so far.
    pub bytes: u64,
}

/// A page of a library's listing, in the source's own order. Pages of one scan are numbered from 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanPage {
    /// The scan unit.
    pub unit: UnitId,
    /// Epoch of the execution.
    pub epoch: u32,
    /// Number of this page; the coordinator takes each number once.
    pub page: u64,
    /// Assets in the order of the source.
    pub assets: Vec<ListedAsset>,
    /// Rows that could not be used.
    pub errors: Vec<RowError>,
    /// Where the next page starts, when the source can be resumed there.
    pub next: Option<ScanCursor>,
}

/// One asset of a listing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListedAsset {
    /// Its line in a manifest, else its ordinal.
    pub line: u64,
    /// The asset of this line.
    pub asset: Asset,
}

/// One unusable row or entry of a library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowError {
    /// Line, counted from 1; 0 for folders.
    pub line: u64,
    /// Column name or number, when one is to blame.
    pub column: Option<String>,
    /// The asset's id, when it could be read.
    pub asset: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
    /// The title that lacks this row, when it could be read. Not part of this message: see [`layout`].
    #[serde(skip)]
    pub title: Option<String>,
}

/// Sign of life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Incarnation of the worker.
    pub worker: WorkerId,
    /// Executions in hand.
    pub held: Vec<Execution>,
    /// Slots by kind.
    pub slots: Vec<SlotCount>,
    /// Whether it takes no more work.
    pub draining: bool,
    /// Bytes moved since it started.
    pub bytes: u64,
    /// Announced end of the machine, if any (a spot notice, a planned end).
    pub leaves_at: Option<Timestamp>,
}
