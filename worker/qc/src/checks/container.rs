//! The wrapper is one of those allowed.
use super::{Case, Ruling};

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let Some(check) = &case.policy.container else { return Ruling::NotApplicable };
    if !case.role.is_timed_media() {
        return Ruling::NotApplicable;
    }
    let Some(container) = &case.facts.container else { return Ruling::unknown("the container is not known") };
    if container.names.iter().any(|name| check.any.has(name)) {
        return Ruling::fine();
    }
    let is = container.names.first().map_or("unknown", String::as_str);
    Ruling::Judged(vec![case.differs("container", "the container", is, &check.any.0.join(" or "))])
}
