//! Silent stretches: of the whole programme, and of single channels where the policy asks.
use crate::case::{Case, CheckOutcome, longer_than};
use crate::needs::{Asked, Needs, shortest};
use crate::policy::{Check, Scope};
use crate::stretch::Stretch;
use crate::stretch::common;
use crate::stretch::subtract;
use crate::value::{Decibels, noise_floor};
use protocol::model::qc::{Finding, Severity};
use protocol::quantity::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Channels fall silent a block of samples apart; what is left of a common silence at its edges is none of its own.
const SLACK: f64 = 0.1;

/// Limit on the length of silent stretches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SilenceCheck {
    /// Whether a finding fails the asset.
    #[serde(default)]
    pub severity: Severity,
    /// Longest stretch allowed.
    pub longest: Span,
    /// Level below which sound is silence.
    #[serde(default = "noise_floor")]
    pub noise: Decibels,
    /// Whether each channel is judged, too.
    #[serde(default)]
    pub per_channel: bool,
}

impl Check for SilenceCheck {
    const SCOPE: Scope = Scope::Sound;

    fn needs(asked: &Asked<'_>, needs: &mut Needs) {
        needs.silence = asked
            .limits::<SilenceCheck>()
            .map(|limits| (limits.noise.0, shortest(limits.longest)));
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let Some(check) = case.limits::<SilenceCheck>() else {
            return CheckOutcome::NotApplicable;
        };
        let programmes = match case.measured_audio() {
            Ok(programmes) => programmes,
            Err(outcome) => return outcome,
        };
        let longest = check.longest.0.as_secs_f64();
        let mut findings: Vec<Finding> = Vec::new();
        for programme in programmes {
            let Some(channels) = &programme.silence else {
                return CheckOutcome::unknown("silence could not be measured");
            };
            let dead = match programme.dead_channels(check.noise.0) {
                Some(dead) => dead,
                None => {
                    return CheckOutcome::unknown(
                        "the level of the channels could not be measured",
                    );
                }
            };
            // A dead channel is silent throughout: it does not show when the others are, unless all of them are dead.
            let living: Vec<Vec<Stretch>> = channels
                .iter()
                .zip(&dead)
                .filter(|(_, dead)| !**dead)
                .map(|(silence, _)| silence.clone())
                .collect();
            let all = if living.is_empty() {
                vec![Stretch {
                    start: 0.0,
                    end: programme.end,
                }]
            } else {
                common(&living)
            };
            let found = longer_than(&all, longest);
            if !found.is_empty() {
                let mut finding = case.too_long("silence from", &found, longest);
                finding.stream = programme.streams.first().copied();
                findings.push(finding);
            }
            if !check.per_channel || living.is_empty() {
                continue;
            }
            for (n, silence) in channels
                .iter()
                .enumerate()
                .filter(|(n, _)| !dead.get(*n).copied().unwrap_or(false))
            {
                let found = longer_than(&subtract(silence, &all, SLACK), longest);
                if !found.is_empty() {
                    let channel = programme.first_channel + u32::try_from(n).unwrap_or(0);
                    let mut finding = case.too_long(
                        &format!("channel {channel} is silent from"),
                        &found,
                        longest,
                    );
                    finding.channel = Some(channel);
                    findings.push(finding);
                }
            }
        }
        CheckOutcome::Judged(findings)
    }
}
