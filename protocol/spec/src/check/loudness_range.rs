//! Loudness range (EBU Tech 3342).
use crate::case::{Case, CheckOutcome, outcome, rounded};
use crate::needs::{Asked, Needs};
use crate::policy::{Check, Scope};
use crate::value::LoudnessUnits;
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Loudness range (EBU Tech 3342).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoudnessRangeCheck {
    /// Whether a finding fails the asset.
    #[serde(default)]
    pub severity: Severity,
    /// Widest range allowed.
    pub max: LoudnessUnits,
}

impl Check for LoudnessRangeCheck {
    const SCOPE: Scope = Scope::Sound;

    fn needs(asked: &Asked<'_>, needs: &mut Needs) {
        needs.loudness |= asked.limits::<LoudnessRangeCheck>().is_some();
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let Some(check) = case.limits::<LoudnessRangeCheck>() else {
            return CheckOutcome::NotApplicable;
        };
        let max = check.max.0;
        outcome(case.measured_audio().and_then(|programmes| {
            let mut findings = Vec::new();
            for programme in programmes {
                let Some(is) = programme.loudness_range.filter(|range| range.is_finite()) else {
                    return Err(CheckOutcome::unknown(
                        "the loudness range could not be measured: too short, silent, or the meter failed",
                    ));
                };
                if is > max + 0.001 {
                    let message = format!("the loudness range is {is:.1} LU, {max} LU is allowed");
                    let mut finding = case.finding(rounded(is), rounded(max), "LU", message);
                    finding.stream = programme.streams.first().copied();
                    findings.push(finding);
                }
            }
            Ok(findings)
        }))
    }
}
