//! Operations in SQL.
use super::{OperationRow, OperationState, OperationTx};
use crate::error::StoreResult;
use crate::sql::{Filter, Row, Sql, Value, values};
use protocol::id::{JobNo, StepNo, UnitId};

const COLUMNS: &str = "no, at, actor, action, job, filter, reason, matched, eligible, done, state, rate, after_job, \
     after_step, after_part, paced_at, ended_at, plan, progress, message";

fn read_operation(row: Row<'_>) -> StoreResult<OperationRow> {
    let after = match (
        row.get::<Option<JobNo>>(12)?,
        row.get::<Option<i64>>(13)?,
        row.get::<Option<i64>>(14)?,
    ) {
        (Some(job), Some(_), Some(part)) => Some(UnitId::new(job, row.get::<StepNo>(13)?, part)),
        _ => None,
    };
    Ok(OperationRow {
        no: row.get(0)?,
        at: row.get(1)?,
        actor: row.get(2)?,
        action: row.get(3)?,
        job: row.get(4)?,
        filter: row.get(5)?,
        reason: row.get(6)?,
        matched: row.get(7)?,
        eligible: row.get(8)?,
        done: row.get(9)?,
        state: row.word(10, OperationState::parse)?,
        rate: row
            .get::<Option<&str>>(11)?
            .map(|text| text.parse().unwrap_or(f64::NAN)),
        after,
        paced_at: row.get(15)?,
        ended_at: row.get(16)?,
        plan: row.get(17)?,
        progress: row.get(18)?,
        message: row.get(19)?,
    })
}

/// Values in the order of [`COLUMNS`].
fn values_of(o: &OperationRow) -> [Value<'_>; 20] {
    values![
        o.no,
        o.at,
        &o.actor,
        &o.action,
        o.job,
        &o.filter,
        &o.reason,
        o.matched,
        o.eligible,
        o.done,
        o.state.as_str(),
        o.rate.map(|rate| rate.to_string()),
        o.after.map(|unit| unit.job),
        o.after.map(|unit| unit.step),
        o.after.map(|unit| unit.packed_part()),
        o.paced_at,
        o.ended_at,
        o.plan.as_ref(),
        o.progress.as_ref(),
        o.message.as_ref(),
    ]
}

impl<T: Sql> OperationTx for T {
    fn insert_operation(&mut self, operation: &OperationRow) -> StoreResult<i64> {
        // One writer at a time: the next number is free.
        let last = self.query_one(
            "SELECT no FROM operation ORDER BY no DESC LIMIT 1",
            &[],
            |row| row.get::<i64>(0),
        )?;
        let operation = OperationRow {
            no: last.unwrap_or(0) + 1,
            ..operation.clone()
        };
        let sql = format!(
            "INSERT INTO operation ({COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)"
        );
        self.execute(&sql, &values_of(&operation))?;
        Ok(operation.no)
    }

    fn operation(&mut self, no: i64) -> StoreResult<Option<OperationRow>> {
        self.query_one(
            &format!("SELECT {COLUMNS} FROM operation WHERE no = ?1"),
            &values![no],
            read_operation,
        )
    }

    fn operations(&mut self, job: Option<JobNo>, limit: u32) -> StoreResult<Vec<OperationRow>> {
        let mut filter = Filter::default();
        filter.compare("job =", job);
        let limit = filter.place(limit);
        let sql = format!(
            "SELECT {COLUMNS} FROM operation {} ORDER BY no DESC LIMIT {limit}",
            filter.clause()
        );
        self.query(&sql, filter.values(), read_operation)
    }

    fn running_operations(&mut self, limit: u32) -> StoreResult<Vec<OperationRow>> {
        let sql =
            format!("SELECT {COLUMNS} FROM operation WHERE state = 'running' ORDER BY no LIMIT ?1");
        self.query(&sql, &values![limit], read_operation)
    }

    fn update_operation(&mut self, operation: &OperationRow) -> StoreResult<()> {
        self.execute(
            "UPDATE operation SET at = ?2, actor = ?3, action = ?4, job = ?5, filter = ?6, reason = ?7,
               matched = ?8, eligible = ?9, done = ?10, state = ?11, rate = ?12, after_job = ?13, after_step = ?14,
               after_part = ?15, paced_at = ?16, ended_at = ?17, plan = ?18, progress = ?19, message = ?20
             WHERE no = ?1",
            &values_of(operation),
        )?;
        Ok(())
    }

    fn put_operation_input(&mut self, operation: i64, input: Option<&str>) -> StoreResult<()> {
        self.execute(
            "DELETE FROM operation_input WHERE operation = ?1",
            &values![operation],
        )?;
        if let Some(input) = input {
            let sql = "INSERT INTO operation_input (operation, input) VALUES (?1, ?2)";
            self.execute(sql, &values![operation, input])?;
        }
        Ok(())
    }

    fn operation_input(&mut self, operation: i64) -> StoreResult<Option<String>> {
        let sql = "SELECT input FROM operation_input WHERE operation = ?1";
        self.query_one(sql, &values![operation], |row| row.get(0))
    }
}
