//! The tables of the scheduler in SQL.
use super::{
    CostRow, MultipartRow, MultipartState, ScheduleTx, SliceRow, Speculation, SpeculationState,
    WithheldRow,
};
use crate::error::{StoreError, StoreResult, corrupt};
use crate::sql::Column::{Int, Text};
use crate::sql::{Insert, Row, Sql, Value, values};
use protocol::id::{JobNo, Kind, SliceNo, UnitId};
use protocol::rules::schedule::cost::Sketch;
use protocol::rules::schedule::wait_reason::WaitReason;
use protocol::rules::storage::multipart::Slice;
use protocol::rules::unit::transition::UnitState;

static PUT_COSTS: Insert<5> = Insert::new(
    "cost",
    [Text("kind"), Int("size"), Int("measures"), Int("total_us"), Text("places")],
    "ON CONFLICT (kind, size) DO UPDATE SET measures = excluded.measures, total_us = excluded.total_us,
       places = excluded.places",
);

static INSERT_WITHHELD: Insert<5> = Insert::new(
    "withheld",
    [
        Int("job"),
        Int("step"),
        Text("reason"),
        Int("since"),
        Int("until"),
    ],
    "",
);

static PUT_SLICES: Insert<11> = Insert::new(
    "slice",
    [
        Int("job"),
        Int("step"),
        Int("part"),
        Int("number"),
        Int("first"),
        Int("bytes"),
        Text("state"),
        Int("epoch"),
        Int("attempt"),
        Int("due_at"),
        Text("receipt"),
    ],
    "ON CONFLICT (job, step, part, number) DO UPDATE SET state = excluded.state, epoch = excluded.epoch,
       attempt = excluded.attempt, due_at = excluded.due_at, receipt = excluded.receipt",
);

fn read_speculation(row: Row<'_>, at: usize) -> StoreResult<Speculation> {
    Ok(Speculation {
        older: row.get(at)?,
        newer: row.get(at + 1)?,
        state: row.word(at + 2, SpeculationState::parse)?,
    })
}

impl<T: Sql> ScheduleTx for T {
    fn costs(&mut self) -> StoreResult<Vec<CostRow>> {
        let mut costs = self.query(
            "SELECT kind, size, measures, total_us, places FROM cost",
            &[],
            |row| {
                let sketch = Sketch {
                    count: row.get(2)?,
                    total_us: row.get(3)?,
                    places: row.json(4, "cost")?,
                };
                Ok(CostRow {
                    kind: row.word(0, Kind::parse)?,
                    size: row.get(1)?,
                    sketch,
                })
            },
        )?;
        costs.sort_by_key(|row| (row.kind, row.size));
        Ok(costs)
    }

    fn put_costs(&mut self, rows: &[CostRow]) -> StoreResult<()> {
        let values_of = |row: &CostRow| -> StoreResult<[Value<'static>; 5]> {
            let places =
                serde_json::to_string(&row.sketch.places).map_err(|e| corrupt("cost", e))?;
            Ok(values![
                row.kind.as_str(),
                row.size,
                row.sketch.count,
                row.sketch.total_us,
                places
            ])
        };
        let rows: Vec<_> = rows.iter().map(values_of).collect::<StoreResult<_>>()?;
        self.insert(&PUT_COSTS, &rows)
    }

    fn withheld(&mut self, job: JobNo) -> StoreResult<Vec<WithheldRow>> {
        let sql = "SELECT step, reason, since, until FROM withheld WHERE job = ?1 ORDER BY step";
        self.query(sql, &values![job], |row| {
            Ok(WithheldRow {
                step: row.get(0)?,
                reason: row.word(1, WaitReason::parse)?,
                since: row.get(2)?,
                until: row.get(3)?,
            })
        })
    }

    fn put_withheld(&mut self, job: JobNo, rows: &[WithheldRow]) -> StoreResult<()> {
        self.execute("DELETE FROM withheld WHERE job = ?1", &values![job])?;
        let rows = rows
            .iter()
            .map(|row| values![job, row.step, row.reason.as_str(), row.since, row.until]);
        self.insert(&INSERT_WITHHELD, &rows.collect::<Vec<_>>())
    }

    fn speculation(&mut self, unit: UnitId) -> StoreResult<Option<Speculation>> {
        self.query_one(
            "SELECT older, newer, state FROM speculation WHERE job = ?1 AND step = ?2 AND part = ?3",
            &values![unit.job, unit.step, unit.packed_part()],
            |row| read_speculation(row, 0),
        )
    }

    fn speculations(&mut self, job: JobNo) -> StoreResult<Vec<(UnitId, Speculation)>> {
        self.query(
            "SELECT step, part, older, newer, state FROM speculation WHERE job = ?1 ORDER BY step, part",
            &values![job],
            |row| Ok((UnitId::new(job, row.get(0)?, row.get(1)?), read_speculation(row, 2)?)),
        )
    }

    fn put_speculation(&mut self, unit: UnitId, row: Option<Speculation>) -> StoreResult<()> {
        match row {
            None => self.execute(
                "DELETE FROM speculation WHERE job = ?1 AND step = ?2 AND part = ?3",
                &values![unit.job, unit.step, unit.packed_part()],
            ),
            Some(row) => self.execute(
                "INSERT INTO speculation (job, step, part, older, newer, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (job, step, part) DO UPDATE SET older = excluded.older, newer = excluded.newer,
                   state = excluded.state",
                &values![unit.job, unit.step, unit.packed_part(), row.older, row.newer, row.state.as_str()],
            ),
        }?;
        Ok(())
    }

    fn slices(&mut self, unit: UnitId) -> StoreResult<Vec<SliceRow>> {
        self.query(
            "SELECT number, first, bytes, state, epoch, attempt, due_at, receipt FROM slice
             WHERE job = ?1 AND step = ?2 AND part = ?3 ORDER BY number",
            &values![unit.job, unit.step, unit.packed_part()],
            |row| {
                let number = SliceNo::new(row.get(0)?)
                    .ok_or_else(|| StoreError::Corrupt("slice 0 of a unit".into()))?;
                Ok(SliceRow {
                    slice: Slice {
                        number,
                        first: row.get(1)?,
                        bytes: row.get(2)?,
                    },
                    state: row.word(3, UnitState::parse)?,
                    epoch: row.get(4)?,
                    attempt: row.get(5)?,
                    due_at: row.get(6)?,
                    receipt: row.get(7)?,
                })
            },
        )
    }

    fn put_slices(&mut self, unit: UnitId, rows: &[SliceRow]) -> StoreResult<()> {
        let rows = rows.iter().map(|row| {
            values![
                unit.job,
                unit.step,
                unit.packed_part(),
                row.slice.number.get(),
                row.slice.first,
                row.slice.bytes,
                row.state.as_str(),
                row.epoch,
                row.attempt,
                row.due_at,
                row.receipt.as_ref(),
            ]
        });
        self.insert(&PUT_SLICES, &rows.collect::<Vec<_>>())
    }

    fn multipart_units(&mut self) -> StoreResult<Vec<UnitId>> {
        self.query(
            "SELECT job, step, part FROM cut ORDER BY job, step, part",
            &[],
            |row| row.unit(0),
        )
    }

    fn multipart(&mut self, unit: UnitId) -> StoreResult<Option<MultipartRow>> {
        self.query_one(
            "SELECT state, drafts FROM cut WHERE job = ?1 AND step = ?2 AND part = ?3",
            &values![unit.job, unit.step, unit.packed_part()],
            |row| {
                Ok(MultipartRow {
                    unit,
                    state: row.word(0, MultipartState::parse)?,
                    open_uploads: row.json(1, "cut")?,
                })
            },
        )
    }

    fn put_multipart(&mut self, row: &MultipartRow) -> StoreResult<()> {
        let open_uploads =
            serde_json::to_string(&row.open_uploads).map_err(|e| corrupt("cut", e))?;
        self.execute(
            "INSERT INTO cut (job, step, part, state, drafts) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (job, step, part) DO UPDATE SET state = excluded.state, drafts = excluded.drafts",
            &values![row.unit.job, row.unit.step, row.unit.packed_part(), row.state.as_str(), open_uploads],
        )?;
        Ok(())
    }

    fn forget_multipart(&mut self, unit: UnitId) -> StoreResult<()> {
        let key = values![unit.job, unit.step, unit.packed_part()];
        self.execute(
            "DELETE FROM cut WHERE job = ?1 AND step = ?2 AND part = ?3",
            &key,
        )?;
        self.execute(
            "DELETE FROM slice WHERE job = ?1 AND step = ?2 AND part = ?3",
            &key,
        )?;
        Ok(())
    }
}
