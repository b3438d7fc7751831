//! Shared statements on SQLite.
use super::{SqliteTx, failed};
use crate::cost;
use crate::error::{StoreError, StoreResult};
use crate::sql::{Columns, Insert, Row, Sql, Value};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ToSql, params_from_iter};

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Int(value) => ValueRef::Integer(*value),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

impl Columns for rusqlite::Row<'_> {
    fn int(&self, at: usize) -> StoreResult<Option<i64>> {
        self.get_ref(at)
            .map_err(failed)?
            .as_i64_or_null()
            .map_err(|error| unreadable(at, error))
    }

    fn text(&self, at: usize) -> StoreResult<Option<&str>> {
        self.get_ref(at)
            .map_err(failed)?
            .as_str_or_null()
            .map_err(|error| unreadable(at, error))
    }
}

fn unreadable(at: usize, error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("column {at}: {error}"))
}

impl Sql for SqliteTx<'_> {
    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> StoreResult<u64> {
        Ok(self.run(sql, params_from_iter(values))? as u64)
    }

    fn query<T>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(Row<'_>) -> StoreResult<T>,
    ) -> StoreResult<Vec<T>> {
        let mut statement = self.db.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query(params_from_iter(values)).map_err(failed)?;
        let mut found = Vec::new();
        let ended = loop {
            match rows.next().map_err(failed) {
                Ok(Some(row)) => match read(Row::new(row)) {
                    Ok(row) => found.push(row),
                    Err(error) => break Err(error),
                },
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        drop(rows);
        self.count(&statement);
        cost::rows(found.len().max(1));
        ended.map(|()| found)
    }

    fn query_one<T>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        read: impl FnOnce(Row<'_>) -> StoreResult<T>,
    ) -> StoreResult<Option<T>> {
        self.one(sql, params_from_iter(values), |row| Ok(read(Row::new(row))))?
            .transpose()
    }

    fn insert<const N: usize>(
        &mut self,
        into: &Insert<N>,
        rows: &[[Value<'_>; N]],
    ) -> StoreResult<()> {
        let mut statement = self.db.prepare_cached(into.of_row()).map_err(failed)?;
        for row in rows {
            let changed = statement.execute(params_from_iter(row)).map_err(failed);
            self.count(&statement);
            cost::rows(1);
            changed?;
        }
        Ok(())
    }
}
