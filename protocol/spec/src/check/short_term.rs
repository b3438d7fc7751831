//! Highest short-term loudness, over 3 s (EBU Tech 3341).
use crate::case::{Case, CheckOutcome, outcome, round, rounded};
use crate::facts::AudioPass;
use crate::measure::loudness_curve::Peak;
use crate::needs::{Asked, Needs};
use crate::policy::{Check, Scope};
use crate::value::Lufs;
use protocol::model::qc::{Finding, Severity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Highest short-term loudness, over 3 s (EBU Tech 3341).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShortTermCheck {
    /// Whether a finding fails the asset.
    #[serde(default)]
    pub severity: Severity,
    /// Highest loudness allowed.
    pub max: Lufs,
}

impl Check for ShortTermCheck {
    const SCOPE: Scope = Scope::Sound;

    fn needs(asked: &Asked<'_>, needs: &mut Needs) {
        needs.loudness |= asked.limits::<ShortTermCheck>().is_some();
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let Some(check) = case.limits::<ShortTermCheck>() else {
            return CheckOutcome::NotApplicable;
        };
        outcome(highest(case, "short-term", 3.0, check.max.0, |programme| {
            programme.short_term
        }))
    }
}

/// Programmes whose loudness over a window of `seconds` goes beyond `max`.
pub(super) fn highest(
    case: &Case<'_>,
    name: &str,
    seconds: f64,
    max: f64,
    peak: fn(&AudioPass) -> Option<Peak>,
) -> Result<Vec<Finding>, CheckOutcome> {
    let mut findings = Vec::new();
    for programme in case.measured_audio()? {
        if programme.seconds < seconds {
            return Err(CheckOutcome::unknown(format!(
                "{name} loudness needs {seconds} s of sound, there are {:.2} s",
                programme.seconds
            )));
        }
        let Some(peak) = peak(programme).filter(|peak| peak.value.is_finite()) else {
            return Err(CheckOutcome::unknown(format!(
                "{name} loudness could not be measured: silent, or the meter failed"
            )));
        };
        if peak.value > max + 0.001 {
            let message = format!(
                "{name} loudness reaches {:.1} LUFS at {:.1} s, {max} LUFS is allowed",
                peak.value, peak.at
            );
            let mut finding = case.finding(rounded(peak.value), rounded(max), "LUFS", message);
            // A value is about the window that ends with it.
            finding.ranges = vec![[round((peak.at - seconds).max(0.0)), round(peak.at)]];
            finding.stream = programme.streams.first().copied();
            findings.push(finding);
        }
    }
    Ok(findings)
}
