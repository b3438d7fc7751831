//! Values of parameters. `TEXT` and `BIGINT` are all the types that the schema has.
use protocol::id::{JobNo, StepNo};
use protocol::time::Timestamp;
use std::borrow::Cow;

/// The value of one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// The value NULL.
    Null,
    /// A value of type BIGINT.
    Int(i64),
    /// A value of type TEXT.
    Text(Cow<'a, str>),
}

impl Value<'_> {
    /// The same value without a borrow.
    pub(crate) fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Int(value) => Value::Int(value),
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
        }
    }
}

macro_rules! from_small_integers {
    ($($small:ty),*) => {
        $(impl From<$small> for Value<'_> {
            fn from(value: $small) -> Self {
                Value::Int(i64::from(value))
            }
        })*
    };
}

from_small_integers!(i64, u32, u16, u8, bool);

impl From<u64> for Value<'_> {
    /// SQL integers are signed: the largest one is written for a count beyond it.
    fn from(value: u64) -> Self {
        Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<JobNo> for Value<'_> {
    fn from(job: JobNo) -> Self {
        Value::Int(job.0)
    }
}

impl From<StepNo> for Value<'_> {
    fn from(step: StepNo) -> Self {
        Value::from(step.0)
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(time: Timestamp) -> Self {
        Value::Int(time.0)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::Text(Cow::Owned(text))
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}
