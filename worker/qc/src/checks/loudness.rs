//! Integrated programme loudness (EBU R 128).
use super::{Case, Ruling, rounded, ruled};
use protocol::media::spec::LoudnessGate;

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let Some(check) = &case.policy.loudness else { return Ruling::NotApplicable };
    let (target, tolerance) = (check.target.0, check.tolerance.0);
    if check.gate == LoudnessGate::Dialogue {
        return Ruling::unknown("not_measurable: telling speech apart needs a licensed meter");
    }
    ruled(case.heard().and_then(|heard| {
        let mut findings = Vec::new();
        for programme in heard {
            // A comparison with a number that is none is always false: it would pass.
            let Some(is) = programme.loudness.filter(|level| level.is_finite()) else {
                return Err(Ruling::unknown("loudness could not be measured: too short, silent, or the meter failed"));
            };
            if (is - target).abs() > tolerance + 0.001 {
                let message = format!("loudness is {is:.1} LUFS, {target} LUFS ± {tolerance} LU is demanded");
                let mut finding = case.finding("loudness", rounded(is), rounded(target), "LUFS", message);
                finding.stream = programme.streams.first().copied();
                findings.push(finding);
            }
        }
        Ok(findings)
    }))
}
