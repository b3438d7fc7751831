//! Samples per second.
use crate::case::{Case, CheckOutcome, outcome};
use crate::policy::{Check, Scope};
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Samples per second.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SampleRateCheck {
    /// Whether a finding fails the asset.
    pub severity: Severity,
    /// Rate where the component names none.
    pub is: Option<u32>,
}

impl Check for SampleRateCheck {
    const SCOPE: Scope = Scope::File;

    fn bare() -> Option<SampleRateCheck> {
        Some(SampleRateCheck::default())
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let of_role = case.component.and_then(|c| c.audio_sample_rate());
        let Some(want) = of_role.or(case.limits::<SampleRateCheck>().and_then(|c| c.is)) else {
            return CheckOutcome::NotApplicable;
        };
        outcome(case.sound().map(|()| {
            let wrong = case
                .facts
                .audio
                .iter()
                .filter(|stream| stream.sample_rate != want);
            wrong
                .map(|stream| {
                    let message = format!(
                        "the sample rate is {} Hz, {want} Hz is demanded",
                        stream.sample_rate
                    );
                    let mut finding =
                        case.finding(stream.sample_rate.into(), want.into(), "Hz", message);
                    finding.stream = Some(stream.index);
                    finding
                })
                .collect()
        }))
    }
}
