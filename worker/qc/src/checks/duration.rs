//! Running time against the declared one.
use super::{Case, Ruling, rounded};

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let (Some(check), Some(declared)) = (&case.policy.duration, case.subject.duration) else {
        // What was not declared cannot differ.
        return Ruling::NotApplicable;
    };
    if !case.role.is_timed_media() {
        return Ruling::NotApplicable;
    }
    let pass = match case.trusted() {
        Ok(pass) => pass,
        Err(ruling) => return ruling,
    };
    let heard = pass
        .audio
        .iter()
        .map(|programme| programme.end)
        .fold(None, |most: Option<f64>, end| Some(most.unwrap_or(0.0).max(end)));
    let Some(is) = pass.video.as_ref().filter(|_| case.role.has_picture()).map(|seen| seen.end).or(heard) else {
        return Ruling::unknown("nothing could be decoded");
    };
    let tolerance = check.tolerance.0.as_secs_f64();
    if (is - declared).abs() <= tolerance + 0.001 {
        return Ruling::fine();
    }
    let message = format!("it lasts {is:.2} s, its source declared {declared:.2} s ({tolerance:.2} s may differ)");
    let mut finding = case.finding("duration", rounded(is), rounded(declared), "s", message);
    let (from, to) = if is < declared { (is, declared) } else { (declared, is) };
    finding.ranges = vec![[super::round(from), super::round(to)]];
    Ruling::Judged(vec![finding])
}
