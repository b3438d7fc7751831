//! A number of things that may be a range: `8`, `4..16`, `2..`.
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// A range of numbers of things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Smallest number, inclusive.
    pub min: u32,
    /// Largest number, inclusive.
    pub max: u32,
}

impl Count {
    /// Exactly so many.
    pub fn exactly(n: u32) -> Count {
        Count { min: n, max: n }
    }

    /// Reads `8`, `4..16`, `2..` or `..16`.
    pub fn parse(text: &str) -> Result<Count, String> {
        let wrong = || format!("{text:?} is not a number of things: write 8, 4..16, 2.. or ..16");
        let read = |part: &str, open: u32| match part.trim() {
            "" => Some(open),
            digits => digits.parse().ok(),
        };
        let count = match text.split_once("..") {
            Some((min, max)) if !(min.trim().is_empty() && max.trim().is_empty()) => read(min, 0)
                .zip(read(max, u32::MAX))
                .map(|(min, max)| Count { min, max }),
            Some(_) => None,
            None => text.trim().parse().ok().map(Count::exactly),
        };
        count
            .filter(|count| count.min <= count.max)
            .ok_or_else(wrong)
    }

    /// Whether `n` is such a number.
    pub fn has(self, n: u32) -> bool {
        (self.min..=self.max).contains(&n)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (min, max) if min == max => write!(f, "{min}"),
            (min, u32::MAX) => write!(f, "{min}.."),
            (0, max) => write!(f, "..{max}"),
            (min, max) => write!(f, "{min}..{max}"),
        }
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Count, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Count;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number such as 8 or a range such as 4..16")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Count, E> {
                Count::parse(text).map_err(E::custom)
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Count, E> {
                u32::try_from(n)
                    .map(Count::exactly)
                    .map_err(|_| E::custom(format!("{n} is too many")))
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Count, E> {
                u32::try_from(n)
                    .map(Count::exactly)
                    .map_err(|_| E::custom(format!("{n} is not a number of things")))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl Serialize for Count {
    /// One number stays a number, so that digests of older specs stay what they were.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.min == self.max {
            serializer.serialize_u32(self.min)
        } else {
            serializer.collect_str(self)
        }
    }
}

impl JsonSchema for Count {
    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "pattern": r"^([0-9]+|[0-9]+\.\.[0-9]*|\.\.[0-9]+)$",
            "examples": [8, "4..16"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_number_and_open_ranges() {
        let read = |text| protocol::yaml::read::<Count>("f", text);
        assert_eq!(read("8"), Ok(Count::exactly(8)));
        assert_eq!(
            read("2.."),
            Ok(Count {
                min: 2,
                max: u32::MAX
            })
        );
        assert_eq!(read("..16"), Ok(Count { min: 0, max: 16 }));
        for wrong in ["..", "16..4", "-1", "many", "4294967296", "1..x"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            serde_json::to_string(&Count::exactly(1)).expect("writes"),
            "1"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(a in any::<u32>(), b in any::<u32>(), n in any::<u32>()) {
            let count = Count { min: a.min(b), max: a.max(b) };
            prop_assert_eq!(Count::parse(&count.to_string()), Ok(count));
            prop_assert_eq!(count.has(n), n >= count.min && n <= count.max);
        }
    }
}
