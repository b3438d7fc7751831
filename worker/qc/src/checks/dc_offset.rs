//! The mean of each channel, which should be zero: an offset costs headroom and clicks at every edit.
use super::{Case, Ruling};

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let Some(check) = &case.policy.dc_offset else { return Ruling::NotApplicable };
    let max = check.max.0;
    let heard = match case.heard() {
        Ok(heard) => heard,
        Err(ruling) => return ruling,
    };
    let mut findings = Vec::new();
    for programme in heard {
        let offsets = programme.dc_offset.as_ref().filter(|offsets| !offsets.is_empty());
        let Some(offsets) = offsets else { return Ruling::unknown("the DC offset could not be measured") };
        for (n, offset) in offsets.iter().enumerate() {
            let Some(is) = offset.filter(|offset| offset.is_finite()).map(f64::abs) else {
                return Ruling::unknown("the DC offset of a channel is no number");
            };
            if is > max {
                let channel = programme.first_channel + u32::try_from(n).unwrap_or(0);
                let percent = |share: f64| (share * 100_000.0).round() / 1000.0;
                let message = format!(
                    "channel {channel} has a DC offset of {} % of full scale, {} % is allowed",
                    percent(is),
                    percent(max)
                );
                let mut finding = case.finding("dc_offset", percent(is).into(), percent(max).into(), "%", message);
                finding.channel = Some(channel);
                finding.stream = programme.streams.first().copied();
                findings.push(finding);
            }
        }
    }
    Ruling::Judged(findings)
}
