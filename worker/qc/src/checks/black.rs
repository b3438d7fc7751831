//! Black picture.
use super::{Case, Ruling, longer_than};

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let Some(check) = &case.policy.black else { return Ruling::NotApplicable };
    let seen = match case.seen() {
        Ok(seen) => seen,
        Err(ruling) => return ruling,
    };
    let Some(black) = &seen.black else { return Ruling::unknown("black could not be measured") };
    let longest = check.longest.0.as_secs_f64();
    let found = longer_than(black, longest);
    if found.is_empty() {
        return Ruling::fine();
    }
    Ruling::Judged(vec![case.too_long("black", "black from", &found, longest)])
}
