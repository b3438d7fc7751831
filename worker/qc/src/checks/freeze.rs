//! Picture that does not move. Black does not move either, and is black's business.
use super::{Case, Ruling, longer_than};
use crate::marks::subtract;

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let Some(check) = &case.policy.freeze else { return Ruling::NotApplicable };
    let (video, seen) = match case.picture().and_then(|video| Ok((video, case.seen()?))) {
        Ok(both) => both,
        Err(ruling) => return ruling,
    };
    let (Some(freeze), Some(black)) = (&seen.freeze, &seen.black) else {
        return Ruling::unknown("freezes could not be measured");
    };
    // The two detectors place the same cut up to a frame apart, and the last black mark may be a frame early.
    let slack = video.rate().map_or(0.04, |rate| 1.5 * rate.frame_seconds());
    let longest = check.longest.0.as_secs_f64();
    let found = longer_than(&subtract(freeze, black, slack), longest);
    if found.is_empty() {
        return Ruling::fine();
    }
    Ruling::Judged(vec![case.too_long("freeze", "still picture from", &found, longest)])
}
