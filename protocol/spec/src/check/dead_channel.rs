//! A channel without sound while others have some.
use crate::case::{Case, CheckOutcome, round, rounded};
use crate::check::silence::SilenceCheck;
use crate::policy::{Check, Scope};
use crate::value::{Decibels, noise_floor};
use protocol::model::qc::{Finding, Severity};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is shown for a channel of nothing but zeros, whose level in dB is no number: 24 bits hold no less.
const DIGITAL_SILENCE_DB: f64 = -144.5;

/// A channel without sound while others have some.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeadChannelCheck {
    /// Whether a finding fails the asset.
    pub severity: Severity,
    /// RMS level of the whole channel below which it is dead.
    pub noise: Decibels,
}

impl Default for DeadChannelCheck {
    fn default() -> DeadChannelCheck {
        DeadChannelCheck {
            severity: Severity::Mandatory,
            noise: noise_floor(),
        }
    }
}

impl Check for DeadChannelCheck {
    const SCOPE: Scope = Scope::Sound;

    fn bare() -> Option<DeadChannelCheck> {
        Some(DeadChannelCheck::default())
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        // Asking for silence channel by channel asks for this, too.
        let by_silence = case
            .limits::<SilenceCheck>()
            .filter(|check| check.per_channel);
        let noise = match (case.limits::<DeadChannelCheck>(), by_silence) {
            (Some(check), _) => check.noise.0,
            (None, Some(check)) => check.noise.0,
            (None, None) => return CheckOutcome::NotApplicable,
        };
        let programmes = match case.measured_audio() {
            Ok(programmes) => programmes,
            Err(outcome) => return outcome,
        };
        let mut findings: Vec<Finding> = Vec::new();
        for programme in programmes {
            let Some(dead) = programme.dead_channels(noise) else {
                return CheckOutcome::unknown("the level of the channels could not be measured");
            };
            // All of them dead is silence, which has a check of its own when the policy asks for it.
            if dead.iter().all(|dead| *dead) && case.limits::<SilenceCheck>().is_some() {
                continue;
            }
            for (n, _) in dead.iter().enumerate().filter(|(_, dead)| **dead) {
                let channel = programme.first_channel + u32::try_from(n).unwrap_or(0);
                let level = programme
                    .rms
                    .as_ref()
                    .and_then(|rms| *rms.get(n)?)
                    .unwrap_or(DIGITAL_SILENCE_DB);
                let message = format!(
                    "channel {channel} is dead: {level:.1} dB over {:.2} s, {noise} dB is the least",
                    programme.seconds
                );
                let mut finding = case.finding(rounded(level), rounded(noise), "dB", message);
                if case.limits::<DeadChannelCheck>().is_none() {
                    finding.severity = case
                        .limits::<SilenceCheck>()
                        .map(|check| check.severity)
                        .unwrap_or_default();
                }
                finding.ranges = vec![[0.0, round(programme.end)]];
                finding.channel = Some(channel);
                finding.stream = programme.streams.first().copied();
                findings.push(finding);
            }
        }
        CheckOutcome::Judged(findings)
    }
}
