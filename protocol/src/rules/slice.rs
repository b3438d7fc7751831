//! How one large transfer is cut into slices that several workers move at the same time.
use serde::{Deserialize, Serialize};

/// What the destination and the operator allow. Sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceLimits {
    /// Smaller assets stay whole.
    pub whole_max: u64,
    /// Usual size of a slice.
    pub bytes: u64,
    /// Largest slice the destination takes.
    pub bytes_max: u64,
    /// Most slices of one asset the destination takes.
    pub slices_max: u32,
    /// Slices begin at multiples of this; all but the last have such a size.
    pub align: u64,
}

impl Default for SliceLimits {
    /// Multipart uploads as S3 takes them: at most 10,000 parts of at most 5 GiB.
    fn default() -> SliceLimits {
        SliceLimits { whole_max: 16 << 30, bytes: 1 << 30, bytes_max: 5 << 30, slices_max: 10_000, align: 1 << 20 }
    }
}

/// A run of bytes of an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Its number, from 1.
    pub number: u32,
    /// Its first byte.
    pub first: u64,
    /// Its length.
    pub bytes: u64,
}

/// Why an asset cannot be cut as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge {
    /// The largest asset these limits allow.
    pub bytes_max: u64,
}

/// Cuts an asset of `bytes`. A single slice means that it stays whole.
pub fn cut(bytes: u64, limits: &SliceLimits) -> Result<Vec<Slice>, TooLarge> {
    if bytes <= limits.whole_max {
        return Ok(vec![Slice { number: 1, first: 0, bytes }]);
    }
    let align = limits.align.max(1);
    let most = (limits.bytes_max / align * align).max(align);
    let bytes_max = most.saturating_mul(u64::from(limits.slices_max));
    if bytes > bytes_max {
        return Err(TooLarge { bytes_max });
    }
    // As usual, or larger where there would be too many.
    let least = bytes.div_ceil(u64::from(limits.slices_max.max(1)));
    let size = limits.bytes.max(least).div_ceil(align).saturating_mul(align).clamp(align, most);
    let slices = (1..).zip((0..bytes.div_ceil(size)).map(|n| n * size));
    Ok(slices.map(|(number, first)| Slice { number, first, bytes: size.min(bytes - first) }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn small_assets_stay_whole_and_huge_ones_are_refused() {
        let limits = SliceLimits::default();
        assert_eq!(cut(16 << 30, &limits), Ok(vec![Slice { number: 1, first: 0, bytes: 16 << 30 }]));
        assert_eq!(cut((16 << 30) + 1, &limits).map(|slices| slices.len()), Ok(17));
        assert_eq!(cut(u64::MAX, &limits), Err(TooLarge { bytes_max: (5u64 << 30) * 10_000 }));
    }

    proptest! {
        /// Slices follow each other without gap or overlap, cover every byte, and keep the destination's limits.
        #[test]
        fn covers_every_byte_once(bytes in 0u64..1 << 44, whole in 0u64..1 << 34, size in 0u64..1 << 33, most in 1u64..1 << 34, count in 1u32..10_001, align in 1u64..1 << 24) {
            let limits = SliceLimits { whole_max: whole, bytes: size, bytes_max: most.max(align), slices_max: count, align };
            // A debug build would take its time over more.
            prop_assume!(bytes / size.max(1) < 100_000 || bytes <= whole);
            let Ok(slices) = cut(bytes, &limits) else {
                prop_assert!(bytes > u64::from(count) * (limits.bytes_max / align * align));
                return Ok(());
            };
            let mut next = 0;
            for (slice, number) in slices.iter().zip(1..) {
                prop_assert_eq!((slice.number, slice.first), (number, next));
                next += slice.bytes;
                prop_assert!(slices.len() == 1 || slice.bytes <= limits.bytes_max);
                prop_assert!(next == bytes || slice.bytes % align == 0);
                prop_assert!(slice.bytes > 0 || bytes == 0);
            }
            prop_assert_eq!(next, bytes);
            prop_assert!(slices.len() <= count as usize || slices.len() == 1);
        }
    }
}
