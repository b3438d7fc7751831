//! A channel without sound beside others that have some.
use super::{Case, Ruling, rounded};
use crate::facts::AudioPass;
use crate::report::Finding;

/// What is shown for a channel of nothing but zeros, whose level in dB is no number: 24 bits hold no less.
const DIGITAL_SILENCE_DB: f64 = -144.5;

pub(super) fn run(case: &Case<'_>) -> Ruling {
    // Asking for silence channel by channel asks for this, too.
    let by_silence = case.policy.silence.as_ref().filter(|check| check.per_channel);
    let noise = match (&case.policy.dead_channel, by_silence) {
        (Some(check), _) => check.noise.0,
        (None, Some(check)) => check.noise.0,
        (None, None) => return Ruling::NotApplicable,
    };
    let heard = match case.heard() {
        Ok(heard) => heard,
        Err(ruling) => return ruling,
    };
    let mut findings: Vec<Finding> = Vec::new();
    for programme in heard {
        let Some(dead) = dead(programme, noise) else {
            return Ruling::unknown("the level of the channels could not be measured");
        };
        // All of them dead is silence, which has a check of its own when the policy asks for it.
        if dead.iter().all(|dead| *dead) && case.policy.silence.is_some() {
            continue;
        }
        for (n, _) in dead.iter().enumerate().filter(|(_, dead)| **dead) {
            let channel = programme.first_channel + u32::try_from(n).unwrap_or(0);
            let level = programme.rms.as_ref().and_then(|rms| *rms.get(n)?).unwrap_or(DIGITAL_SILENCE_DB);
            let message = format!(
                "channel {channel} is dead: {level:.1} dB over {:.2} s, {noise} dB is the least",
                programme.seconds
            );
            let mut finding = case.finding("dead_channel", rounded(level), rounded(noise), "dB", message);
            if case.policy.dead_channel.is_none() {
                finding.severity = case.policy.severity("silence");
            }
            finding.ranges = vec![[0.0, super::round(programme.end)]];
            finding.channel = Some(channel);
            finding.stream = programme.streams.first().copied();
            findings.push(finding);
        }
    }
    Ruling::Judged(findings)
}

/// Which channels are below `noise` as a whole; `None` when their levels are not known.
pub(super) fn dead(programme: &AudioPass, noise: f64) -> Option<Vec<bool>> {
    let rms = programme.rms.as_ref().filter(|rms| !rms.is_empty())?;
    Some(rms.iter().map(|level| level.is_none_or(|level| level < noise)).collect())
}
