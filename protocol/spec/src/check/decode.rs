//! Everything in the file decodes. The exit status of a decoder proves nothing: damage is counted from its log.
use crate::case::{Case, CheckOutcome, round};
use crate::policy::{Check, Scope};
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Everything decodes without an error.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DecodeCheck {
    /// Whether a finding fails the asset.
    pub severity: Severity,
    /// Decoder errors allowed.
    pub errors_max: u32,
}

impl Check for DecodeCheck {
    const SCOPE: Scope = Scope::File;

    fn bare() -> Option<DecodeCheck> {
        Some(DecodeCheck::default())
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let Some(check) = case.limits::<DecodeCheck>() else {
            return CheckOutcome::NotApplicable;
        };
        if !case.role.is_timed_media() {
            return CheckOutcome::NotApplicable;
        }
        let Some(pass) = &case.facts.pass else {
            return CheckOutcome::unknown("it was not decoded");
        };
        let limit = check.errors_max.into();
        if pass.errors > u64::from(check.errors_max) {
            let first: Vec<&str> = pass.messages.iter().take(3).map(String::as_str).collect();
            let message = format!(
                "{} decoder errors, {} allowed; first: {}",
                pass.errors,
                check.errors_max,
                first.join("; ")
            );
            let mut finding = case.finding(pass.errors.into(), limit, "errors", message);
            finding.ranges = pass
                .error_times
                .iter()
                .map(|at| [round(at.start), round(at.end)])
                .collect();
            return CheckOutcome::Judged(vec![finding]);
        }
        if let Some(why) = &pass.broken {
            return CheckOutcome::unknown(why.clone());
        }
        if pass.format_changes {
            let message = "a stream changes its format on the way (size, pixel format or channels)"
                .to_owned();
            return CheckOutcome::Judged(vec![case.finding(
                "format changes".into(),
                "one format".into(),
                "",
                message,
            )]);
        }
        let silent = case.facts.audio.len() > pass.audio.iter().map(|p| p.streams.len()).sum();
        if (case.role.has_picture()
            && case.facts.video.is_some()
            && (pass.video.is_none() || pass.other_video.iter().any(Option::is_none)))
            || silent
        {
            let message = "a stream of it gives not one decoded frame".to_owned();
            return CheckOutcome::Judged(vec![case.finding(0.into(), 1.into(), "frames", message)]);
        }
        CheckOutcome::fine()
    }
}
