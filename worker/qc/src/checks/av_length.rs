//! Picture and sound end together.
use super::{Case, Ruling, round, rounded};

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let Some(check) = &case.policy.av_length else { return Ruling::NotApplicable };
    if !case.role.has_picture() || case.facts.video.is_none() || case.facts.audio.is_empty() {
        // With one of them alone there is nothing to compare; that it is missing is another check's finding.
        return Ruling::NotApplicable;
    }
    let (seen, heard) = match case.seen().and_then(|seen| Ok((seen, case.heard()?))) {
        Ok(both) => both,
        Err(ruling) => return ruling,
    };
    let tolerance = check.tolerance.0.as_secs_f64();
    let mut findings = Vec::new();
    for programme in heard {
        let difference = (programme.end - seen.end).abs();
        if difference <= tolerance + 0.001 {
            continue;
        }
        let message = format!(
            "sound ends at {:.2} s and picture at {:.2} s: {difference:.2} s apart, {tolerance:.2} s allowed",
            programme.end, seen.end
        );
        let mut finding = case.finding("av_length", rounded(difference), rounded(tolerance), "s", message);
        finding.ranges = vec![[round(programme.end.min(seen.end)), round(programme.end.max(seen.end))]];
        finding.stream = programme.streams.first().copied();
        findings.push(finding);
    }
    Ruling::Judged(findings)
}
