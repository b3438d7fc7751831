//! Rows of answers, read in the same way from both databases.
use crate::error::{StoreError, StoreResult, corrupt};
use protocol::id::{JobNo, StepNo, UnitId};
use protocol::time::Timestamp;

/// The columns of a row, as a driver gives them.
pub(crate) trait Columns {
    /// A BIGINT column.
    fn int(&self, at: usize) -> StoreResult<Option<i64>>;
    /// A TEXT column.
    fn text(&self, at: usize) -> StoreResult<Option<&str>>;
}

/// One row of an answer.
#[derive(Clone, Copy)]
pub(crate) struct Row<'r>(&'r dyn Columns);

impl<'r> Row<'r> {
    pub(crate) fn new(columns: &'r dyn Columns) -> Row<'r> {
        Row(columns)
    }

    /// Reads a column.
    pub(crate) fn get<T: FromColumn<'r>>(self, at: usize) -> StoreResult<T> {
        T::from_column(self.0, at)
    }

    /// Reads a word of a closed list.
    pub(crate) fn word<T>(
        self,
        at: usize,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> StoreResult<T> {
        let word: &str = self.get(at)?;
        parse(word).ok_or_else(|| StoreError::Corrupt(format!("unknown word {word:?}")))
    }

    /// Reads JSON; `what` names it in the error.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(
        self,
        at: usize,
        what: &str,
    ) -> StoreResult<T> {
        serde_json::from_str(self.get(at)?).map_err(|error| corrupt(what, error))
    }

    /// Reads the id of a unit from three columns: job, step and packed part.
    pub(crate) fn unit(self, at: usize) -> StoreResult<UnitId> {
        Ok(UnitId::from_packed(
            self.get(at)?,
            self.get(at + 1)?,
            self.get(at + 2)?,
        ))
    }
}

/// A type that one column holds.
pub(crate) trait FromColumn<'r>: Sized {
    /// Reads the column.
    fn from_column(columns: &'r dyn Columns, at: usize) -> StoreResult<Self>;
}

fn missing(at: usize) -> StoreError {
    StoreError::Corrupt(format!("column {at} is empty"))
}

impl<'r> FromColumn<'r> for i64 {
    fn from_column(columns: &'r dyn Columns, at: usize) -> StoreResult<i64> {
        columns.int(at)?.ok_or_else(|| missing(at))
    }
}

impl<'r> FromColumn<'r> for &'r str {
    fn from_column(columns: &'r dyn Columns, at: usize) -> StoreResult<&'r str> {
        columns.text(at)?.ok_or_else(|| missing(at))
    }
}

impl<'r> FromColumn<'r> for String {
    fn from_column(columns: &'r dyn Columns, at: usize) -> StoreResult<String> {
        <&str>::from_column(columns, at).map(str::to_owned)
    }
}

impl<'r> FromColumn<'r> for bool {
    fn from_column(columns: &'r dyn Columns, at: usize) -> StoreResult<bool> {
        i64::from_column(columns, at).map(|value| value != 0)
    }
}

macro_rules! counts {
    ($($count:ty),*) => {
        $(impl<'r> FromColumn<'r> for $count {
            /// A count is never negative; a negative one in the database is reported, not wrapped.
            fn from_column(columns: &'r dyn Columns, at: usize) -> StoreResult<$count> {
                let value = i64::from_column(columns, at)?;
                <$count>::try_from(value).map_err(|_| StoreError::Corrupt(format!("column {at} holds {value}")))
            }
        })*
    };
}

counts!(u64, u32, u16, u8);

impl<'r> FromColumn<'r> for JobNo {
    fn from_column(columns: &'r dyn Columns, at: usize) -> StoreResult<JobNo> {
        i64::from_column(columns, at).map(JobNo)
    }
}

impl<'r> FromColumn<'r> for StepNo {
    fn from_column(columns: &'r dyn Columns, at: usize) -> StoreResult<StepNo> {
        u16::from_column(columns, at).map(StepNo)
    }
}

impl<'r> FromColumn<'r> for Timestamp {
    fn from_column(columns: &'r dyn Columns, at: usize) -> StoreResult<Timestamp> {
        i64::from_column(columns, at).map(Timestamp)
    }
}

impl<'r> FromColumn<'r> for Option<i64> {
    fn from_column(columns: &'r dyn Columns, at: usize) -> StoreResult<Option<i64>> {
        columns.int(at)
    }
}

impl<'r> FromColumn<'r> for Option<&'r str> {
    fn from_column(columns: &'r dyn Columns, at: usize) -> StoreResult<Option<&'r str>> {
        columns.text(at)
    }
}

impl<'r> FromColumn<'r> for Option<String> {
    fn from_column(columns: &'r dyn Columns, at: usize) -> StoreResult<Option<String>> {
        Ok(columns.text(at)?.map(str::to_owned))
    }
}

impl<'r> FromColumn<'r> for Option<Timestamp> {
    fn from_column(columns: &'r dyn Columns, at: usize) -> StoreResult<Option<Timestamp>> {
        Ok(columns.int(at)?.map(Timestamp))
    }
}

impl<'r> FromColumn<'r> for Option<JobNo> {
    fn from_column(columns: &'r dyn Columns, at: usize) -> StoreResult<Option<JobNo>> {
        Ok(columns.int(at)?.map(JobNo))
    }
}
