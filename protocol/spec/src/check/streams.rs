//! Number of streams of each kind.
use crate::case::{Case, CheckOutcome};
use crate::count::Count;
use crate::policy::{Check, Scope};
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Number of streams: `8`, or a range such as `4..16`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StreamsCheck {
    /// Whether a finding fails the asset.
    pub severity: Severity,
    /// Number of picture streams allowed; exactly one when absent.
    pub video: Option<Count>,
    /// Number of sound streams allowed; not checked when absent.
    pub audio: Option<Count>,
    /// Number of subtitle streams allowed; not checked when absent.
    pub subtitle: Option<Count>,
}

impl Default for StreamsCheck {
    fn default() -> StreamsCheck {
        StreamsCheck {
            severity: Severity::Mandatory,
            video: Some(Count::exactly(1)),
            audio: None,
            subtitle: None,
        }
    }
}

impl Check for StreamsCheck {
    const SCOPE: Scope = Scope::File;

    fn bare() -> Option<StreamsCheck> {
        Some(StreamsCheck::default())
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        if !case.role.is_timed_media() {
            return CheckOutcome::NotApplicable;
        }
        let pictures = usize::from(case.facts.video.is_some()) + case.facts.other_video.len();
        // A master, mezzanine or proxy is a picture with or without sound. It fails without one, asked for or not: no other
        // check has anything to find in what is not there.
        let missing = case.role.has_picture() && pictures == 0 && case.facts.container.is_some();
        let asked = case.limits::<StreamsCheck>();
        if missing
            && !asked
                .and_then(|check| check.video)
                .is_some_and(|want| want.has(0))
        {
            let message = format!("there is no picture in it, and a {} has one", case.role);
            return CheckOutcome::Judged(vec![case.finding(
                0.into(),
                1.into(),
                "streams",
                message,
            )]);
        }
        let Some(check) = asked else {
            return CheckOutcome::NotApplicable;
        };
        if case.facts.container.is_none() {
            return CheckOutcome::unknown("its streams are not known");
        }
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let video = check.video.filter(|_| case.role.has_picture());
        let counts = [
            ("picture", video, count(pictures)),
            ("sound", check.audio, count(case.facts.audio.len())),
            ("subtitle", check.subtitle, case.facts.subtitle_streams),
        ];
        let mut findings = Vec::new();
        for (kind, want, is) in counts {
            if let Some(want) = want.filter(|want| !want.has(is)) {
                let message = format!("{is} {kind} streams, {want} demanded");
                let limit = if want.min == want.max {
                    want.min.into()
                } else {
                    want.to_string().into()
                };
                findings.push(case.finding(is.into(), limit, "streams", message));
            }
        }
        CheckOutcome::Judged(findings)
    }
}
