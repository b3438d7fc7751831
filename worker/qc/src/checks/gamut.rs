//! Red, green or blue outside EBU R 103.
use super::{Case, Ruling, levels};

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let Some(check) = &case.policy.gamut else { return Ruling::NotApplicable };
    let seen = match case.seen() {
        Ok(seen) => seen,
        Err(ruling) => return ruling,
    };
    let Some(gamut) = &seen.gamut else { return Ruling::unknown("the gamut could not be measured") };
    let max = check.illegal_pixels_max.0;
    if gamut.share <= max {
        return Ruling::fine();
    }
    let message = format!(
        "{:.2} % of the picture has red, green or blue outside -5 % to 105 % (EBU R 103), {:.2} % is allowed",
        gamut.share * 100.0,
        max * 100.0
    );
    Ruling::Judged(vec![levels::outside(case, "gamut", gamut, max, message)])
}
