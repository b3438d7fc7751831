//! Loudness range (EBU Tech 3342).
use super::{Case, Ruling, rounded, ruled};

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let Some(check) = &case.policy.loudness_range else { return Ruling::NotApplicable };
    let max = check.max.0;
    ruled(case.heard().and_then(|heard| {
        let mut findings = Vec::new();
        for programme in heard {
            let Some(is) = programme.loudness_range.filter(|range| range.is_finite()) else {
                return Err(Ruling::unknown(
                    "the loudness range could not be measured: too short, silent, or the meter failed",
                ));
            };
            if is > max + 0.001 {
                let message = format!("the loudness range is {is:.1} LU, {max} LU is allowed");
                let mut finding = case.finding("loudness_range", rounded(is), rounded(max), "LU", message);
                finding.stream = programme.streams.first().copied();
                findings.push(finding);
            }
        }
        Ok(findings)
    }))
}
