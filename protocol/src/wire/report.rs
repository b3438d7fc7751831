//! What a worker tells the coordinator.
use super::step::multipart::Draft;
use crate::failure::Failure;
use crate::id::{Kind, UnitId, WorkerId};
use crate::media::asset::{Asset, AssetFact};
use crate::model::purge_proof::PurgeProof;
use crate::model::scan_cursor::ScanCursor;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// One message from a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Report {
    /// A unit ended, one way or another.
    Settled(Outcome),
    /// A part of a library's listing.
    Page(ScanPage),
    /// The worker lives and holds these units.
    Heartbeat(Heartbeat),
    /// This unit is about to run alone: everything else in the worker has ended.
    Alone(UnitId, u32, WorkerId),
    /// A page of a bucket listing with its last key, from which an interrupted listing continues.
    PageUpTo(ScanPage, String),
    /// What an execution has removed. It is a fact whatever becomes of its unit.
    Buried(UnitId, u32, Vec<Burial>),
    /// How far units in hand are.
    Progress(Progress),
    /// A part of a listing with rows that cannot be used and whose titles can be read. `titles` are those of its errors,
    /// in their order; the key is the last one of a part of a bucket.
    PageTitled(ScanPage, Option<String>, Vec<Option<String>>),
}

impl Report {
    /// A part of a listing in the form that says all of it. What earlier versions read is written where it suffices.
    pub fn page(page: ScanPage, up_to: Option<String>) -> Report {
        if page.errors.iter().any(|error| error.title.is_some()) {
            let titles = page
                .errors
                .iter()
                .map(|error| error.title.clone())
                .collect();
            return Report::PageTitled(page, up_to, titles);
        }
        match up_to {
            Some(key) => Report::PageUpTo(page, key),
            None => Report::Page(page),
        }
    }

    /// A part of a listing and the last key in it, when this is one.
    pub fn into_page(self) -> Option<(ScanPage, Option<String>)> {
        match self {
            Report::Page(page) => Some((page, None)),
            Report::PageUpTo(page, up_to) => Some((page, Some(up_to))),
            Report::PageTitled(mut page, up_to, titles) => {
                page.errors
                    .iter_mut()
                    .zip(titles)
                    .for_each(|(error, title)| error.title = title);
                Some((page, up_to))
            }
            _ => None,
        }
    }
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
    Cut(Vec<Draft>),
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
    /// Unit, epoch, and bytes moved in this execution; at most [`PROGRESS_UNITS_MAX`].
    pub units: Vec<(UnitId, u32, u64)>,
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
    /// Assets with the line (or ordinal) they stand on.
    pub assets: Vec<(u64, Asset)>,
    /// Rows that could not be used.
    pub errors: Vec<RowError>,
    /// Where the next page starts, when the source can be resumed there.
    pub next: Option<ScanCursor>,
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
    /// The title that lacks this row, when it could be read. Not part of this message: see [`Report::PageTitled`].
    #[serde(skip)]
    pub title: Option<String>,
}

/// Sign of life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Incarnation of the worker.
    pub worker: WorkerId,
    /// Units in hand with their epochs, and how far they are (0 to 1) where that is known.
    pub held: Vec<(UnitId, u32)>,
    /// Slots by kind: total and free.
    pub slots: Vec<(Kind, u32, u32)>,
    /// Whether it takes no more work.
    pub draining: bool,
    /// Bytes moved since it started.
    pub bytes: u64,
    /// Announced end of the machine, if any (a spot notice, a planned end).
    pub leaves_at: Option<Timestamp>,
}
