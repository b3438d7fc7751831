//! What a barrier spans, what it requires and which failures it tolerates, as a job file writes it.
use crate::quantity::Share;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// Members that one barrier waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// One barrier per title.
    Title,
    /// One barrier per run of consecutive units.
    Batch,
    /// One barrier for the whole job.
    Job,
}

impl Scope {
    /// The spelling in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Title => "title",
            Scope::Batch => "batch",
            Scope::Job => "job",
        }
    }
}

/// Members that must succeed before a barrier opens.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Require {
    /// Every member must succeed.
    #[default]
    All,
    /// At least this number of members.
    Count(u64),
    /// At least this fraction of the members.
    Fraction(f64),
}

/// Failures that a barrier tolerates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Budget {
    /// This number of failures.
    Count(u64),
    /// This fraction of the members.
    Share(f64),
}

impl<'de> Deserialize<'de> for Budget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Budget;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of failures or a share such as 5%")
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Budget, E> {
                Ok(Budget::Count(n))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Budget, E> {
                if let Ok(n) = text.parse() {
                    return Ok(Budget::Count(n));
                }
                Share::parse(text)
                    .map(|s| Budget::Share(s.0))
                    .map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl JsonSchema for Budget {
    fn schema_name() -> Cow<'static, str> {
        "FailureBudget".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"], "pattern": "^[0-9.]+%?$", "examples": [3, "5%"] })
    }
}
