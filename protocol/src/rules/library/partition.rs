//! Divides the listing of a library into partitions.
//!
//! The listing is a *set*: it is put into canonical order (title affinity: title then asset id; otherwise asset id)
//! before it is partitioned. The order in which a source lists its assets therefore changes nothing, and the same set
//! gives the same partitions with the same numbers (PART-1). The partitioner streams and holds one open partition.
use serde::{Deserialize, Serialize};

/// Limit of the row bytes of one partition. A unit carries them in one message, which may hold twice as much.
pub const ROWS_BYTES_MAX: u64 = 2 << 20;

/// Upper bound of the assets of one partition: their results usually fit into one message.
pub const ASSETS_MAX: u32 = 50_000;

/// Limits of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionLimits {
    /// Whether a partition stays within one title.
    pub by_title: bool,
    /// Maximum number of assets, at least 1.
    pub assets_max: u32,
    /// Maximum of the declared bytes; a larger asset gets its own partition.
    pub bytes_max: u64,
}

/// Sort key and size of an asset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Title; empty when partitions do not follow titles.
    pub title: String,
    /// Asset id, unique within the library.
    pub id: String,
    /// Declared size; 0 when unknown.
    pub bytes: u64,
    /// Size of its row in bytes: id, title, paths, hash and every other column.
    pub row_bytes: u64,
}

/// A partition: a range of the canonical order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedPartition {
    /// Title of every member; empty when partitions do not follow titles.
    pub title: String,
    /// Id of the first member.
    pub first: String,
    /// Id of the last member.
    pub last: String,
    /// Number of members.
    pub assets: u32,
    /// Sum of their declared bytes.
    pub bytes: u64,
}

/// Partitions a stream of members in canonical order.
#[derive(Debug, Clone)]
pub struct Partitioner {
    limits: PartitionLimits,
    open: Option<PlannedPartition>,
    /// Row bytes of the open partition.
    row_bytes: u64,
}

impl PartitionLimits {
    /// Whether the sizes of rows decide about partitions. They do not where each asset is a partition of its own.
    pub fn needs_row_bytes(&self) -> bool {
        self.assets_max > 1
    }
}

impl Partitioner {
    /// A partitioner without an open partition.
    pub fn new(limits: PartitionLimits) -> Partitioner {
        Partitioner {
            limits,
            open: None,
            row_bytes: 0,
        }
    }

    /// Adds the next member; returns the partition that it closes, if any.
    pub fn push(&mut self, member: Member) -> Option<PlannedPartition> {
        let title = if self.limits.by_title {
            member.title
        } else {
            String::new()
        };
        if let Some(open) = &mut self.open {
            let fits = open.title == title
                && open.assets < self.limits.assets_max.max(1)
                && open.bytes.saturating_add(member.bytes) <= self.limits.bytes_max
                && self.row_bytes.saturating_add(member.row_bytes) <= ROWS_BYTES_MAX;
            if fits {
                self.row_bytes = self.row_bytes.saturating_add(member.row_bytes);
                open.last = member.id;
                open.assets += 1;
                open.bytes = open.bytes.saturating_add(member.bytes);
                return None;
            }
        }
        let first = member.id.clone();
        self.row_bytes = member.row_bytes;
        self.open.replace(PlannedPartition {
            title,
            first,
            last: member.id,
            assets: 1,
            bytes: member.bytes,
        })
    }

    /// Closes the last partition.
    pub fn finish(&mut self) -> Option<PlannedPartition> {
        self.open.take()
    }
}

/// Partitions a whole set at once. Tests compare the streaming form with it.
pub fn partition(mut members: Vec<Member>, limits: PartitionLimits) -> Vec<PlannedPartition> {
    if limits.by_title {
        members.sort();
    } else {
        members.sort_by(|a, b| a.id.cmp(&b.id));
    }
    let mut cutter = Partitioner::new(limits);
    let mut cuts: Vec<PlannedPartition> = members
        .into_iter()
        .filter_map(|member| cutter.push(member))
        .collect();
    cuts.extend(cutter.finish());
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn members() -> impl Strategy<Value = Vec<Member>> {
        prop::collection::btree_map("[a-f]{1,3}", ("[x-z]", 0u64..100), 0..40).prop_map(
            |map: BTreeMap<_, _>| {
                map.into_iter()
                    .map(|(id, (title, bytes))| Member {
                        title,
                        id,
                        bytes,
                        row_bytes: bytes << 15,
                    })
                    .collect()
            },
        )
    }

    fn limits() -> impl Strategy<Value = PartitionLimits> {
        (any::<bool>(), 0u32..6, 0u64..250).prop_map(|(by_title, assets_max, bytes_max)| {
            PartitionLimits {
                by_title,
                assets_max,
                bytes_max,
            }
        })
    }

    #[test]
    fn one_large_asset_is_a_partition_of_its_own() {
        let limits = PartitionLimits {
            by_title: false,
            assets_max: 10,
            bytes_max: 10,
        };
        let one = |id: &str, bytes| Member {
            title: "t".into(),
            id: id.into(),
            bytes,
            row_bytes: 1,
        };
        let cuts = partition(vec![one("a", 3), one("b", 99), one("c", 3)], limits);
        assert_eq!(cuts.iter().map(|c| c.assets).collect::<Vec<_>>(), [1, 1, 1]);
    }

    /// What a unit carries is sent in one message: rows with long columns make small partitions.
    #[test]
    fn long_rows_make_partitions_that_can_be_sent() {
        let limits = PartitionLimits {
            by_title: false,
            assets_max: 1_000,
            bytes_max: u64::MAX,
        };
        let members = (0..100).map(|n| Member {
            title: "t".into(),
            id: format!("{n:03}"),
            bytes: 1,
            row_bytes: 100_000,
        });
        let cuts = partition(members.collect(), limits);
        assert_eq!(
            cuts.iter().map(|cut| cut.assets).collect::<Vec<_>>(),
            [20, 20, 20, 20, 20]
        );
        let longer = Member {
            title: "t".into(),
            id: "a".into(),
            bytes: 1,
            row_bytes: 9 << 20,
        };
        assert_eq!(
            partition(vec![longer], limits).len(),
            1,
            "one that is too long by itself is refused elsewhere"
        );
    }

    proptest! {
        /// PART-1: every asset in exactly one partition.
        #[test]
        fn covers_every_asset_once(members in members(), limits in limits()) {
            let cuts = partition(members.clone(), limits);
            prop_assert_eq!(cuts.iter().map(|c| c.assets as usize).sum::<usize>(), members.len());
            for member in &members {
                let homes = cuts.iter().filter(|c| {
                    let same_title = !limits.by_title || c.title == member.title;
                    same_title && c.first <= member.id && member.id <= c.last
                }).count();
                prop_assert_eq!(homes, 1, "{:?}", member);
            }
        }

        /// PART-1: limits hold, except for a single asset that is too large by itself.
        #[test]
        fn keeps_its_limits(members in members(), limits in limits()) {
            for cut in partition(members, limits) {
                prop_assert!(cut.assets <= limits.assets_max.max(1));
                prop_assert!(cut.bytes <= limits.bytes_max || cut.assets == 1);
            }
        }

        /// PART-1: the order of listing changes nothing.
        #[test]
        fn order_of_listing_is_irrelevant(members in members(), limits in limits(), seed in any::<u64>()) {
            let mut shuffled = members.clone();
            let mut state = seed | 1;
            for i in (1..shuffled.len()).rev() {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                shuffled.swap(i, (state >> 33) as usize % (i + 1));
            }
            prop_assert_eq!(partition(members, limits), partition(shuffled, limits));
        }
    }
}
