//! Silent stretches: of the whole programme, and of single channels where the policy asks.
use super::{Case, Ruling, dead_channel, longer_than};
use crate::facts::Stretch;
use crate::marks::{common, subtract};
use crate::report::Finding;

/// Channels fall silent a block of samples apart; what is left of a common silence at its edges is none of its own.
const SLACK: f64 = 0.1;

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let Some(check) = &case.policy.silence else { return Ruling::NotApplicable };
    let heard = match case.heard() {
        Ok(heard) => heard,
        Err(ruling) => return ruling,
    };
    let longest = check.longest.0.as_secs_f64();
    let mut findings: Vec<Finding> = Vec::new();
    for programme in heard {
        let Some(channels) = &programme.silence else { return Ruling::unknown("silence could not be measured") };
        let dead = match dead_channel::dead(programme, check.noise.0) {
            Some(dead) => dead,
            None => return Ruling::unknown("the level of the channels could not be measured"),
        };
        // A dead channel is silent all along and says nothing about when the others are, unless all of them are dead.
        let living: Vec<Vec<Stretch>> =
            channels.iter().zip(&dead).filter(|(_, dead)| !**dead).map(|(silence, _)| silence.clone()).collect();
        let all = if living.is_empty() { vec![Stretch { start: 0.0, end: programme.end }] } else { common(&living) };
        let found = longer_than(&all, longest);
        if !found.is_empty() {
            let mut finding = case.too_long("silence", "silence from", &found, longest);
            finding.stream = programme.streams.first().copied();
            findings.push(finding);
        }
        if !check.per_channel || living.is_empty() {
            continue;
        }
        for (n, silence) in channels.iter().enumerate().filter(|(n, _)| !dead.get(*n).copied().unwrap_or(false)) {
            let found = longer_than(&subtract(silence, &all, SLACK), longest);
            if !found.is_empty() {
                let channel = programme.first_channel + u32::try_from(n).unwrap_or(0);
                let mut finding =
                    case.too_long("silence", &format!("channel {channel} is silent from"), &found, longest);
                finding.channel = Some(channel);
                findings.push(finding);
            }
        }
    }
    Ruling::Judged(findings)
}
