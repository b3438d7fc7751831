//! Highest true peak (ITU-R BS.1770).
use crate::case::{Case, CheckOutcome, outcome, rounded};
use crate::needs::{Asked, Needs};
use crate::policy::{Check, Scope};
use crate::value::TruePeak;
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Highest true peak (ITU-R BS.1770).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TruePeakCheck {
    /// Whether a finding fails the asset.
    #[serde(default)]
    pub severity: Severity,
    /// Highest peak allowed.
    pub max: TruePeak,
}

impl Check for TruePeakCheck {
    const SCOPE: Scope = Scope::Sound;

    fn needs(asked: &Asked<'_>, needs: &mut Needs) {
        needs.loudness |= asked.limits::<TruePeakCheck>().is_some();
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let Some(check) = case.limits::<TruePeakCheck>() else {
            return CheckOutcome::NotApplicable;
        };
        let max = check.max.0;
        outcome(case.measured_audio().and_then(|programmes| {
            let mut findings = Vec::new();
            for programme in programmes {
                // A comparison with a number that is none is always false: it would pass.
                let Some(is) = programme.true_peak.filter(|level| level.is_finite()) else {
                    return Err(CheckOutcome::unknown(
                        "the true peak could not be measured: silent, or the meter failed",
                    ));
                };
                if is > max + 0.001 {
                    let message = format!("the true peak is {is:.1} dBTP, {max} dBTP is allowed");
                    let mut finding = case.finding(rounded(is), rounded(max), "dBTP", message);
                    finding.stream = programme.streams.first().copied();
                    findings.push(finding);
                }
            }
            Ok(findings)
        }))
    }
}
