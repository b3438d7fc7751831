//! Subtitle and caption files: well formed, in order, within the programme.
use crate::case::{Case, CheckOutcome, round, rounded};
use crate::policy::{Check, Scope};
use protocol::media::asset::Role;
use protocol::model::qc::Severity;
use protocol::quantity::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Subtitle and caption files: well formed, in order, within the programme.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CaptionsCheck {
    /// Whether a finding fails the asset.
    pub severity: Severity,
    /// How far a cue may reach past the declared end.
    pub tolerance: Span,
}

impl Default for CaptionsCheck {
    fn default() -> CaptionsCheck {
        CaptionsCheck {
            severity: Severity::Mandatory,
            tolerance: Span(Duration::from_secs(1)),
        }
    }
}

impl Check for CaptionsCheck {
    const SCOPE: Scope = Scope::File;

    fn bare() -> Option<CaptionsCheck> {
        Some(CaptionsCheck::default())
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        // Made for every text asset, asked for or not: it is the only check that looks into them.
        if !matches!(case.role, Role::Subtitle | Role::Caption) {
            return CheckOutcome::NotApplicable;
        }
        let Some(text) = &case.facts.text else {
            return CheckOutcome::unknown("the text could not be read");
        };
        let mut findings = Vec::new();
        if !text.problems.is_empty() {
            let message = format!(
                "the {} file is not in order: {}",
                text.format,
                text.problems.join("; ")
            );
            findings.push(case.finding(text.problems.len().into(), 0.into(), "problems", message));
        }
        let tolerance = case
            .limits::<CaptionsCheck>()
            .cloned()
            .unwrap_or_default()
            .tolerance
            .0
            .as_secs_f64();
        if let Some(declared) = case
            .media
            .duration
            .filter(|declared| text.end > declared + tolerance)
        {
            let message = format!(
                "the last cue ends at {:.2} s and the programme at {declared:.2} s",
                text.end
            );
            let mut finding = case.finding(rounded(text.end), rounded(declared), "s", message);
            finding.ranges = vec![[round(declared), round(text.end)]];
            findings.push(finding);
        }
        CheckOutcome::Judged(findings)
    }
}
