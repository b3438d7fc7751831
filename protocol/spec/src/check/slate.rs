//! Slates and their text. Reading them is a person's work: a spec may name them, and the answer is always the same.
use crate::case::{Case, CheckOutcome};
use crate::policy::{Check, Scope};
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Slates and their text. No machine here can read them: always `not_measurable`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SlateCheck {
    /// Whether a finding fails the asset.
    pub severity: Severity,
}

impl Check for SlateCheck {
    const SCOPE: Scope = Scope::File;

    fn bare() -> Option<SlateCheck> {
        Some(SlateCheck::default())
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        if case.limits::<SlateCheck>().is_none() || !case.role.has_picture() {
            return CheckOutcome::NotApplicable;
        }
        CheckOutcome::unknown(
            "not_measurable: no machine here reads slates; a person has to look and waive it",
        )
    }
}
