//! Layout of each sound stream. PCM in MXF and WAV often flags none: then it is what the source declared, or unknown.
use crate::case::{Case, CheckOutcome};
use crate::policy::{Check, Scope};
use crate::value::Names;
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Layout of each sound stream as flagged, or as the source declared it in `channel_layout`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LayoutCheck {
    /// Whether a finding fails the asset.
    #[serde(default)]
    pub severity: Severity,
    /// Layouts allowed, as ffprobe names them (`mono`, `stereo`, `5.1`).
    pub any: Names,
}

impl Check for LayoutCheck {
    const SCOPE: Scope = Scope::File;

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let Some(check) = case.limits::<LayoutCheck>() else {
            return CheckOutcome::NotApplicable;
        };
        if let Err(outcome) = case.sound() {
            return outcome;
        }
        let declared = case
            .media
            .meta
            .get("channel_layout")
            .map(|layout| layout.trim())
            .filter(|layout| !layout.is_empty());
        let mut findings = Vec::new();
        for stream in &case.facts.audio {
            let Some(is) = stream.layout.as_deref().or(declared) else {
                return CheckOutcome::unknown(format!(
                    "stream {} flags no layout: let its source declare it in the column channel_layout",
                    stream.index
                ));
            };
            if !check.any.has(is) {
                let mut finding = case.differs("the channel layout", is, &check.any.0.join(" or "));
                finding.stream = Some(stream.index);
                findings.push(finding);
            }
        }
        CheckOutcome::Judged(findings)
    }
}
