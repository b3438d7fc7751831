//! Whether MediaConch finds the file conformant to the spec's MediaConch policy.
use crate::case::{Case, CheckOutcome};
use crate::needs::{Asked, Needs};
use crate::policy::{Check, Scope};
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether MediaConch finds the file conformant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MediaConchCheck {
    /// Whether a finding fails the asset.
    #[serde(default)]
    pub severity: Severity,
    /// The MediaConch policy: its XML, not a path.
    pub policy: String,
}

impl Check for MediaConchCheck {
    const SCOPE: Scope = Scope::File;

    fn needs(asked: &Asked<'_>, needs: &mut Needs) {
        needs.mediaconch = asked
            .limits::<MediaConchCheck>()
            .map(|limits| limits.policy.clone());
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let Some(check) = case.limits::<MediaConchCheck>() else {
            return CheckOutcome::NotApplicable;
        };
        if !case.role.is_timed_media() {
            return CheckOutcome::NotApplicable;
        }
        let answer = case
            .facts
            .mediaconch
            .as_ref()
            .filter(|answer| answer.policy == check.policy);
        let Some(answer) = answer else {
            return CheckOutcome::unknown("MediaConch was not asked");
        };
        if let Some(why) = &answer.trouble {
            return CheckOutcome::unknown(format!("MediaConch: {why}"));
        }
        if answer.failed.is_empty() {
            return CheckOutcome::fine();
        }
        let message = format!(
            "not conformant to the MediaConch policy: {}",
            answer.failed.join("; ")
        );
        CheckOutcome::Judged(vec![case.finding(
            answer.failed.len().into(),
            0.into(),
            "rules",
            message,
        )])
    }
}
