//! Start timecode and drop-frame flag, as the container carries them.
use crate::case::{Case, CheckOutcome, outcome};
use crate::needs::{Asked, Needs};
use crate::policy::{Check, Scope};
use crate::value::FrameRate;
use protocol::model::qc::Severity;
use protocol::quantity_format;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// The start timecode and whether it counts drop-frame; a file without a timecode is `not_measured`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TimecodeCheck {
    /// Whether a finding fails the asset.
    pub severity: Severity,
    /// Timecode of the first frame; `;` before the frames demands drop-frame, `:` demands non-drop-frame.
    pub start: Option<Timecode>,
    /// Whether frame numbers are dropped, where `start` does not say so.
    pub drop_frame: Option<bool>,
}

impl Check for TimecodeCheck {
    const SCOPE: Scope = Scope::File;

    fn bare() -> Option<TimecodeCheck> {
        Some(TimecodeCheck::default())
    }

    fn needs(asked: &Asked<'_>, needs: &mut Needs) {
        // Fact sheets of earlier versions hold no timecode: they are measured again.
        if asked.limits::<TimecodeCheck>().is_some() {
            needs.measures.insert("timecode".to_owned(), true.into());
        }
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let Some(limits) = case.limits::<TimecodeCheck>() else {
            return CheckOutcome::NotApplicable;
        };
        outcome(case.picture().and_then(|video| {
            // The material package of an MXF file speaks for the file; QuickTime carries its timecode with the picture.
            let container = case.facts.container.as_ref().and_then(|container| container.timecode.as_deref());
            let Some(text) = container.or(video.timecode.as_deref()) else {
                return Err(CheckOutcome::unknown("the file carries no start timecode"));
            };
            let is = Timecode::parse(text).map_err(|_| {
                CheckOutcome::unknown(format!("the start timecode {text:?} of the file is not a timecode"))
            })?;
            let mut findings = Vec::new();
            if let Some(want) = limits.start.filter(|want| *want != is) {
                findings.push(case.differs("the start timecode", &is.to_string(), &want.to_string()));
            }
            if let (None, Some(want)) = (limits.start, limits.drop_frame.filter(|want| *want != is.drop_frame)) {
                findings.push(case.differs("the timecode", counting(is.drop_frame), counting(want)));
            }
            if let Some(rate) = video.rate().filter(|rate| is.drop_frame && !drops_frames(*rate)) {
                let message =
                    format!("the timecode {is} is drop-frame, which only 29.97 and 59.94 fps have; the rate is {rate}");
                findings.push(case.finding(rate.to_string().into(), "30000/1001 or 60000/1001".into(), "fps", message));
            }
            Ok(findings)
        }))
    }
}

fn counting(drop_frame: bool) -> &'static str {
    if drop_frame {
        "drop-frame"
    } else {
        "non-drop-frame"
    }
}

/// Whether SMPTE ST 12-1 defines drop-frame counting for a rate. Some containers round the rate.
fn drops_frames(rate: FrameRate) -> bool {
    [30_000.0 / 1001.0, 60_000.0 / 1001.0]
        .iter()
        .any(|ntsc| (rate.per_second() / ntsc - 1.0).abs() < 1e-4)
}

/// A timecode (SMPTE ST 12-1): `10:00:00:00`, or `01:00:00;00` when frame numbers are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timecode {
    /// Hours, minutes, seconds and frames.
    pub fields: [u8; 4],
    /// Whether frame numbers are dropped.
    pub drop_frame: bool,
}

impl Timecode {
    /// Reads `10:00:00:00` or `01:00:00;00`.
    pub fn parse(text: &str) -> Result<Timecode, String> {
        let wrong = || {
            format!("{text:?} is not a timecode: write 10:00:00:00, or 01:00:00;00 for drop-frame")
        };
        let (clock, frames, drop_frame) = match text.trim().rsplit_once([';', '.']) {
            Some((clock, frames)) => (clock, frames, true),
            None => text
                .trim()
                .rsplit_once(':')
                .map(|(clock, frames)| (clock, frames, false))
                .ok_or_else(wrong)?,
        };
        let two_digits = |text: &str| {
            text.parse::<u8>()
                .ok()
                .filter(|_| text.len() == 2 && !text.starts_with('+'))
        };
        let mut fields: Vec<u8> = clock
            .split(':')
            .map(two_digits)
            .collect::<Option<_>>()
            .ok_or_else(wrong)?;
        fields.push(two_digits(frames).ok_or_else(wrong)?);
        let fields: [u8; 4] = fields.try_into().map_err(|_| wrong())?;
        // 60 frames a second are the most that a timecode counts; beyond, it counts pairs.
        let in_range = fields
            .iter()
            .zip([24, 60, 60, 60])
            .all(|(field, end)| *field < end);
        in_range
            .then_some(Timecode { fields, drop_frame })
            .ok_or_else(wrong)
    }
}

impl fmt::Display for Timecode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [hours, minutes, seconds, frames] = self.fields;
        let separator = if self.drop_frame { ';' } else { ':' };
        write!(
            f,
            "{hours:02}:{minutes:02}:{seconds:02}{separator}{frames:02}"
        )
    }
}

quantity_format!(
    Timecode,
    "Timecode",
    r"^[0-9]{2}:[0-9]{2}:[0-9]{2}[:;.][0-9]{2}$",
    "10:00:00:00"
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Container, FactSheet, VideoStream};
    use crate::{DeliverySpec, MediaUnderTest, judge};
    use protocol::media::asset::Role;
    use protocol::model::qc::{Report, Verdict};

    fn judged(
        limits: &str,
        rate: (u32, u32),
        container: Option<&str>,
        picture: Option<&str>,
    ) -> Report {
        let spec: DeliverySpec = protocol::yaml::read(
            "s.yaml",
            &format!("spec: s\nqc: {{ timecode: {{ {limits} }} }}\n"),
        )
        .unwrap_or_else(|problem| panic!("{problem}"));
        let base_rate = FrameRate::reduced(rate.0, rate.1);
        let video = VideoStream {
            base_rate,
            timecode: picture.map(str::to_owned),
            ..VideoStream::default()
        };
        let container = Container {
            timecode: container.map(str::to_owned),
            ..Container::default()
        };
        let facts = FactSheet {
            container: Some(container),
            video: Some(video),
            ..FactSheet::default()
        };
        judge(&facts, &spec, &MediaUnderTest::default(), Role::Master)
    }

    #[test]
    fn start_timecode_is_compared_with_its_counting() {
        let pal = |limits, code| judged(limits, (25, 1), None, Some(code)).verdict;
        assert_eq!(pal("start: '10:00:00:00'", "10:00:00:00"), Verdict::Pass);
        assert_eq!(pal("", "09:59:30:00"), Verdict::Pass);
        assert_eq!(pal("start: '10:00:00:00'", "09:59:30:00"), Verdict::Fail);
        assert_eq!(pal("drop_frame: true", "10:00:00:00"), Verdict::Fail);
        let ntsc = |limits, code| judged(limits, (30_000, 1001), Some(code), None).verdict;
        assert_eq!(ntsc("start: '01:00:00;00'", "01:00:00;00"), Verdict::Pass);
        assert_eq!(ntsc("start: '01:00:00;00'", "01:00:00:00"), Verdict::Fail);
        assert_eq!(ntsc("drop_frame: true", "00:58:30;00"), Verdict::Pass);
        assert_eq!(ntsc("drop_frame: false", "00:58:30;00"), Verdict::Fail);
    }

    #[test]
    fn drop_frame_counting_needs_a_rate_that_drops_frames() {
        for (rate, verdict) in [
            ((30_000, 1001), Verdict::Pass),
            ((60_000, 1001), Verdict::Pass),
            ((2997, 100), Verdict::Pass),
            ((24_000, 1001), Verdict::Fail),
            ((25, 1), Verdict::Fail),
            ((30, 1), Verdict::Fail),
        ] {
            assert_eq!(
                judged("", rate, None, Some("01:00:00;02")).verdict,
                verdict,
                "{rate:?}"
            );
        }
    }

    #[test]
    fn missing_or_malformed_timecode_is_not_measured() {
        for code in [
            None,
            Some("10:00"),
            Some("25:00:00:00"),
            Some("aa:bb:cc:dd"),
            Some(""),
        ] {
            let report = judged("", (25, 1), code, None);
            assert_eq!(
                (report.verdict, report.not_measured.len()),
                (Verdict::ToolError, 1),
                "{code:?}"
            );
        }
        // The container speaks for the file.
        let report = judged(
            "start: '10:00:00:00'",
            (25, 1),
            Some("10:00:00:00"),
            Some("00:00:00:00"),
        );
        assert_eq!(report.verdict, Verdict::Pass, "{report:?}");
    }

    #[test]
    fn written_timecode_reads_back() {
        for text in ["10:00:00:00", "01:00:00;29"] {
            assert_eq!(
                Timecode::parse(text).map(|code| code.to_string()),
                Ok(text.to_owned())
            );
        }
        for wrong in [
            "1:00:00:00",
            "10:00:00:60",
            "10:60:00:00",
            "10:00:00",
            "+1:00:00:00",
            "10:00:00:00:00",
        ] {
            assert!(Timecode::parse(wrong).is_err(), "{wrong}");
        }
    }
}
