//! Part sizes of a multipart upload, and the number of concurrent parts.
use std::ops::Range;

const MIB: u64 = 1 << 20;

/// Default size of a part in bytes: a lost part costs little, and enough parts fit into memory to keep a connection busy.
pub const PART_BYTES: u64 = 8 * MIB;

/// Maximum number of concurrent parts of one asset.
const AT_ONCE_MAX: u64 = 6;

/// Limits of a destination. Sizes are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartRules {
    /// Minimum size of a part, except the last.
    pub bytes_min: u64,
    /// Maximum size of a part.
    pub bytes_max: u64,
    /// Maximum number of parts.
    pub count_max: u32,
}

/// The part size for content of `bytes`; `None` above the limit of the destination. It depends on nothing else, so that a
/// resumed upload has the same part boundaries.
pub fn part_bytes(bytes: u64, rules: &PartRules) -> Option<u64> {
    let least = bytes
        .div_ceil(u64::from(rules.count_max.max(1)))
        .max(rules.bytes_min)
        .max(PART_BYTES);
    let size = least
        .div_ceil(MIB)
        .saturating_mul(MIB)
        .min(rules.bytes_max.max(1));
    (bytes.div_ceil(size) <= u64::from(rules.count_max)).then_some(size)
}

/// Number of concurrent parts of an asset within a memory budget in bytes that assets share.
pub fn at_once(part_bytes: u64, memory_bytes: u64) -> usize {
    let fitting = (memory_bytes / part_bytes.max(1)).clamp(1, AT_ONCE_MAX);
    usize::try_from(fitting).unwrap_or(1)
}

/// The byte ranges of the parts, numbered from 1.
pub fn cut(bytes: u64, part_bytes: u64) -> impl Iterator<Item = (u32, Range<u64>)> {
    let size = part_bytes.max(1);
    let starts = (0..bytes.div_ceil(size)).map(move |part| part * size);
    (1..).zip(starts.map(move |first| first..bytes.min(first.saturating_add(size))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S3: PartRules = PartRules {
        bytes_min: 5 * MIB,
        bytes_max: 5 << 30,
        count_max: 10_000,
    };

    #[test]
    fn parts_grow_only_where_there_would_be_too_many() {
        assert_eq!(part_bytes(9 * MIB, &S3), Some(8 * MIB));
        assert_eq!(part_bytes(78 << 30, &S3), Some(8 * MIB));
        assert_eq!(part_bytes(5 << 40, &S3), Some(525 * MIB));
        assert_eq!(part_bytes(u64::MAX, &S3), None);
        assert_eq!(
            (
                at_once(8 * MIB, 64 * MIB),
                at_once(32 * MIB, 64 * MIB),
                at_once(525 * MIB, 64 * MIB)
            ),
            (6, 2, 1)
        );
    }

    proptest! {
        /// Parts follow each other without gap or overlap and keep to what the destination allows.
        #[test]
        fn parts_cover_every_byte_once(bytes in 1u64..1 << 36, min in 1u64..1 << 24, max in 1u64 << 24..1 << 33, count in 1u32..10_001) {
            let rules = PartRules { bytes_min: min, bytes_max: max, count_max: count };
            let Some(size) = part_bytes(bytes, &rules) else {
                prop_assert!(bytes > max * u64::from(count));
                return Ok(());
            };
            prop_assert!(size <= max && size >= min.min(max));
            let (mut next, mut last) = (0, 0);
            for (number, range) in cut(bytes, size) {
                prop_assert_eq!((range.start, number), (next, last + 1));
                prop_assert!(range.end - range.start == size || range.end == bytes);
                (next, last) = (range.end, number);
            }
            prop_assert!(next == bytes && last <= count);
        }
    }
}
