//! Distributed multipart upload: whether one large asset is transferred by several workers, and its slices.
use crate::id::SliceNo;

/// Maximum number of slices of one asset.
const OF_ONE_MAX: u64 = 1_000;
/// Target limit of a slice in bytes. A lost worker costs at most a slice.
const BYTES_MAX: u64 = 1 << 30;
/// Minimum number of slices per worker, so that fast workers take more of them.
const FOR_EACH_WORKER: u32 = 4;
/// Upper bound of the target number of slices.
const WANTED_MAX: u32 = 256;

/// Limits of the operator. Sizes are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceLimits {
    /// Minimum size of a divided asset; 0 divides none.
    pub above: u64,
}

impl Default for SliceLimits {
    /// 2 GiB: below it the extra round trips cost more than they save.
    fn default() -> SliceLimits {
        SliceLimits { above: 2 << 30 }
    }
}

impl SliceLimits {
    /// Target minimum of a slice in bytes.
    pub fn bytes_min(&self) -> u64 {
        (self.above / 16).max(1)
    }
}

/// Workers and units of the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferLoad {
    /// Live workers with slots of the kind.
    pub workers: u32,
    /// Sum of their slots.
    pub slots: u32,
    /// Leased and ready units of the kind, including this one.
    pub units: u32,
}

/// Target number of slices of a large asset. `None` when every worker has other units: dividing an asset may cost one more
/// read for its hashes.
pub fn wanted_slices(crowd: TransferLoad) -> Option<u32> {
    if crowd.workers < 2 || crowd.units >= crowd.workers {
        return None;
    }
    Some(
        crowd
            .slots
            .saturating_mul(2)
            .max(crowd.workers.saturating_mul(FOR_EACH_WORKER))
            .min(WANTED_MAX),
    )
}

/// The size of the slices of an asset of `bytes`: whole parts of `part_bytes`, about `wanted` of them.
pub fn slice_bytes(bytes: u64, part_bytes: u64, wanted: u32, bytes_min: u64) -> u64 {
    let part = part_bytes.max(1);
    let usual = bytes
        .div_ceil(u64::from(wanted.max(1)))
        .clamp(bytes_min.min(BYTES_MAX), BYTES_MAX);
    usual
        .max(bytes.div_ceil(OF_ONE_MAX))
        .div_ceil(part)
        .saturating_mul(part)
}

/// A large asset that is transferred in slices. Sizes are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LargeAsset {
    /// Size of the asset.
    pub bytes: u64,
    /// Size of the parts of the upload.
    pub part_bytes: u64,
    /// Size of its slices, a multiple of the part size.
    pub slice_bytes: u64,
    /// Whether a hash needs the whole content in order.
    pub measured: bool,
}

/// A byte range of an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Number among the slices of its unit.
    pub number: SliceNo,
    /// Offset of the first byte.
    pub first: u64,
    /// Length in bytes.
    pub bytes: u64,
}

/// A slice with its purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedSlice {
    /// Index of the large asset in its unit.
    pub of: usize,
    /// Number and byte range.
    pub slice: Slice,
    /// Whether the slice is only read for hashes, not sent.
    pub measures: bool,
}

/// Plans the slices of a unit. Slices for hashes come first, since they take longest. `None` for impossible sizes, and for
/// more slices than a unit may have.
pub fn plan_slices(larges: &[LargeAsset]) -> Option<Vec<PlannedSlice>> {
    let sound = |large: &LargeAsset| {
        let parts = large.part_bytes > 0
            && large.slice_bytes > 0
            && large.slice_bytes.is_multiple_of(large.part_bytes);
        parts && large.bytes > 0 && large.bytes.div_ceil(large.slice_bytes) <= OF_ONE_MAX
    };
    if !larges.iter().all(sound) {
        return None;
    }
    let measured = larges
        .iter()
        .enumerate()
        .filter(|(_, large)| large.measured);
    let measured = measured.map(|(of, large)| (of, 0, large.bytes, true));
    let sent = larges.iter().enumerate().flat_map(|(of, large)| {
        let firsts = (0..large.bytes.div_ceil(large.slice_bytes)).map(|n| n * large.slice_bytes);
        firsts.map(move |first| (of, first, large.slice_bytes.min(large.bytes - first), false))
    });
    let numbered = (1..).zip(measured.chain(sent));
    numbered
        .map(|(number, (of, first, bytes, measures))| {
            let slice = Slice {
                number: SliceNo::new(number)?,
                first,
                bytes,
            };
            Some(PlannedSlice {
                of,
                slice,
                measures,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SLICES_MAX;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn asset_is_divided_when_workers_would_be_idle() {
        let crowd = |workers, slots, units| {
            wanted_slices(TransferLoad {
                workers,
                slots,
                units,
            })
        };
        assert_eq!(crowd(1, 8, 1), None);
        assert_eq!(
            (crowd(2, 2, 1), crowd(2, 16, 1), crowd(4, 32, 1)),
            (Some(8), Some(32), Some(64))
        );
        assert_eq!(
            (crowd(2, 16, 2), crowd(4, 32, 3), crowd(4, 32, 4)),
            (None, Some(64), None)
        );
        assert_eq!(crowd(500, 4_000, 1), Some(256));
    }

    #[test]
    fn slices_are_neither_tiny_nor_huge() {
        let min = SliceLimits::default().bytes_min();
        assert_eq!(min, 128 * MIB);
        assert_eq!(slice_bytes(8 << 30, 8 * MIB, 8, min), 1 << 30);
        assert_eq!(slice_bytes(8 << 30, 8 * MIB, 64, min), 128 * MIB);
        assert_eq!(slice_bytes(8 << 30, 8 * MIB, 256, min), 128 * MIB);
        assert_eq!(slice_bytes(5 << 40, 525 * MIB, 64, min), 5_250 * MIB);
    }

    proptest! {
        /// Slices follow each other without gap or overlap, cover every byte of every asset once, and begin where parts do.
        #[test]
        fn covers_every_byte_once(sizes in prop::collection::vec((1u64..1 << 44, 1u64..1 << 29, any::<bool>()), 1..4), wanted in 1u32..300, min in 1u64..1 << 31) {
            let larges: Vec<LargeAsset> = sizes.iter().map(|(bytes, part, measured)| LargeAsset {
                bytes: *bytes,
                part_bytes: *part,
                slice_bytes: slice_bytes(*bytes, *part, wanted, min),
                measured: *measured,
            }).collect();
            let portions = plan_slices(&larges).expect("as the rule cuts them");
            for (portion, number) in portions.iter().zip(1..) {
                prop_assert_eq!(portion.slice.number.get(), number);
            }
            for (of, large) in larges.iter().enumerate() {
                let measures = portions.iter().filter(|p| p.of == of && p.measures);
                let whole = Vec::from_iter(measures.map(|p| (p.slice.first, p.slice.bytes)));
                prop_assert_eq!(whole, if large.measured { vec![(0, large.bytes)] } else { vec![] });
                let mut next = 0;
                for portion in portions.iter().filter(|p| p.of == of && !p.measures) {
                    prop_assert_eq!(portion.slice.first, next);
                    prop_assert!(portion.slice.bytes > 0 && next % large.part_bytes == 0);
                    next += portion.slice.bytes;
                }
                prop_assert_eq!(next, large.bytes);
            }
        }

        /// What a worker reports is not believed: any sizes end in slices that can be numbered, or in none.
        #[test]
        fn impossible_sizes_are_refused(bytes: u64, part: u64, slice: u64) {
            let large = LargeAsset { bytes, part_bytes: part, slice_bytes: slice, measured: true };
            if let Some(portions) = plan_slices(&[large]) {
                prop_assert!(portions.len() <= SLICES_MAX as usize && slice % part == 0);
            }
        }
    }
}
