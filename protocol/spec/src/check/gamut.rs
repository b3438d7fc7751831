//! Red, green or blue outside EBU R 103.
use crate::case::{Case, CheckOutcome};
use crate::check::levels;
use crate::needs::{Asked, Needs};
use crate::policy::{Check, Scope};
use protocol::model::qc::Severity;
use protocol::quantity::Share;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Share of pixels whose red, green or blue lies outside EBU R 103 (-5 % to 105 %), over the sampled pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GamutCheck {
    /// Whether a finding fails the asset.
    #[serde(default)]
    pub severity: Severity,
    /// Largest share allowed.
    pub illegal_pixels_max: Share,
}

impl Check for GamutCheck {
    const SCOPE: Scope = Scope::Picture;

    fn needs(asked: &Asked<'_>, needs: &mut Needs) {
        needs.gamut |= asked.picture && asked.limits::<GamutCheck>().is_some();
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let Some(check) = case.limits::<GamutCheck>() else {
            return CheckOutcome::NotApplicable;
        };
        let seen = match case.measured_picture() {
            Ok(seen) => seen,
            Err(outcome) => return outcome,
        };
        let Some(gamut) = &seen.gamut else {
            return CheckOutcome::unknown("the gamut could not be measured");
        };
        let max = check.illegal_pixels_max.0;
        if gamut.share <= max {
            return CheckOutcome::fine();
        }
        let message = format!(
            "{:.2} % of the picture has red, green or blue outside -5 % to 105 % (EBU R 103), {:.2} % is allowed",
            gamut.share * 100.0,
            max * 100.0
        );
        CheckOutcome::Judged(vec![levels::outside(case, gamut, max, message)])
    }
}
