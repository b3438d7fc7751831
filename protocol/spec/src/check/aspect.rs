//! Shape of a pixel and of the displayed picture.
use crate::case::{Case, CheckOutcome};
use crate::policy::{Check, Scope};
use crate::value::{FrameRate, Ratio};
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Shape of pixel and picture.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AspectCheck {
    /// Whether a finding fails the asset.
    pub severity: Severity,
    /// Pixel shape where the component names none.
    pub sar: Option<Ratio>,
    /// Picture shape where the component names none.
    pub dar: Option<Ratio>,
}

impl Check for AspectCheck {
    const SCOPE: Scope = Scope::Picture;

    fn bare() -> Option<AspectCheck> {
        Some(AspectCheck::default())
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let format = case.component.and_then(|c| c.video.as_ref());
        let check = case.limits::<AspectCheck>();
        let sar = format.and_then(|f| f.sar).or(check.and_then(|c| c.sar));
        let dar = format.and_then(|f| f.aspect).or(check.and_then(|c| c.dar));
        if sar.is_none() && dar.is_none() {
            return CheckOutcome::NotApplicable;
        }
        let video = match case.picture() {
            Ok(video) => video,
            Err(outcome) => return outcome,
        };
        // Without a flag pixels are square: every player takes them so.
        let is = video.sar.unwrap_or(Ratio { num: 1, den: 1 });
        let mut findings = Vec::new();
        if let Some(want) = sar.filter(|want| *want != is) {
            findings.push(case.differs("the shape of a pixel", &is.to_string(), &want.to_string()));
        }
        let shown = video
            .width
            .checked_mul(is.num)
            .zip(video.height.checked_mul(is.den));
        let shown = shown
            .and_then(|(width, height)| FrameRate::reduced(width, height))
            .map(|r| Ratio {
                num: r.num,
                den: r.den,
            });
        match (dar, shown) {
            (Some(want), Some(shown)) if want != shown => {
                findings.push(case.differs(
                    "the shape of the picture",
                    &shown.to_string(),
                    &want.to_string(),
                ));
            }
            (Some(_), None) => return CheckOutcome::unknown("the picture has no size"),
            _ => {}
        }
        CheckOutcome::Judged(findings)
    }
}
