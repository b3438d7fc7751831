//! Samples per second.
use super::{Case, Ruling, ruled};

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let of_role = case.component.and_then(|c| c.audio_sample_rate());
    let Some(want) = of_role.or(case.policy.sample_rate.as_ref().and_then(|c| c.is)) else {
        return Ruling::NotApplicable;
    };
    ruled(case.sound().map(|()| {
        let wrong = case.facts.audio.iter().filter(|stream| stream.sample_rate != want);
        wrong
            .map(|stream| {
                let message = format!("the sample rate is {} Hz, {want} Hz is demanded", stream.sample_rate);
                let mut finding = case.finding("sample_rate", stream.sample_rate.into(), want.into(), "Hz", message);
                finding.stream = Some(stream.index);
                finding
            })
            .collect()
    }))
}
