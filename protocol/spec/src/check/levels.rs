//! Luma outside EBU R 103.
use crate::case::{Case, CheckOutcome, round, rounded};
use crate::measure::levels::Levels;
use crate::needs::{Asked, Needs};
use crate::policy::{Check, Scope};
use protocol::model::qc::{Finding, Severity};
use protocol::quantity::Share;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Ranges shown; the worst pictures of a wholly wrong file are all of them.
const RANGES_MAX: usize = 50;
/// Seconds between two sampled pictures that still make one range.
const GAP: f64 = 1.0;

/// Share of luma outside EBU R 103 (5 to 246 in 8 bits), over the sampled pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LevelsCheck {
    /// Whether a finding fails the asset.
    #[serde(default)]
    pub severity: Severity,
    /// Largest share allowed.
    pub illegal_pixels_max: Share,
}

impl Check for LevelsCheck {
    const SCOPE: Scope = Scope::Picture;

    fn needs(asked: &Asked<'_>, needs: &mut Needs) {
        needs.levels |= asked.picture && asked.limits::<LevelsCheck>().is_some();
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let Some(check) = case.limits::<LevelsCheck>() else {
            return CheckOutcome::NotApplicable;
        };
        let seen = match case.measured_picture() {
            Ok(seen) => seen,
            Err(outcome) => return outcome,
        };
        let Some(levels) = &seen.levels else {
            return CheckOutcome::unknown("levels could not be measured");
        };
        let max = check.illegal_pixels_max.0;
        if levels.share <= max {
            return CheckOutcome::fine();
        }
        let message = format!(
            "{:.2} % of the picture has luma outside 5 to 246 (EBU R 103), {:.2} % is allowed",
            levels.share * 100.0,
            max * 100.0
        );
        CheckOutcome::Judged(vec![outside(case, levels, max, message)])
    }
}

/// A finding about pixels that are outside, with the times of the pictures in which more are than allowed.
pub(super) fn outside(case: &Case<'_>, levels: &Levels, max: f64, message: String) -> Finding {
    let mut ranges: Vec<[f64; 2]> = Vec::new();
    for &(at, _) in levels.pictures.iter().filter(|(_, share)| *share > max) {
        match ranges.last_mut() {
            Some(last) if at - last[1] <= GAP => last[1] = round(at),
            _ => ranges.push([round(at), round(at)]),
        }
    }
    ranges.truncate(RANGES_MAX);
    let mut finding = case.finding(
        rounded(levels.share * 100.0),
        rounded(max * 100.0),
        "%",
        message,
    );
    finding.ranges = ranges;
    finding
}
