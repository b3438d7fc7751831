//! Losses in SQL.
use super::{LossRow, LossTx};
use crate::error::StoreResult;
use crate::sql::Column::{Int, Text};
use crate::sql::{Insert, Row, Sql, values};
use protocol::id::UnitId;

static INSERT: Insert<7> = Insert::new(
    "loss",
    [
        Int("job"),
        Int("step"),
        Int("part"),
        Int("epoch"),
        Text("worker"),
        Int("alone"),
        Int("at"),
    ],
    "ON CONFLICT DO NOTHING",
);

/// Look-ups by many keys: one statement for each, or one over arrays.
pub(super) trait Dialect: Sql {
    fn losses_of(&mut self, units: &[UnitId]) -> StoreResult<Vec<LossRow>>;
    fn delete_losses_of(&mut self, units: &[UnitId]) -> StoreResult<()>;
}

/// Reads job, step, part, epoch, worker, alone and at.
pub(super) fn read_loss(row: Row<'_>) -> StoreResult<LossRow> {
    Ok(LossRow {
        unit: row.unit(0)?,
        epoch: row.get(3)?,
        worker: row.get(4)?,
        alone: row.get(5)?,
        at: row.get(6)?,
    })
}

impl<T: Dialect> LossTx for T {
    fn put_losses(&mut self, losses: &[LossRow]) -> StoreResult<()> {
        let rows = losses.iter().map(|loss| {
            let unit = loss.unit;
            values![
                unit.job,
                unit.step,
                unit.packed_part(),
                loss.epoch,
                &loss.worker,
                loss.alone,
                loss.at
            ]
        });
        self.insert(&INSERT, &rows.collect::<Vec<_>>())
    }

    fn losses(&mut self, units: &[UnitId]) -> StoreResult<Vec<LossRow>> {
        self.losses_of(units)
    }

    fn suspects(&mut self, workers: u32, limit: u32) -> StoreResult<Vec<UnitId>> {
        self.query(
            // The expression fits no key: by the key, all units that were ever lost would be read.
            "SELECT job, step, part FROM loss_count WHERE workers >= ?1 ORDER BY job + 0, step, part LIMIT ?2",
            &values![workers, limit],
            |row| row.unit(0),
        )
    }

    fn forget_losses(&mut self, units: &[UnitId]) -> StoreResult<()> {
        self.delete_losses_of(units)
    }
}
