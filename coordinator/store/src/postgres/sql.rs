//! Shared statements on PostgreSQL.
use super::tx::{PostgresTx, column, without_nul};
use crate::error::StoreResult;
use crate::sql::{Column, Columns, Insert, Row, Sql, Value};
use bytes::BytesMut;
use std::borrow::Cow;
use std::error::Error;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(value) => value.to_sql_checked(ty, out),
            Value::Text(text) => without_nul(text).to_sql_checked(ty, out),
        }
    }

    /// Each value checks its own type.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// The values of one column in many rows.
#[derive(Debug)]
enum Array<'a> {
    Ints(Vec<Option<i64>>),
    Texts(Vec<Option<Cow<'a, str>>>),
}

impl<'a> Array<'a> {
    fn new(column: Column, values: impl Iterator<Item = &'a Value<'a>>) -> Array<'a> {
        match column {
            Column::Int(_) => Array::Ints(
                values
                    .map(|value| {
                        if let Value::Int(value) = value {
                            Some(*value)
                        } else {
                            None
                        }
                    })
                    .collect(),
            ),
            Column::Text(_) => Array::Texts(
                values
                    .map(|value| {
                        if let Value::Text(text) = value {
                            Some(without_nul(text))
                        } else {
                            None
                        }
                    })
                    .collect(),
            ),
        }
    }

    fn parameter(&self) -> &(dyn ToSql + Sync) {
        match self {
            Array::Ints(values) => values,
            Array::Texts(values) => values,
        }
    }
}

impl Columns for tokio_postgres::Row {
    fn int(&self, at: usize) -> StoreResult<Option<i64>> {
        column(self, at)
    }

    fn text(&self, at: usize) -> StoreResult<Option<&str>> {
        column(self, at)
    }
}

impl Sql for PostgresTx<'_> {
    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> StoreResult<u64> {
        self.run(sql, &parameters(values))
    }

    fn query<T>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(Row<'_>) -> StoreResult<T>,
    ) -> StoreResult<Vec<T>> {
        self.all(sql, &parameters(values), |row| read(Row::new(row)))
    }

    fn query_one<T>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        read: impl FnOnce(Row<'_>) -> StoreResult<T>,
    ) -> StoreResult<Option<T>> {
        let mut read = Some(read);
        let first =
            |row: &tokio_postgres::Row| read.take().map(|read| read(Row::new(row))).transpose();
        let rows = self.all(sql, &parameters(values), first)?;
        Ok(rows.into_iter().flatten().next())
    }

    fn insert<const N: usize>(
        &mut self,
        into: &Insert<N>,
        rows: &[[Value<'_>; N]],
    ) -> StoreResult<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let arrays: Vec<Array<'_>> = into
            .columns()
            .iter()
            .enumerate()
            .map(|(at, column)| Array::new(*column, rows.iter().map(move |row| &row[at])))
            .collect();
        let parameters: Vec<&(dyn ToSql + Sync)> = arrays.iter().map(Array::parameter).collect();
        self.run(into.of_arrays(), &parameters)?;
        Ok(())
    }
}

fn parameters<'v>(values: &'v [Value<'_>]) -> Vec<&'v (dyn ToSql + Sync)> {
    values
        .iter()
        .map(|value| value as &(dyn ToSql + Sync))
        .collect()
}
