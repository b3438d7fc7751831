//! The mean of each channel, which should be zero: an offset costs headroom and clicks at every edit.
use crate::case::{Case, CheckOutcome};
use crate::policy::{Check, Scope};
use protocol::model::qc::Severity;
use protocol::quantity::Share;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Mean of a channel, which should be zero.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DcOffsetCheck {
    /// Whether a finding fails the asset.
    #[serde(default)]
    pub severity: Severity,
    /// Largest mean allowed, as a share of full scale.
    pub max: Share,
}

impl Check for DcOffsetCheck {
    const SCOPE: Scope = Scope::Sound;

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let Some(check) = case.limits::<DcOffsetCheck>() else {
            return CheckOutcome::NotApplicable;
        };
        let max = check.max.0;
        let programmes = match case.measured_audio() {
            Ok(programmes) => programmes,
            Err(outcome) => return outcome,
        };
        let mut findings = Vec::new();
        for programme in programmes {
            let offsets = programme
                .dc_offset
                .as_ref()
                .filter(|offsets| !offsets.is_empty());
            let Some(offsets) = offsets else {
                return CheckOutcome::unknown("the DC offset could not be measured");
            };
            for (n, offset) in offsets.iter().enumerate() {
                let Some(is) = offset.filter(|offset| offset.is_finite()).map(f64::abs) else {
                    return CheckOutcome::unknown("the DC offset of a channel is no number");
                };
                if is > max {
                    let channel = programme.first_channel + u32::try_from(n).unwrap_or(0);
                    let percent = |share: f64| (share * 100_000.0).round() / 1000.0;
                    let message = format!(
                        "channel {channel} has a DC offset of {} % of full scale, {} % is allowed",
                        percent(is),
                        percent(max)
                    );
                    let mut finding =
                        case.finding(percent(is).into(), percent(max).into(), "%", message);
                    finding.channel = Some(channel);
                    finding.stream = programme.streams.first().copied();
                    findings.push(finding);
                }
            }
        }
        CheckOutcome::Judged(findings)
    }
}
