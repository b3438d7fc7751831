//! Highest momentary loudness, over 400 ms (EBU Tech 3341).
use super::{Case, Ruling, ruled, short_term};

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let Some(check) = &case.policy.momentary else { return Ruling::NotApplicable };
    ruled(short_term::highest(case, "momentary", "momentary", 0.4, check.max.0, |programme| programme.momentary))
}
