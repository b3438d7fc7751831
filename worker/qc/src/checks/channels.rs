//! Number of channels, demanded or declared.
use super::{Case, Ruling};

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let of_role = case.component.and_then(|c| c.audio_channels());
    let demanded = of_role.or(case.policy.channels.as_ref().and_then(|c| c.is));
    let declared = case.subject.channels;
    if !case.role.is_timed_media() || (demanded.is_none() && declared.is_none()) {
        return Ruling::NotApplicable;
    }
    let streams = &case.facts.audio;
    let total: u32 = streams.iter().map(|stream| stream.channels).sum();
    let mono = streams.len() > 1 && streams.iter().all(|stream| stream.channels == 1);
    // Streams are languages or mixes and each must fit, unless they are mono: then several make one.
    let odd = |want: u32| streams.iter().find(|s| s.channels != want).map(|s| (Some(s.index), s.channels));
    let wrong = |want: u32| match streams.len() {
        0 if want > 0 && !(case.sound_apart && of_role.is_none()) => Some((None, 0)),
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
            let message = format!("{is} channel{} of sound, {want} {who}", if is == 1 { "" } else { "s" });
            let mut finding = case.finding("channels", is.into(), want.into(), "channels", message);
            finding.stream = stream;
            findings.push(finding);
        }
    }
    Ruling::Judged(findings)
}
