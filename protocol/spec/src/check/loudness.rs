//! Integrated programme loudness (EBU R 128).
use crate::case::{Case, CheckOutcome, outcome, rounded};
use crate::needs::{Asked, Needs};
use crate::policy::{Check, Scope};
use crate::value::{LoudnessGate, LoudnessUnits, Lufs};
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Integrated programme loudness (EBU R 128).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoudnessCheck {
    /// Whether a finding fails the asset.
    #[serde(default)]
    pub severity: Severity,
    /// Integrated loudness that the programme must have, in LUFS.
    pub target: Lufs,
    /// Difference allowed; R 128 allows 1 LU where exact normalisation is not practical.
    #[serde(default = "tolerance")]
    pub tolerance: LoudnessUnits,
    /// What of the programme counts.
    #[serde(default)]
    pub gate: LoudnessGate,
}

impl Check for LoudnessCheck {
    const SCOPE: Scope = Scope::Sound;

    fn needs(asked: &Asked<'_>, needs: &mut Needs) {
        needs.loudness |= asked.limits::<LoudnessCheck>().is_some();
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let Some(check) = case.limits::<LoudnessCheck>() else {
            return CheckOutcome::NotApplicable;
        };
        let (target, tolerance) = (check.target.0, check.tolerance.0);
        if check.gate == LoudnessGate::Dialogue {
            return CheckOutcome::unknown(
                "not_measurable: telling speech apart needs a licensed meter",
            );
        }
        outcome(case.measured_audio().and_then(|programmes| {
            let mut findings = Vec::new();
            for programme in programmes {
                // A comparison with a number that is none is always false: it would pass.
                let Some(is) = programme.loudness.filter(|level| level.is_finite()) else {
                    return Err(CheckOutcome::unknown(
                        "loudness could not be measured: too short, silent, or the meter failed",
                    ));
                };
                if (is - target).abs() > tolerance + 0.001 {
                    let message = format!(
                        "loudness is {is:.1} LUFS, {target} LUFS ± {tolerance} LU is demanded"
                    );
                    let mut finding = case.finding(rounded(is), rounded(target), "LUFS", message);
                    finding.stream = programme.streams.first().copied();
                    findings.push(finding);
                }
            }
            Ok(findings)
        }))
    }
}

fn tolerance() -> LoudnessUnits {
    LoudnessUnits(1.0)
}
