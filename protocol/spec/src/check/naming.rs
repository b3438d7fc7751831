//! The file name follows a pattern.
use crate::case::{Case, CheckOutcome};
use crate::policy::{Check, Scope};
use protocol::model::qc::Severity;
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The file name follows a pattern.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamingCheck {
    /// Whether a finding fails the asset.
    #[serde(default)]
    pub severity: Severity,
    /// Regular expression the whole name must match.
    pub pattern: String,
}

impl Check for NamingCheck {
    const SCOPE: Scope = Scope::File;

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let Some(check) = case.limits::<NamingCheck>() else {
            return CheckOutcome::NotApplicable;
        };
        let pattern = match Regex::new(&format!("^(?:{})$", check.pattern)) {
            Ok(pattern) => pattern,
            Err(error) => {
                return CheckOutcome::unknown(format!(
                    "the pattern is not a regular expression: {error}"
                ));
            }
        };
        let name = case.media.name();
        if pattern.is_match(name) {
            return CheckOutcome::fine();
        }
        let message = format!("the name {name} does not match {}", check.pattern);
        CheckOutcome::Judged(vec![case.finding(
            name.into(),
            check.pattern.as_str().into(),
            "",
            message,
        )])
    }
}
