//! Highest momentary loudness, over 400 ms (EBU Tech 3341).
use crate::case::{Case, CheckOutcome, outcome};
use crate::check::short_term;
use crate::needs::{Asked, Needs};
use crate::policy::{Check, Scope};
use crate::value::Lufs;
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Highest momentary loudness, over 400 ms (EBU Tech 3341).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MomentaryCheck {
    /// Whether a finding fails the asset.
    #[serde(default)]
    pub severity: Severity,
    /// Highest loudness allowed.
    pub max: Lufs,
}

impl Check for MomentaryCheck {
    const SCOPE: Scope = Scope::Sound;

    fn needs(asked: &Asked<'_>, needs: &mut Needs) {
        needs.loudness |= asked.limits::<MomentaryCheck>().is_some();
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let Some(check) = case.limits::<MomentaryCheck>() else {
            return CheckOutcome::NotApplicable;
        };
        outcome(short_term::highest(
            case,
            "momentary",
            0.4,
            check.max.0,
            |programme| programme.momentary,
        ))
    }
}
