//! Black picture.
use crate::case::{Case, CheckOutcome, longer_than};
use crate::needs::{Asked, Needs};
use crate::policy::{Check, Scope};
use protocol::model::qc::Severity;
use protocol::quantity::{Share, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// ffmpeg's default of `picture_black_ratio_th`.
pub(crate) const AREA: f64 = 0.98;
/// ffmpeg's default of `pixel_black_th`.
pub(crate) const LEVEL: f64 = 0.10;

/// Limit on the length of black stretches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlackCheck {
    /// Whether a finding fails the asset.
    #[serde(default)]
    pub severity: Severity,
    /// Longest stretch allowed.
    pub longest: Span,
    /// Share of the picture that must be black.
    #[serde(default = "area")]
    pub area: Share,
    /// Luma below which a pixel is black, as a share of the range.
    #[serde(default = "level")]
    pub level: Share,
}

impl Check for BlackCheck {
    const SCOPE: Scope = Scope::Picture;

    fn needs(asked: &Asked<'_>, needs: &mut Needs) {
        if let Some(limits) = asked.limits::<BlackCheck>().filter(|_| asked.picture) {
            needs.black = Some((limits.area.0, limits.level.0));
        }
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let Some(check) = case.limits::<BlackCheck>() else {
            return CheckOutcome::NotApplicable;
        };
        let seen = match case.measured_picture() {
            Ok(seen) => seen,
            Err(outcome) => return outcome,
        };
        let Some(black) = &seen.black else {
            return CheckOutcome::unknown("black could not be measured");
        };
        let longest = check.longest.0.as_secs_f64();
        let found = longer_than(black, longest);
        if found.is_empty() {
            return CheckOutcome::fine();
        }
        CheckOutcome::Judged(vec![case.too_long("black from", &found, longest)])
    }
}

fn area() -> Share {
    Share(AREA)
}

fn level() -> Share {
    Share(LEVEL)
}
