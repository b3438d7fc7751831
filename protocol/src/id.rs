//! Ids, one type each, so that a job number is never passed as a unit.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU16;

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

/// A work unit: one step over one partition of one job, or a slice of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "PackedUnitId", into = "PackedUnitId")]
pub struct UnitId {
    /// Number of the job.
    pub job: JobNo,
    /// Number of the step in its workflow.
    pub step: StepNo,
    /// Number of the partition.
    pub part: PartNo,
    /// The slice of the unit's large assets that is meant; none for the unit itself.
    pub slice: Option<SliceNo>,
}

/// Number of a slice of a unit: 1 to [`SLICES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SliceNo(NonZeroU16);

impl SliceNo {
    /// The number, when it is one of a slice.
    pub fn new(number: u32) -> Option<SliceNo> {
        let number = u16::try_from(number).ok().and_then(NonZeroU16::new)?;
        (u32::from(number.get()) <= SLICES_MAX).then_some(SliceNo(number))
    }

    /// The number as an integer.
    pub fn get(self) -> u32 {
        self.0.get().into()
    }
}

/// Maximum number of slices of one unit.
pub const SLICES_MAX: u32 = (1 << SLICE_BITS) - 1;
const SLICE_BITS: u32 = 14;

impl UnitId {
    /// A unit as a whole.
    pub const fn new(job: JobNo, step: StepNo, part: PartNo) -> UnitId {
        UnitId {
            job,
            step,
            part,
            slice: None,
        }
    }

    /// A slice of this unit.
    pub fn with_slice(self, number: SliceNo) -> UnitId {
        UnitId {
            slice: Some(number),
            ..self
        }
    }

    /// The unit as a whole.
    pub fn whole(self) -> UnitId {
        UnitId {
            slice: None,
            ..self
        }
    }

    /// The execution of this unit under an epoch.
    pub fn execution(self, epoch: u32) -> Execution {
        Execution { unit: self, epoch }
    }

    /// Partition and slice as one number, which messages, JSON and the column `part` hold: the partition of a whole unit, a
    /// negative number for a slice.
    pub fn packed_part(self) -> i64 {
        match self.slice {
            None => self.part,
            Some(number) => ((self.part << SLICE_BITS) | i64::from(number.get())).wrapping_neg(),
        }
    }

    /// Reads [`UnitId::packed_part`]. A negative number that names no slice stays the partition: there is none with it.
    pub fn from_packed(job: JobNo, step: StepNo, packed: i64) -> UnitId {
        let whole = UnitId::new(job, step, packed);
        let Some(positive) = packed.checked_neg().filter(|positive| *positive > 0) else {
            return whole;
        };
        let number = u32::try_from(positive & i64::from(SLICES_MAX))
            .ok()
            .and_then(SliceNo::new);
        number.map_or(whole, |number| UnitId {
            part: positive >> SLICE_BITS,
            slice: Some(number),
            ..whole
        })
    }
}

/// The form of a unit's id in messages and JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename = "UnitId")]
struct PackedUnitId {
    job: JobNo,
    step: StepNo,
    part: i64,
}

impl From<UnitId> for PackedUnitId {
    fn from(id: UnitId) -> PackedUnitId {
        PackedUnitId {
            job: id.job,
            step: id.step,
            part: id.packed_part(),
        }
    }
}

impl From<PackedUnitId> for UnitId {
    fn from(packed: PackedUnitId) -> UnitId {
        UnitId::from_packed(packed.job, packed.step, packed.part)
    }
}

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(number) = self.slice {
            return write!(f, "{}#{}", self.whole(), number.get());
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
    use crate::wire::envelope;
    use proptest::prelude::*;

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
    fn slices_are_named_after_their_unit() {
        let unit = UnitId::new(JobNo(7), StepNo(2), 42);
        let slice = unit.with_slice(SliceNo::new(3).expect("a slice"));
        assert_eq!(
            (slice.to_string(), slice.whole()),
            ("7/2/42#3".to_owned(), unit)
        );
        assert!(
            unit < slice && slice < UnitId::new(JobNo(7), StepNo(2), 43),
            "a slice follows its unit"
        );
        assert_eq!(
            [0, 1, SLICES_MAX, SLICES_MAX + 1].map(|n| SliceNo::new(n).is_some()),
            [false, true, true, false]
        );
    }

    /// What version 1 of the wire and the databases of earlier releases hold: before the slice was a field of its own, its
    /// number was packed into the partition with these operations.
    fn packed_before(part: i64, number: u32) -> i64 {
        -((part << 14) | i64::from(number & 0x3fff))
    }

    proptest! {
        #[test]
        fn packed_ids_read_back(part in 0..1i64 << 40, number in prop::option::of(1..=SLICES_MAX)) {
            let unit = UnitId { slice: number.and_then(SliceNo::new), ..UnitId::new(JobNo(7), StepNo(2), part) };
            let packed = number.map_or(part, |number| packed_before(part, number));
            prop_assert_eq!(unit.packed_part(), packed);
            prop_assert_eq!(UnitId::from_packed(unit.job, unit.step, packed), unit);
            let json = serde_json::to_string(&unit).expect("it is JSON");
            prop_assert_eq!(&json, &format!(r#"{{"job":7,"step":2,"part":{packed}}}"#));
            prop_assert_eq!(serde_json::from_str::<UnitId>(&json).expect("reads"), unit);
            let bytes = envelope::encode(&(7i64, 2u16, packed)).expect("encodes");
            prop_assert_eq!(&envelope::encode(&unit).expect("encodes"), &bytes);
            prop_assert_eq!(envelope::decode::<UnitId>(&bytes).expect("reads"), unit);
        }

        /// Any number in the column or in a message is read, and written back as it was.
        #[test]
        fn any_packed_part_reads(packed in any::<i64>()) {
            let unit = UnitId::from_packed(JobNo(7), StepNo(2), packed);
            prop_assert_eq!(unit.packed_part(), packed);
            prop_assert!(unit.slice.is_none() || unit.part >= 0);
        }
    }

    #[test]
    fn packed_parts_at_the_edges_read() {
        for (packed, slice) in [
            (i64::MIN, None),
            (i64::MAX, None),
            (-16_384, None),
            (-1, SliceNo::new(1)),
            (0, None),
        ] {
            let unit = UnitId::from_packed(JobNo(7), StepNo(2), packed);
            assert_eq!((unit.slice, unit.packed_part()), (slice, packed));
        }
    }

    #[test]
    fn kinds_read_back_their_spelling() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
    }
}
