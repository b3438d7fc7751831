//! Number of channels, demanded or declared.
use crate::case::{Case, CheckOutcome};
use crate::policy::{Check, Scope};
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Number of channels.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChannelsCheck {
    /// Whether a finding fails the asset.
    pub severity: Severity,
    /// Channels where the component names none.
    pub is: Option<u32>,
}

impl Check for ChannelsCheck {
    const SCOPE: Scope = Scope::File;

    fn bare() -> Option<ChannelsCheck> {
        Some(ChannelsCheck::default())
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let of_role = case.component.and_then(|c| c.audio_channels());
        let demanded = of_role.or(case.limits::<ChannelsCheck>().and_then(|c| c.is));
        let declared = case.media.channels;
        if !case.role.is_timed_media() || (demanded.is_none() && declared.is_none()) {
            return CheckOutcome::NotApplicable;
        }
        let streams = &case.facts.audio;
        let total: u32 = streams.iter().map(|stream| stream.channels).sum();
        let mono = streams.len() > 1 && streams.iter().all(|stream| stream.channels == 1);
        // Streams are languages or mixes and each must fit, unless they are mono: then several make one.
        let odd = |want: u32| {
            streams
                .iter()
                .find(|s| s.channels != want)
                .map(|s| (Some(s.index), s.channels))
        };
        let wrong = |want: u32| match streams.len() {
            0 if want > 0 && !(case.separate_sound && of_role.is_none()) => Some((None, 0)),
            0 => None,
            _ if mono && want > 0 && total.is_multiple_of(want) => None,
            _ if mono => Some((None, total)),
            _ => odd(want),
        };
        let mut findings = Vec::new();
        for (want, who) in [(demanded, "is demanded"), (declared, "was declared")] {
            let Some(want) = want else { continue };
            // A source counts all channels of the file, or those of one stream.
            if who == "was declared" && (!findings.is_empty() || want == total) {
                continue;
            }
            if let Some((stream, is)) = wrong(want) {
                let message = format!(
                    "{is} channel{} of sound, {want} {who}",
                    if is == 1 { "" } else { "s" }
                );
                let mut finding = case.finding(is.into(), want.into(), "channels", message);
                finding.stream = stream;
                findings.push(finding);
            }
        }
        CheckOutcome::Judged(findings)
    }
}
