//! Luma outside EBU R 103.
use super::{Case, Ruling, round, rounded};
use crate::facts::Levels;
use crate::report::Finding;

/// Ranges shown; the worst pictures of a wholly wrong file are all of them.
const RANGES_MAX: usize = 50;
/// Seconds between two sampled pictures that still make one range.
const GAP: f64 = 1.0;

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let Some(check) = &case.policy.levels else { return Ruling::NotApplicable };
    let seen = match case.seen() {
        Ok(seen) => seen,
        Err(ruling) => return ruling,
    };
    let Some(levels) = &seen.levels else { return Ruling::unknown("levels could not be measured") };
    let max = check.illegal_pixels_max.0;
    if levels.share <= max {
        return Ruling::fine();
    }
    let message = format!(
        "{:.2} % of the picture has luma outside 5 to 246 (EBU R 103), {:.2} % is allowed",
        levels.share * 100.0,
        max * 100.0
    );
    Ruling::Judged(vec![outside(case, "levels", levels, max, message)])
}

/// A finding about pixels that are outside, with the times of the pictures in which more are than allowed.
pub(super) fn outside(case: &Case<'_>, check: &str, levels: &Levels, max: f64, message: String) -> Finding {
    let mut ranges: Vec<[f64; 2]> = Vec::new();
    for &(at, _) in levels.pictures.iter().filter(|(_, share)| *share > max) {
        match ranges.last_mut() {
            Some(last) if at - last[1] <= GAP => last[1] = round(at),
            _ => ranges.push([round(at), round(at)]),
        }
    }
    ranges.truncate(RANGES_MAX);
    let mut finding = case.finding(check, rounded(levels.share * 100.0), rounded(max * 100.0), "%", message);
    finding.ranges = ranges;
    finding
}
