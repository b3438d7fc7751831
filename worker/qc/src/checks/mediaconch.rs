//! Whether MediaConch finds the file conformant to the spec's MediaConch policy.
use super::{Case, Ruling};

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let Some(check) = &case.policy.mediaconch else { return Ruling::NotApplicable };
    if !case.role.is_timed_media() {
        return Ruling::NotApplicable;
    }
    let said = case.facts.mediaconch.as_ref().filter(|said| said.policy == check.policy);
    let Some(said) = said else { return Ruling::unknown("MediaConch was not asked") };
    if let Some(why) = &said.trouble {
        return Ruling::unknown(format!("MediaConch: {why}"));
    }
    if said.failed.is_empty() {
        return Ruling::fine();
    }
    let message = format!("not conformant to the MediaConch policy: {}", said.failed.join("; "));
    Ruling::Judged(vec![case.finding("mediaconch", said.failed.len().into(), 0.into(), "rules", message)])
}
