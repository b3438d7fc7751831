//! The file ends where its structure declares its end.
use crate::case::{Case, CheckOutcome};
use crate::check::decode::DecodeCheck;
use crate::facts::Structure;
use crate::policy::{Check, Scope};
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Share of the container's own duration that must be decodable.
const SHARE_MIN: f64 = 0.9;

/// The file does not end before its own structure says. Part of `decode` too.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TruncatedCheck {
    /// Whether a finding fails the asset.
    pub severity: Severity,
}

impl Check for TruncatedCheck {
    const SCOPE: Scope = Scope::File;

    fn bare() -> Option<TruncatedCheck> {
        Some(TruncatedCheck::default())
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        // A file that ends early does not decode to its end, so asking for the one asks for the other.
        let (own, decode) = (
            case.limits::<TruncatedCheck>(),
            case.limits::<DecodeCheck>(),
        );
        if !case.role.is_timed_media() || (own.is_none() && decode.is_none()) {
            return CheckOutcome::NotApplicable;
        }
        let severity = own
            .map(|check| check.severity)
            .or(decode.map(|check| check.severity))
            .unwrap_or_default();
        let why = match &case.facts.structure {
            // The boxes can be whole while their header claims hours that are not there. A failed decode proves neither.
            Structure::Whole => match too_short(case) {
                Ok(Some(why)) => why,
                Ok(None) | Err(_) => return CheckOutcome::fine(),
            },
            Structure::Truncated(why) => why.clone(),
            Structure::Unknown => match too_short(case) {
                Ok(None) => return CheckOutcome::fine(),
                Ok(Some(why)) => why,
                Err(outcome) => return outcome,
            },
        };
        // The demuxer reported samples that its index lists and the file lacks: `decode` reports that loss, once.
        let reported = case.facts.pass.as_ref().is_some_and(|pass| {
            pass.missing_bytes && decode.is_some_and(|d| pass.errors > u64::from(d.errors_max))
        });
        if reported {
            return CheckOutcome::fine();
        }
        let message = format!("the file is cut short: {why}");
        let mut finding = case.finding("cut short".into(), "whole".into(), "", message);
        finding.severity = severity;
        CheckOutcome::Judged(vec![finding])
    }
}

/// Compares the decoded length with the declared one.
fn too_short(case: &Case<'_>) -> Result<Option<String>, CheckOutcome> {
    let pass = case.trusted()?;
    let Some(declared) = case.facts.container.as_ref().and_then(|c| c.duration) else {
        return Err(CheckOutcome::unknown(
            "its format says nothing about where it ends",
        ));
    };
    let ends = pass
        .video
        .iter()
        .map(|v| v.end)
        .chain(pass.audio.iter().map(|a| a.end));
    let is = ends.fold(0.0, f64::max);
    Ok((is < declared * SHARE_MIN)
        .then(|| format!("{is:.2} s could be decoded and the container says {declared:.2} s")))
}
