//! Everything in the file decodes. The exit status of a decoder proves nothing: damage is counted from its log.
use super::{Case, Ruling, round};

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let Some(check) = &case.policy.decode else { return Ruling::NotApplicable };
    if !case.role.is_timed_media() {
        return Ruling::NotApplicable;
    }
    let Some(pass) = &case.facts.pass else { return Ruling::unknown("it was not decoded") };
    let limit = check.errors_max.into();
    if pass.errors > u64::from(check.errors_max) {
        let first: Vec<&str> = pass.messages.iter().take(3).map(String::as_str).collect();
        let message =
            format!("{} decoder errors, {} allowed; first: {}", pass.errors, check.errors_max, first.join("; "));
        let mut finding = case.finding("decode", pass.errors.into(), limit, "errors", message);
        finding.ranges = pass.error_times.iter().map(|at| [round(at.start), round(at.end)]).collect();
        return Ruling::Judged(vec![finding]);
    }
    if let Some(why) = &pass.broken {
        return Ruling::unknown(why.clone());
    }
    if pass.format_changes {
        let message = "a stream changes its format on the way (size, pixel format or channels)".to_owned();
        return Ruling::Judged(vec![case.finding("decode", "format changes".into(), "one format".into(), "", message)]);
    }
    let silent = case.facts.audio.len() > pass.audio.iter().map(|p| p.streams.len()).sum();
    if (case.role.has_picture()
        && case.facts.video.is_some()
        && (pass.video.is_none() || pass.other_video.iter().any(Option::is_none)))
        || silent
    {
        let message = "a stream of it gives not one decoded frame".to_owned();
        return Ruling::Judged(vec![case.finding("decode", 0.into(), 1.into(), "frames", message)]);
    }
    Ruling::fine()
}
