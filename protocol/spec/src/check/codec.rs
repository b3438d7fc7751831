//! Codecs and profiles of picture and sound.
use crate::case::{Case, CheckOutcome};
use crate::policy::{Check, Scope};
use crate::value::Names;
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Codecs are those of the component.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CodecCheck {
    /// Whether a finding fails the asset.
    pub severity: Severity,
    /// Picture codecs allowed where the component names none.
    pub video: Names,
    /// Sound codecs allowed where the component names none.
    pub audio: Names,
}

impl Check for CodecCheck {
    const SCOPE: Scope = Scope::Streams;

    fn bare() -> Option<CodecCheck> {
        Some(CodecCheck::default())
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let check = case.limits::<CodecCheck>();
        let format = case.component.and_then(|c| c.video.as_ref());
        let picture = format
            .map(|f| &f.codec.0)
            .filter(|n| !n.is_empty())
            .or(check.map(|c| &c.video.0))
            .filter(|n| !n.is_empty());
        let profile = format.map(|f| &f.profile).filter(|names| !names.is_empty());
        let sound = case
            .component
            .map(|c| c.audio_codecs())
            .filter(|n| !n.is_empty());
        let sound = sound
            .or(check.map(|c| c.audio.0.as_slice()))
            .filter(|n| !n.is_empty());
        let picture = picture.filter(|_| case.role.has_picture());
        let levelled = format.is_some_and(|f| !f.level.is_empty());
        if !case.role.is_timed_media()
            || (picture.is_none() && sound.is_none() && profile.is_none() && !levelled)
        {
            return CheckOutcome::NotApplicable;
        }
        let mut findings = Vec::new();
        let allowed = |names: &[String], name: &str| {
            names.iter().any(|known| known.eq_ignore_ascii_case(name))
        };
        match (&case.facts.video, picture) {
            (Some(video), Some(names)) if !allowed(names, &video.codec) => {
                findings.push(case.differs("the picture codec", &video.codec, &names.join(" or ")));
            }
            (None, Some(names)) => {
                findings.push(case.differs("the picture codec", "none", &names.join(" or ")))
            }
            _ => {}
        }
        if let (Some(video), Some(names)) = (&case.facts.video, profile) {
            let is = video.profile.as_deref().unwrap_or("unknown");
            if !names.has(is) {
                findings.push(case.differs("the picture profile", is, &names.0.join(" or ")));
            }
        }
        let level = format.map(|f| &f.level).filter(|names| !names.is_empty());
        if let (Some(video), Some(names)) = (&case.facts.video, level) {
            let is = video
                .level
                .map_or_else(|| "unknown".to_owned(), |level| level.to_string());
            if !names.has(&is) {
                findings.push(case.differs(
                    "the level of the picture codec",
                    &is,
                    &names.0.join(" or "),
                ));
            }
        }
        for stream in &case.facts.audio {
            if let Some(names) = sound.filter(|names| !allowed(names, &stream.codec)) {
                let mut finding =
                    case.differs("the sound codec", &stream.codec, &names.join(" or "));
                finding.stream = Some(stream.index);
                findings.push(finding);
            }
        }
        CheckOutcome::Judged(findings)
    }
}
