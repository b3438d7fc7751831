//! Ids, one type each, so that a job number is never passed as a unit.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Row number of a job inside one database: small, dense, used in keys and on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobNo(pub i64);

/// Position of a step in its workflow, counted from 0. [`StepNo::SCAN`] is the discovery of the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepNo(pub u16);

impl StepNo {
    /// The library scan that precedes every declared step. It has one unit, partition 0.
    pub const SCAN: StepNo = StepNo(u16::MAX);
}

/// Number of a partition inside a job, counted from 1 in canonical order; children of a split come after.
pub type PartNo = i64;

/// A work unit: one step over one partition of one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnitId {
    /// Number of the job.
    pub job: JobNo,
    /// Number of the step in its workflow.
    pub step: StepNo,
    /// Number of the partition.
    pub part: PartNo,
}

/// Maximum number of slices of one unit.
pub const SLICES_MAX: u32 = (1 << SLICE_BITS) - 1;
const SLICE_BITS: u32 = 14;

impl UnitId {
    /// The execution of this unit under an epoch.
    pub fn execution(self, epoch: u32) -> Execution {
        Execution { unit: self, epoch }
    }

    /// The id of a slice of this unit; `number` is 1 to [`SLICES_MAX`]. Partitions are never negative, so the id is unique.
    pub fn slice(self, number: u32) -> UnitId {
        UnitId {
            part: -((self.part << SLICE_BITS) | i64::from(number & SLICES_MAX)),
            ..self
        }
    }

    /// The unit of a slice, and the number of the slice.
    pub fn of_slice(self) -> Option<(UnitId, u32)> {
        let packed = self.part.checked_neg().filter(|packed| *packed > 0)?;
        let number = u32::try_from(packed & i64::from(SLICES_MAX)).ok()?;
        Some((
            UnitId {
                part: packed >> SLICE_BITS,
                ..self
            },
            number,
        ))
    }
}

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((unit, number)) = self.of_slice() {
            return write!(f, "{unit}#{number}");
        }
        if self.step == StepNo::SCAN {
            return write!(f, "{}/scan", self.job.0);
        }
        write!(f, "{}/{}/{}", self.job.0, self.step.0, self.part)
    }
}

/// One execution of a unit: what is published, held, revoked and reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Execution {
    /// Id of the unit.
    pub unit: UnitId,
    /// Fencing token under which it runs.
    pub epoch: u32,
}

/// One incarnation of a worker process. A restarted worker has a new id, so that its old leases lapse.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerId(pub String);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Kind of work. A worker has slots per kind, so that light work never waits behind heavy work.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Discovery of a library's assets.
    Scan,
    /// Transfers, archive, restore and purge.
    Transfer,
    /// Measuring and judging media.
    Qc,
    /// Metadata exchange with other systems.
    Sync,
    /// Load tests and rehearsals.
    Noop,
}

impl Kind {
    /// Every kind of work, in a fixed order.
    pub const ALL: [Kind; 5] = [Kind::Scan, Kind::Transfer, Kind::Qc, Kind::Sync, Kind::Noop];

    /// The spelling in SQL, metrics, CLI and stream names.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Scan => "scan",
            Kind::Transfer => "transfer",
            Kind::Qc => "qc",
            Kind::Sync => "sync",
            Kind::Noop => "noop",
        }
    }

    /// Reads the spelling of [`Kind::as_str`].
    pub fn parse(text: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Public id of a job: the slug of its name and eight characters that make it unique (`autumn-ingest-3f9k2m7q`).
///
/// `entropy` supplies the randomness; the same arguments give the same id.
pub fn job_id(name: &str, entropy: u64) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut slug: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(40)
        .collect();
    while slug.contains("--") {
        slug = slug.replace("--", "-");
    }
    let slug = slug.trim_matches('-');
    let slug = if slug.is_empty() { "job" } else { slug };
    let tail: String = (0..8)
        .map(|i| char::from(ALPHABET[((entropy >> (i * 5)) & 31) as usize]))
        .collect();
    format!("{slug}-{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_ids_are_safe_in_paths_and_shells() {
        assert_eq!(
            job_id("Herbst / Ingest 2026!", 0),
            "herbst-ingest-2026-00000000"
        );
        assert_eq!(job_id("///", 31), "job-z0000000");
        assert_ne!(job_id("a", 1), job_id("a", 2));
    }

    #[test]
    fn slice_ids_are_unique_and_reversible() {
        for part in [0, 1, 7, 10_000_000] {
            let unit = UnitId {
                job: JobNo(7),
                step: StepNo(2),
                part,
            };
            assert_eq!(unit.of_slice(), None);
            for number in [1, 2, SLICES_MAX] {
                let slice = unit.slice(number);
                assert!(slice.part < 0, "no partition has it");
                assert_eq!(slice.of_slice(), Some((unit, number)));
                assert_eq!(slice.to_string(), format!("7/2/{part}#{number}"));
            }
        }
        assert_eq!(
            UnitId {
                job: JobNo(7),
                step: StepNo(2),
                part: i64::MIN
            }
            .of_slice(),
            None
        );
    }

    #[test]
    fn kinds_read_back_their_spelling() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
    }
}
