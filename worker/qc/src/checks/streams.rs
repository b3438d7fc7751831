//! Number of streams of each kind.
use super::{Case, Ruling};

pub(super) fn run(case: &Case<'_>) -> Ruling {
    if !case.role.is_timed_media() {
        return Ruling::NotApplicable;
    }
    let pictures = usize::from(case.facts.video.is_some()) + case.facts.other_video.len();
    // A master, mezzanine or proxy is a picture with or without sound. It fails without one, asked for or not: no other
    // check has anything to find in what is not there.
    let missing = case.role.has_picture() && pictures == 0 && case.facts.container.is_some();
    let asked = case.policy.streams.as_ref();
    if missing && !asked.and_then(|check| check.video).is_some_and(|want| want.has(0)) {
        let message = format!("there is no picture in it, and a {} has one", case.role);
        return Ruling::Judged(vec![case.finding("streams", 0.into(), 1.into(), "streams", message)]);
    }
    let Some(check) = asked else { return Ruling::NotApplicable };
    if case.facts.container.is_none() {
        return Ruling::unknown("its streams are not known");
    }
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let video = check.video.filter(|_| case.role.has_picture());
    let counts = [
        ("picture", video, count(pictures)),
        ("sound", check.audio, count(case.facts.audio.len())),
        ("subtitle", check.subtitle, case.facts.subtitle_streams),
    ];
    let mut findings = Vec::new();
    for (kind, want, is) in counts {
        if let Some(want) = want.filter(|want| !want.has(is)) {
            let message = format!("{is} {kind} streams, {want} demanded");
            let limit = if want.min == want.max { want.min.into() } else { want.to_string().into() };
            findings.push(case.finding("streams", is.into(), limit, "streams", message));
        }
    }
    Ruling::Judged(findings)
}
