//! Range, matrix, primaries and transfer as flagged; pixel format and bit depth.
use crate::case::{Case, CheckOutcome};
use crate::facts::VideoStream;
use crate::policy::{Check, Scope};
use crate::value::{ColorRange, Names};
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Range, matrix, primaries and transfer as flagged; pixel format and bit depth.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ColorCheck {
    /// Whether a finding fails the asset.
    pub severity: Severity,
    /// Range where the component names none.
    pub range: Option<ColorRange>,
    /// Matrix where the component names none.
    pub matrix: Names,
    /// Primaries where the component names none.
    pub primaries: Names,
    /// Transfer where the component names none.
    pub transfer: Names,
}

impl Check for ColorCheck {
    const SCOPE: Scope = Scope::Picture;

    fn bare() -> Option<ColorCheck> {
        Some(ColorCheck::default())
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let wanted = wanted(case);
        if wanted.is_empty() {
            return CheckOutcome::NotApplicable;
        }
        if let Err(outcome) = case.picture() {
            return outcome;
        }
        let mut findings = Vec::new();
        let mut missing = Vec::new();
        for (what, is, want) in wanted {
            match is {
                Some(is) if want.has(&is) => {}
                Some(is) => findings.push(case.differs(what, &is, &want.0.join(" or "))),
                // Not flagged is unknown, which is neither right nor wrong.
                None => missing.push(what),
            }
        }
        if findings.is_empty() && !missing.is_empty() {
            return CheckOutcome::unknown(format!("the file does not flag {}", missing.join(", ")));
        }
        CheckOutcome::Judged(findings)
    }
}

/// Properties of the picture that a role or the check demands: name, value of the file, accepted values.
fn wanted(case: &Case<'_>) -> Vec<(&'static str, Option<String>, Names)> {
    let format = case.component.and_then(|c| c.video.as_ref());
    let check = case.limits::<ColorCheck>();
    let names = |of_role: Option<&Names>, of_check: Option<&Names>| {
        of_role
            .filter(|n| !n.is_empty())
            .or(of_check.filter(|n| !n.is_empty()))
            .cloned()
    };
    let range = format.and_then(|f| f.range).or(check.and_then(|c| c.range));
    [
        (
            "the range",
            case.facts.video.as_ref().and_then(range_of),
            range.map(|r| Names(vec![r.as_str().to_owned()])),
        ),
        (
            "the matrix",
            flag(case, |v| &v.matrix),
            names(format.map(|f| &f.matrix), check.map(|c| &c.matrix)),
        ),
        (
            "the primaries",
            flag(case, |v| &v.primaries),
            names(format.map(|f| &f.primaries), check.map(|c| &c.primaries)),
        ),
        (
            "the transfer",
            flag(case, |v| &v.transfer),
            names(format.map(|f| &f.transfer), check.map(|c| &c.transfer)),
        ),
        (
            "the pixel format",
            flag(case, |v| &v.pix_fmt),
            names(format.map(|f| &f.pix_fmt), None),
        ),
        (
            "the bit depth",
            case.facts
                .video
                .as_ref()
                .and_then(VideoStream::bit_depth)
                .map(|d| d.to_string()),
            format
                .and_then(|f| f.bit_depth)
                .map(|d| Names(vec![d.to_string()])),
        ),
    ]
    .into_iter()
    .filter_map(|(what, is, want)| Some((what, is, want?)))
    .collect()
}

fn flag(case: &Case<'_>, of: fn(&VideoStream) -> &Option<String>) -> Option<String> {
    case.facts
        .video
        .as_ref()
        .and_then(|video| of(video).clone())
}

/// The range, which codec standards define also when it is not flagged: luma and chroma are limited (H.264 E.2.1, H.265 E.3.1:
/// video_full_range_flag is inferred to be 0), RGB and ffmpeg's own `yuvj` are full.
fn range_of(video: &VideoStream) -> Option<String> {
    let format = video.pix_fmt.as_deref().unwrap_or_default();
    let implied =
        if format.starts_with("yuvj") || format.starts_with("rgb") || format.starts_with("gbr") {
            Some("pc")
        } else if format.starts_with("yuv") {
            Some("tv")
        } else {
            None
        };
    video.range.clone().or(implied.map(str::to_owned))
}
