//! Frames per second, demanded or declared, and whether they are constant.
use crate::case::{Case, CheckOutcome};
use crate::policy::{Check, Scope};
use crate::value::FrameRate;
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rates closer than this are one rate: wrappers write 30000/1001 as 2997/100.
const SAME: f64 = 1e-5;
/// Seconds frames may differ in length: time stamps in milliseconds make every rate wobble by one.
const JITTER_MAX: f64 = 0.002;

/// Rate of the component or the declared one, and constant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FrameRateCheck {
    /// Whether a finding fails the asset.
    pub severity: Severity,
    /// Rate where the component names none.
    pub is: Option<FrameRate>,
    /// Whether every frame must last as long as the others.
    pub constant: bool,
}

impl Default for FrameRateCheck {
    fn default() -> FrameRateCheck {
        FrameRateCheck {
            severity: Severity::Mandatory,
            is: None,
            constant: true,
        }
    }
}

impl Check for FrameRateCheck {
    const SCOPE: Scope = Scope::Picture;

    fn bare() -> Option<FrameRateCheck> {
        Some(FrameRateCheck::default())
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let check = case.limits::<FrameRateCheck>();
        let demanded = case
            .component
            .and_then(|c| c.video.as_ref()?.frame_rate)
            .or(check.and_then(|c| c.is));
        let declared = case.media.declared_rate();
        let constant = check.map_or(demanded.is_some(), |c| c.constant);
        if demanded.is_none() && check.is_none() && declared == Ok(None) {
            return CheckOutcome::NotApplicable;
        }
        let video = match case.picture() {
            Ok(video) => video,
            Err(outcome) => return outcome,
        };
        let Some(is) = video.rate() else {
            return CheckOutcome::unknown("the frame rate is not known");
        };
        let mut findings = Vec::new();
        let differs = |want: FrameRate| (want.per_second() / is.per_second() - 1.0).abs() > SAME;
        let finding = |want: String, message: String| {
            case.finding(is.to_string().into(), want.into(), "fps", message)
        };
        if constant {
            match varies(case) {
                Ok(true) => findings.push(case.finding(
                    "variable".into(),
                    "constant".into(),
                    "",
                    format!("frames are not equally long (on average {is} a second); a constant rate is demanded"),
                )),
                Ok(false) => {}
                Err(outcome) => return outcome,
            }
        }
        if let Some(want) = demanded.filter(|want| differs(*want) && findings.is_empty()) {
            findings.push(finding(
                want.to_string(),
                format!("the frame rate is {is}, {want} is demanded"),
            ));
        }
        match declared {
            Err(text) => {
                return CheckOutcome::unknown(format!(
                    "the declared frame rate {text:?} is not one: write 25 or 30000/1001"
                ));
            }
            Ok(Some(want)) if differs(want) && findings.is_empty() => {
                findings.push(finding(
                    want.to_string(),
                    format!("the frame rate is {is}, its source declared {want}"),
                ));
            }
            Ok(_) => {}
        }
        CheckOutcome::Judged(findings)
    }
}

/// Whether frames differ in length. Damage loses frames, so in a damaged file only the container's own word counts.
fn varies(case: &Case<'_>) -> Result<bool, CheckOutcome> {
    let video = case.picture()?;
    let pass = case.trusted()?;
    if let Some(picture) = pass.video.as_ref().filter(|_| pass.errors == 0) {
        return Ok(picture.odd_frames > 0 && picture.jitter > JITTER_MAX);
    }
    let (Some(base), Some(average)) = (video.base_rate, video.average_rate) else {
        return Err(CheckOutcome::unknown(
            "whether the rate is constant is not known",
        ));
    };
    // Twice the rate is a count of fields.
    let ratio = base.per_second() / average.per_second();
    Ok((ratio - 1.0).abs() > 0.01 && (ratio - 2.0).abs() > 0.02)
}
