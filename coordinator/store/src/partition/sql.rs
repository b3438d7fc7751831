//! Partitions in SQL.
use super::Partition;
use crate::error::StoreResult;
use crate::sql::Row;

/// Columns of a partition, in the order of [`read_partition`]. The last asset of a partition of one asset is not stored.
pub(super) const COLUMNS: &str =
    "part, title, first, CASE last WHEN '' THEN first ELSE last END, assets, bytes, parent, split";

/// Reads a partition from [`COLUMNS`].
pub(super) fn read_partition(row: Row<'_>) -> StoreResult<Partition> {
    Ok(Partition {
        part: row.get(0)?,
        title: row.get(1)?,
        first: row.get(2)?,
        last: row.get(3)?,
        assets: row.get(4)?,
        bytes: row.get(5)?,
        parent: row.get(6)?,
        split: row.get(7)?,
    })
}

/// The last asset as it is stored.
pub(super) fn stored_last(p: &Partition) -> &str {
    if p.last == p.first { "" } else { &p.last }
}

/// The number of partitions, from the first on, that are neighbours in canonical order and have all their members.
pub(super) fn run_length(partitions: &[Partition]) -> usize {
    let whole = |p: &Partition| p.parent == 0 && !p.split;
    let follows = |pair: &[Partition]| {
        whole(&pair[1])
            && pair[1].part == pair[0].part + 1
            && pair[0].title.is_empty() == pair[1].title.is_empty()
    };
    if !partitions.first().is_some_and(whole) {
        return 1;
    }
    1 + partitions
        .windows(2)
        .take_while(|pair| follows(pair))
        .count()
}
