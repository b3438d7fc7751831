//! Values of delivery specs: levels with their units, rates, ratios, lists that may be written as one word.
use protocol::quantity::split;
use protocol::quantity_format;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// A quantity whose unit must be written, since a bare number would hide which scale is meant.
macro_rules! level {
    ($(#[$doc:meta])* $type:ident, $name:literal, $unit:literal, $what:literal, $pattern:literal, $example:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
        pub struct $type(pub f64);

        impl $type {
            /// Reads the number with its unit.
            pub fn parse(text: &str) -> Result<$type, String> {
                match split(text) {
                    Some((number, unit)) if unit.eq_ignore_ascii_case($unit) => Ok($type(number)),
                    _ => Err(format!(concat!("{:?} is not ", $what, ": write it with its unit, as in ", $example), text)),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{}", $unit), self.0)
            }
        }

        quantity_format!($type, $name, $pattern, $example);
    };
}

level!(
    /// A level in dB relative to full scale.
    Decibels, "Decibels", "dB", "a level", r"^[-+]?[0-9.]+\s*dB$", "-60dB"
);
level!(
    /// Programme loudness in LUFS (ITU-R BS.1770, EBU R 128).
    Lufs, "Loudness", "LUFS", "a loudness", r"^[-+]?[0-9.]+\s*LUFS$", "-23LUFS"
);
level!(
    /// A difference of loudness in LU.
    LoudnessUnits, "LoudnessDifference", "LU", "a loudness difference", r"^[0-9.]+\s*LU$", "1LU"
);
level!(
    /// A true peak in dB relative to full scale (ITU-R BS.1770 annex 2).
    TruePeak, "TruePeak", "dBTP", "a true peak", r"^[-+]?[0-9.]+\s*dBTP$", "-1dBTP"
);

/// Frames per second as a fraction, so that 29.97 and 30000/1001 are one rate and 30 is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRate {
    /// Numerator, not 0.
    pub num: u32,
    /// Denominator, not 0, without a common factor with `num`.
    pub den: u32,
}

/// The rates that are written as decimals but are thousandths of a rate over 1.001 (SMPTE ST 2036, ATSC A/53).
const NTSC: [(&str, u32); 6] = [
    ("23.976", 24_000),
    ("23.98", 24_000),
    ("29.97", 30_000),
    ("47.952", 48_000),
    ("59.94", 60_000),
    ("119.88", 120_000),
];

impl FrameRate {
    /// Reads `25`, `29.97` or `30000/1001`.
    pub fn parse(text: &str) -> Result<FrameRate, String> {
        let wrong = || format!("{text:?} is not a frame rate: write 25, 29.97 or 30000/1001");
        let trimmed = text.trim();
        let (num, den) = if let Some((num, den)) = trimmed.split_once(['/', ':']) {
            (
                num.trim().parse().map_err(|_| wrong())?,
                den.trim().parse().map_err(|_| wrong())?,
            )
        } else if let Some((_, num)) = NTSC
            .iter()
            .find(|(written, _)| trimmed.trim_end_matches('0') == *written)
        {
            (*num, 1001)
        } else {
            let rate: f64 = trimmed.parse().map_err(|_| wrong())?;
            let thousandths = (rate * 1000.0).round();
            if !(1.0..=1e9).contains(&thousandths) {
                return Err(wrong());
            }
            (thousandths as u32, 1000)
        };
        FrameRate::reduced(num, den).ok_or_else(wrong)
    }

    /// The rate `num / den` in lowest terms; `None` when either is 0.
    pub fn reduced(num: u32, den: u32) -> Option<FrameRate> {
        let divisor = gcd(num, den);
        (num > 0 && den > 0).then(|| FrameRate {
            num: num / divisor,
            den: den / divisor,
        })
    }

    /// Frames per second.
    pub fn per_second(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }

    /// Seconds a frame lasts.
    pub fn frame_seconds(self) -> f64 {
        f64::from(self.den) / f64::from(self.num)
    }
}

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.den == 1 {
            write!(f, "{}", self.num)
        } else {
            write!(f, "{}/{}", self.num, self.den)
        }
    }
}

quantity_format!(FrameRate, "FrameRate", r"^[0-9.]+(/[0-9]+)?$", "30000/1001");

/// A ratio of width to height in lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    /// Width part, not 0.
    pub num: u32,
    /// Height part, not 0.
    pub den: u32,
}

impl Ratio {
    /// Reads a ratio such as `16:9` or `16/9` and reduces it.
    pub fn parse(text: &str) -> Result<Ratio, String> {
        let parts = text.trim().split_once([':', '/']).and_then(|(num, den)| {
            FrameRate::reduced(num.trim().parse().ok()?, den.trim().parse().ok()?)
        });
        match parts {
            Some(FrameRate { num, den }) => Ok(Ratio { num, den }),
            None => Err(format!("{text:?} is not a ratio: write 16:9 or 1:1")),
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.num, self.den)
    }
}

quantity_format!(Ratio, "Ratio", r"^[0-9]+:[0-9]+$", "16:9");

/// Greatest common divisor; 1 at least, so that it can divide.
fn gcd(a: u32, b: u32) -> u32 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

/// How the lines of a picture belong to moments in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FieldOrder {
    /// All lines of a frame belong to one moment.
    Progressive,
    /// Two fields, the upper one first.
    #[serde(alias = "tt", alias = "tb")]
    Tff,
    /// Two fields, the lower one first.
    #[serde(alias = "bb", alias = "bt")]
    Bff,
}

impl FieldOrder {
    /// The words used in findings.
    pub fn as_str(self) -> &'static str {
        match self {
            FieldOrder::Progressive => "progressive",
            FieldOrder::Tff => "interlaced tff",
            FieldOrder::Bff => "interlaced bff",
        }
    }
}

/// Which code values carry the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ColorRange {
    /// 16 to 235 for luma in 8 bits, and its equivalents.
    #[serde(alias = "limited")]
    Tv,
    /// All of them.
    #[serde(alias = "full")]
    Pc,
}

impl ColorRange {
    /// The range as ffprobe spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            ColorRange::Tv => "tv",
            ColorRange::Pc => "pc",
        }
    }
}

/// What of a programme its loudness is measured over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LoudnessGate {
    /// All of it but what is quieter than the rest by 10 LU (ITU-R BS.1770-2 and later, EBU R 128).
    #[default]
    Relative,
    /// Speech alone. Telling speech apart needs a licensed meter: the check is then `not_measurable`.
    Dialogue,
}

/// Names of which any one will do, written as a list or as one word.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Names(pub Vec<String>);

impl Names {
    /// Whether no name is given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `name` is one of them, in any case.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Names, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Names;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or a list of names, such as [h264, prores]")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Names, E> {
                Ok(Names(vec![text.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = seq.next_element::<String>()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl JsonSchema for Names {
    fn schema_name() -> Cow<'static, str> {
        "Names".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
    }
}

/// The level below which sound counts as silent and pictures as still: the default of ffmpeg's detectors.
pub(crate) fn noise_floor() -> Decibels {
    Decibels(-60.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_insist_on_their_unit_and_show_an_example() {
        assert_eq!(Decibels::parse("-60dB"), Ok(Decibels(-60.0)));
        assert_eq!(Lufs::parse("-23 LUFS"), Ok(Lufs(-23.0)));
        assert!(Lufs::parse("-23").expect_err("no unit").contains("-23LUFS"));
        assert!(
            TruePeak::parse("-1dB")
                .expect_err("wrong unit")
                .contains("-1dBTP")
        );
        assert!(
            LoudnessUnits::parse("1LUFS")
                .expect_err("wrong unit")
                .contains("1LU")
        );
        assert_eq!(
            TruePeak::parse("-1dBTP").map(|peak| peak.to_string()),
            Ok("-1dBTP".to_owned())
        );
    }

    #[test]
    fn rates_are_compared_as_fractions() {
        let rate = |text| FrameRate::parse(text).expect("valid");
        assert_eq!(rate("29.97"), rate("30000/1001"));
        assert_eq!(rate("25"), rate("50/2"));
        assert_eq!(rate("23.976"), rate("24000/1001"));
        assert_ne!(rate("30"), rate("29.97"));
        assert_eq!(rate("12.5").to_string(), "25/2");
        for wrong in ["0", "25/0", "-25", "fast", "1e99", "99999999999/1"] {
            assert!(FrameRate::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_name_is_a_list_of_one_and_languages_stay_words() {
        let names = |text| protocol::yaml::read::<Names>("f", text);
        assert_eq!(names("h264").map(|n| n.0), Ok(vec!["h264".to_owned()]));
        // A YAML 1.1 reader would take Norwegian for a boolean.
        assert_eq!(names("[de, no, 'on']").map(|n| n.0.len()), Ok(3));
        assert!(names("{a: b}").is_err());
    }

    #[test]
    fn ratios_are_reduced() {
        assert_eq!(Ratio::parse("1920:1080"), Ratio::parse("16:9"));
        assert!(Ratio::parse("16").is_err() && Ratio::parse("0:1").is_err());
    }
}
