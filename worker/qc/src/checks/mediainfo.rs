//! What MediaInfo says, field by field.
use super::{Case, Ruling};

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let Some(check) = &case.policy.mediainfo else { return Ruling::NotApplicable };
    if !case.role.is_timed_media() {
        return Ruling::NotApplicable;
    }
    let Some(said) = &case.facts.mediainfo else { return Ruling::unknown("MediaInfo was not asked") };
    if let Some(why) = &said.trouble {
        return Ruling::unknown(format!("MediaInfo: {why}"));
    }
    let mut findings = Vec::new();
    for (field, allowed) in &check.facts {
        let is = said.facts.get(field).map_or("absent", String::as_str);
        if !allowed.has(is) {
            findings.push(case.differs("mediainfo", &format!("MediaInfo's {field}"), is, &allowed.0.join(" or ")));
        }
    }
    Ruling::Judged(findings)
}
