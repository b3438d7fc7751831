//! Left against right: in phase, as stereo has to be.
use crate::case::{Case, CheckOutcome, longer_than, outcome};
use crate::needs::{Asked, Needs, shortest};
use crate::policy::{Check, Scope};
use protocol::model::qc::Severity;
use protocol::quantity::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Left against right: in phase, as stereo has to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PhaseCheck {
    /// Whether a finding fails the asset.
    pub severity: Severity,
    /// Longest stretch out of phase allowed.
    pub longest: Span,
}

impl Default for PhaseCheck {
    fn default() -> PhaseCheck {
        PhaseCheck {
            severity: Severity::Mandatory,
            longest: Span(Duration::from_secs(2)),
        }
    }
}

impl Check for PhaseCheck {
    const SCOPE: Scope = Scope::Sound;

    fn bare() -> Option<PhaseCheck> {
        Some(PhaseCheck::default())
    }

    fn needs(asked: &Asked<'_>, needs: &mut Needs) {
        needs.phase = asked
            .limits::<PhaseCheck>()
            .map(|limits| shortest(limits.longest));
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let Some(check) = case.limits::<PhaseCheck>() else {
            return CheckOutcome::NotApplicable;
        };
        let longest = check.longest.0.as_secs_f64();
        outcome(case.measured_audio().and_then(|programmes| {
            let mut findings = Vec::new();
            for programme in programmes
                .iter()
                .filter(|programme| programme.channels >= 2)
            {
                let Some(stretches) = &programme.out_of_phase else {
                    return Err(CheckOutcome::unknown("phase could not be measured"));
                };
                let found = longer_than(stretches, longest);
                if !found.is_empty() {
                    let mut finding =
                        case.too_long("left and right cancel each other from", &found, longest);
                    finding.stream = programme.streams.first().copied();
                    findings.push(finding);
                }
            }
            Ok(findings)
        }))
    }
}
