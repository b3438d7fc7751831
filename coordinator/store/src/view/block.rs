//! Blocks of partitions. Units without a history are found by walking over the history of the others, which is long. A block
//! in which every unit has one is closed, and the walk passes it over.
use super::candidates::Candidates;
use crate::error::StoreResult;
use crate::sql::{Sql, values};
use protocol::id::{JobNo, PartNo, StepNo};

/// Partitions of one block.
pub const BLOCK_PARTS: PartNo = 4_096;

/// The first and the last partition of a block.
fn range_of(block: i64) -> (PartNo, PartNo) {
    (block * BLOCK_PARTS + 1, (block + 1) * BLOCK_PARTS)
}

/// The ranges that closed blocks, in ascending order, leave of `from..=to`.
fn open_ranges(from: PartNo, to: PartNo, closed: &[i64]) -> Vec<(PartNo, PartNo)> {
    let (mut open, mut next) = (Vec::new(), from);
    for (first, last) in closed.iter().copied().map(range_of) {
        if next < first {
            open.push((next, to.min(first - 1)));
        }
        next = next.max(last + 1);
    }
    if next <= to {
        open.push((next, to));
    }
    open
}

/// Partitions `from..=to` whose unit has no history.
pub(crate) fn parts_without_history<T: Candidates + Sql>(
    tx: &mut T,
    job: JobNo,
    step: StepNo,
    (from, to): (PartNo, PartNo),
    limit: u32,
) -> StoreResult<Vec<PartNo>> {
    let block = |part: PartNo| (part - 1).div_euclid(BLOCK_PARTS);
    let closed: Vec<i64> = tx.query(
        "SELECT block FROM closed_block WHERE job = ?1 AND step = ?2 AND block BETWEEN ?3 AND ?4 ORDER BY block",
        &values![job, step, block(from), block(to)],
        |row| row.get(0),
    )?;
    let mut found = Vec::new();
    for (first, last) in open_ranges(from, to, &closed) {
        let left = u64::from(limit).saturating_sub(found.len() as u64);
        if left == 0 {
            break;
        }
        found.extend(tx.walk_without_history(
            job,
            step,
            first,
            last,
            u32::try_from(left).unwrap_or(limit),
        )?);
    }
    Ok(found)
}

/// Closes a block when every unit of it has a history. Returns whether it is closed.
pub(crate) fn close_block<T: Candidates + Sql>(
    tx: &mut T,
    job: JobNo,
    step: StepNo,
    block: i64,
) -> StoreResult<bool> {
    // Of a closed block nothing is walked.
    if !parts_without_history(tx, job, step, range_of(block), 1)?.is_empty() {
        return Ok(false);
    }
    tx.execute(
        "INSERT INTO closed_block (job, step, block) VALUES (?1, ?2, ?3) ON CONFLICT (job, step, block) DO NOTHING",
        &values![job, step, block],
    )?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_between_closed_blocks_are_open() {
        assert_eq!(open_ranges(1, 9_000, &[]), [(1, 9_000)]);
        assert_eq!(open_ranges(1, 9_000, &[0]), [(4_097, 9_000)]);
        assert_eq!(open_ranges(10, 9_000, &[1]), [(10, 4_096), (8_193, 9_000)]);
        assert_eq!(open_ranges(5_000, 8_000, &[1]), [] as [(PartNo, PartNo); 0]);
        assert_eq!(open_ranges(1, 12_288, &[0, 2]), [(4_097, 8_192)]);
        assert_eq!(open_ranges(7, 3, &[]), [] as [(PartNo, PartNo); 0]);
    }
}
