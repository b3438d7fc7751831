//! Stored width and height, as the spec demands them and as the source declared them.
use crate::case::{Case, CheckOutcome};
use crate::policy::{Check, Scope};
use protocol::media::asset::Role;
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Stored width and height are those of the component.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResolutionCheck {
    /// Whether a finding fails the asset.
    pub severity: Severity,
    /// Width where the component names none.
    pub width: Option<u32>,
    /// Height where the component names none.
    pub height: Option<u32>,
}

impl Check for ResolutionCheck {
    const SCOPE: Scope = Scope::Picture;

    fn bare() -> Option<ResolutionCheck> {
        Some(ResolutionCheck::default())
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let format = case.component.and_then(|c| c.video.as_ref());
        let check = case.limits::<ResolutionCheck>();
        let demanded = (
            format.and_then(|f| f.width).or(check.and_then(|c| c.width)),
            format
                .and_then(|f| f.height)
                .or(check.and_then(|c| c.height)),
        );
        let declared = (case.media.width, case.media.height);
        let stated = [demanded, declared]
            .iter()
            .any(|(width, height)| width.is_some() || height.is_some());
        // Stills have a size, too.
        let applies = case.role.has_picture() || case.role == Role::Artwork;
        if !applies || !stated {
            return CheckOutcome::NotApplicable;
        }
        let Some(video) = &case.facts.video else {
            return CheckOutcome::unknown("there is no picture in it");
        };
        let is = format!("{}x{}", video.width, video.height);
        let differs = |(width, height): (Option<u32>, Option<u32>)| {
            width.is_some_and(|w| w != video.width) || height.is_some_and(|h| h != video.height)
        };
        let text = |(width, height): (Option<u32>, Option<u32>)| {
            let side = |side: Option<u32>| side.map_or("any".to_owned(), |n| n.to_string());
            format!("{}x{}", side(width), side(height))
        };
        let mut findings = Vec::new();
        if differs(demanded) {
            findings.push(case.differs("the picture", &is, &text(demanded)));
        } else if differs(declared) {
            let message = format!(
                "the picture is {is}, its source declared {}",
                text(declared)
            );
            findings.push(case.finding(is.into(), text(declared).into(), "px", message));
        }
        CheckOutcome::Judged(findings)
    }
}
