//! Left against right: in phase, as stereo has to be.
use super::{Case, Ruling, longer_than, ruled};

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let Some(check) = &case.policy.phase else { return Ruling::NotApplicable };
    let longest = check.longest.0.as_secs_f64();
    ruled(case.heard().and_then(|heard| {
        let mut findings = Vec::new();
        for programme in heard.iter().filter(|programme| programme.channels >= 2) {
            let Some(stretches) = &programme.out_of_phase else {
                return Err(Ruling::unknown("phase could not be measured"));
            };
            let found = longer_than(stretches, longest);
            if !found.is_empty() {
                let mut finding = case.too_long("phase", "left and right cancel each other from", &found, longest);
                finding.stream = programme.streams.first().copied();
                findings.push(finding);
            }
        }
        Ok(findings)
    }))
}
