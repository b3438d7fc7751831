//! Picture without motion. Black has no motion either and is left to `black`.
use crate::case::{Case, CheckOutcome, longer_than};
use crate::check::black;
use crate::needs::{Asked, Needs, shortest};
use crate::policy::{Check, Scope};
use crate::stretch::subtract;
use crate::value::{Decibels, noise_floor};
use protocol::model::qc::Severity;
use protocol::quantity::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Picture that does not move.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FreezeCheck {
    /// Whether a finding fails the asset.
    #[serde(default)]
    pub severity: Severity,
    /// Longest stretch allowed.
    pub longest: Span,
    /// Difference between frames that still counts as none.
    #[serde(default = "noise_floor")]
    pub noise: Decibels,
}

impl Check for FreezeCheck {
    const SCOPE: Scope = Scope::Picture;

    fn needs(asked: &Asked<'_>, needs: &mut Needs) {
        if let Some(limits) = asked.limits::<FreezeCheck>().filter(|_| asked.picture) {
            needs.freeze = Some((limits.noise.0, shortest(limits.longest)));
            // Black does not move either: it is measured as well, to be left out of every freeze.
            needs.black.get_or_insert((black::AREA, black::LEVEL));
        }
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let Some(check) = case.limits::<FreezeCheck>() else {
            return CheckOutcome::NotApplicable;
        };
        let (video, seen) = match case
            .picture()
            .and_then(|video| Ok((video, case.measured_picture()?)))
        {
            Ok(both) => both,
            Err(outcome) => return outcome,
        };
        let (Some(freeze), Some(black)) = (&seen.freeze, &seen.black) else {
            return CheckOutcome::unknown("freezes could not be measured");
        };
        // The two detectors place the same cut up to a frame apart, and the last black mark may be a frame early.
        let slack = video.rate().map_or(0.04, |rate| 1.5 * rate.frame_seconds());
        let longest = check.longest.0.as_secs_f64();
        let found = longer_than(&subtract(freeze, black, slack), longest);
        if found.is_empty() {
            return CheckOutcome::fine();
        }
        CheckOutcome::Judged(vec![case.too_long("still picture from", &found, longest)])
    }
}
