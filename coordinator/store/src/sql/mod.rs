//! Statements that both databases run. A domain whose statements agree writes them once, over [`Sql`]; a parameter is `?n`,
//! which the connection to PostgreSQL rewrites when it prepares the statement.
mod filter;
mod insert;
mod row;
mod value;

pub(crate) use filter::Filter;
pub(crate) use insert::{Column, Insert};
pub(crate) use row::{Columns, Row};
pub(crate) use value::Value;

use crate::error::StoreResult;

/// A transaction of a database that speaks SQL.
pub(crate) trait Sql {
    /// Runs a statement; returns the number of rows it changed.
    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> StoreResult<u64>;

    /// Rows of a query.
    fn query<T>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        read: impl FnMut(Row<'_>) -> StoreResult<T>,
    ) -> StoreResult<Vec<T>>;

    /// The first row of a query.
    fn query_one<T>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        read: impl FnOnce(Row<'_>) -> StoreResult<T>,
    ) -> StoreResult<Option<T>>;

    /// Inserts rows: one statement for each in SQLite, one for all in PostgreSQL. With `ON CONFLICT … DO UPDATE` no key may
    /// come twice, because one statement changes a row once.
    fn insert<const N: usize>(
        &mut self,
        into: &Insert<N>,
        rows: &[[Value<'_>; N]],
    ) -> StoreResult<()>;
}

/// Parameters of a statement, from values that [`Value`] can be made of.
macro_rules! values {
    ($($value:expr),* $(,)?) => { [$($crate::sql::Value::from($value)),*] };
}
pub(crate) use values;
