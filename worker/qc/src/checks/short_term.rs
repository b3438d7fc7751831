//! Highest short-term loudness, over 3 s (EBU Tech 3341).
use super::{Case, Ruling, round, rounded, ruled};
use crate::facts::{AudioPass, Peak};
use crate::report::Finding;

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let Some(check) = &case.policy.short_term else { return Ruling::NotApplicable };
    ruled(highest(case, "short_term", "short-term", 3.0, check.max.0, |programme| programme.short_term))
}

/// Programmes whose loudness over a window of `seconds` goes beyond `max`.
pub(super) fn highest(
    case: &Case<'_>,
    check: &str,
    name: &str,
    seconds: f64,
    max: f64,
    peak: fn(&AudioPass) -> Option<Peak>,
) -> Result<Vec<Finding>, Ruling> {
    let mut findings = Vec::new();
    for programme in case.heard()? {
        if programme.seconds < seconds {
            return Err(Ruling::unknown(format!(
                "{name} loudness needs {seconds} s of sound, there are {:.2} s",
                programme.seconds
            )));
        }
        let Some(peak) = peak(programme).filter(|peak| peak.value.is_finite()) else {
            return Err(Ruling::unknown(format!("{name} loudness could not be measured: silent, or the meter failed")));
        };
        if peak.value > max + 0.001 {
            let message =
                format!("{name} loudness reaches {:.1} LUFS at {:.1} s, {max} LUFS is allowed", peak.value, peak.at);
            let mut finding = case.finding(check, rounded(peak.value), rounded(max), "LUFS", message);
            // A value is about the window that ends with it.
            finding.ranges = vec![[round((peak.at - seconds).max(0.0)), round(peak.at)]];
            finding.stream = programme.streams.first().copied();
            findings.push(finding);
        }
    }
    Ok(findings)
}
