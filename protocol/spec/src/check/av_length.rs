//! Picture and sound end together.
use crate::case::{Case, CheckOutcome, round, rounded};
use crate::policy::{Check, Scope};
use protocol::model::qc::Severity;
use protocol::quantity::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Picture and sound last equally long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AvLengthCheck {
    /// Whether a finding fails the asset.
    pub severity: Severity,
    /// Largest difference allowed between the ends of picture and sound.
    pub tolerance: Span,
}

impl Default for AvLengthCheck {
    fn default() -> AvLengthCheck {
        AvLengthCheck {
            severity: Severity::Mandatory,
            tolerance: Span(Duration::from_millis(200)),
        }
    }
}

impl Check for AvLengthCheck {
    const SCOPE: Scope = Scope::Sound;

    fn bare() -> Option<AvLengthCheck> {
        Some(AvLengthCheck::default())
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let Some(check) = case.limits::<AvLengthCheck>() else {
            return CheckOutcome::NotApplicable;
        };
        if !case.role.has_picture() || case.facts.video.is_none() || case.facts.audio.is_empty() {
            // With one of them alone there is nothing to compare; that it is missing is another check's finding.
            return CheckOutcome::NotApplicable;
        }
        let (picture, programmes) = match case
            .measured_picture()
            .and_then(|picture| Ok((picture, case.measured_audio()?)))
        {
            Ok(both) => both,
            Err(outcome) => return outcome,
        };
        let tolerance = check.tolerance.0.as_secs_f64();
        let mut findings = Vec::new();
        for programme in programmes {
            let difference = (programme.end - picture.end).abs();
            if difference <= tolerance + 0.001 {
                continue;
            }
            let message = format!(
                "sound ends at {:.2} s and picture at {:.2} s: {difference:.2} s apart, {tolerance:.2} s allowed",
                programme.end, picture.end
            );
            let mut finding = case.finding(rounded(difference), rounded(tolerance), "s", message);
            finding.ranges = vec![[
                round(programme.end.min(picture.end)),
                round(programme.end.max(picture.end)),
            ]];
            finding.stream = programme.streams.first().copied();
            findings.push(finding);
        }
        CheckOutcome::Judged(findings)
    }
}
