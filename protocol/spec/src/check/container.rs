//! The wrapper is one of those allowed.
use crate::case::{Case, CheckOutcome};
use crate::policy::{Check, Scope};
use crate::value::Names;
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The wrapper is one of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainerCheck {
    /// Whether a finding fails the asset.
    #[serde(default)]
    pub severity: Severity,
    /// Names allowed (`mov`, `mp4`, `mxf`, `matroska`, `wav`, …).
    pub any: Names,
}

impl Check for ContainerCheck {
    const SCOPE: Scope = Scope::File;

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let Some(check) = case.limits::<ContainerCheck>() else {
            return CheckOutcome::NotApplicable;
        };
        if !case.role.is_timed_media() {
            return CheckOutcome::NotApplicable;
        }
        let Some(container) = &case.facts.container else {
            return CheckOutcome::unknown("the container is not known");
        };
        if container.names.iter().any(|name| check.any.has(name)) {
            return CheckOutcome::fine();
        }
        let is = container.names.first().map_or("unknown", String::as_str);
        CheckOutcome::Judged(vec![case.differs(
            "the container",
            is,
            &check.any.0.join(" or "),
        )])
    }
}
