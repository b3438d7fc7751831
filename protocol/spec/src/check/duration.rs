//! Running time against the declared one.
use crate::case::{Case, CheckOutcome, round, rounded};
use crate::policy::{Check, Scope};
use protocol::model::qc::Severity;
use protocol::quantity::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Running time against the declared one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DurationCheck {
    /// Whether a finding fails the asset.
    pub severity: Severity,
    /// Difference allowed; 40 ms is one frame at 25 per second.
    pub tolerance: Span,
}

impl Default for DurationCheck {
    fn default() -> DurationCheck {
        DurationCheck {
            severity: Severity::Mandatory,
            tolerance: Span(Duration::from_millis(40)),
        }
    }
}

impl Check for DurationCheck {
    const SCOPE: Scope = Scope::File;

    fn bare() -> Option<DurationCheck> {
        Some(DurationCheck::default())
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let (Some(check), Some(declared)) = (case.limits::<DurationCheck>(), case.media.duration)
        else {
            // What was not declared cannot differ.
            return CheckOutcome::NotApplicable;
        };
        if !case.role.is_timed_media() {
            return CheckOutcome::NotApplicable;
        }
        let pass = match case.trusted() {
            Ok(pass) => pass,
            Err(outcome) => return outcome,
        };
        let sound_end = pass
            .audio
            .iter()
            .map(|programme| programme.end)
            .fold(None, |most: Option<f64>, end| {
                Some(most.unwrap_or(0.0).max(end))
            });
        let Some(is) = pass
            .video
            .as_ref()
            .filter(|_| case.role.has_picture())
            .map(|picture| picture.end)
            .or(sound_end)
        else {
            return CheckOutcome::unknown("nothing could be decoded");
        };
        let tolerance = check.tolerance.0.as_secs_f64();
        if (is - declared).abs() <= tolerance + 0.001 {
            return CheckOutcome::fine();
        }
        let message = format!(
            "it lasts {is:.2} s, its source declared {declared:.2} s ({tolerance:.2} s may differ)"
        );
        let mut finding = case.finding(rounded(is), rounded(declared), "s", message);
        let (from, to) = if is < declared {
            (is, declared)
        } else {
            (declared, is)
        };
        finding.ranges = vec![[round(from), round(to)]];
        CheckOutcome::Judged(vec![finding])
    }
}
