//! Highest true peak (ITU-R BS.1770).
use super::{Case, Ruling, rounded, ruled};

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let Some(check) = &case.policy.true_peak else { return Ruling::NotApplicable };
    let max = check.max.0;
    ruled(case.heard().and_then(|heard| {
        let mut findings = Vec::new();
        for programme in heard {
            // A comparison with a number that is none is always false: it would pass.
            let Some(is) = programme.true_peak.filter(|level| level.is_finite()) else {
                return Err(Ruling::unknown("the true peak could not be measured: silent, or the meter failed"));
            };
            if is > max + 0.001 {
                let message = format!("the true peak is {is:.1} dBTP, {max} dBTP is allowed");
                let mut finding = case.finding("true_peak", rounded(is), rounded(max), "dBTP", message);
                finding.stream = programme.streams.first().copied();
                findings.push(finding);
            }
        }
        Ok(findings)
    }))
}
