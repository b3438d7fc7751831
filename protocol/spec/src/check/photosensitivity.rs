//! Photosensitive epilepsy. Broadcasters want the result of an approved device; nothing here is one, so nothing is claimed.
use crate::case::{Case, CheckOutcome};
use crate::media_under_test::MediaUnderTest;
use crate::policy::{Check, Scope};
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The manifest column with the number of the certificate.
pub(crate) const COLUMN: &str = "pse_certificate";

/// Photosensitive epilepsy: that the source declares the certificate of an approved device. It is not measured.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PhotosensitivityCheck {
    /// Whether a finding fails the asset.
    pub severity: Severity,
}

impl Check for PhotosensitivityCheck {
    const SCOPE: Scope = Scope::File;

    fn bare() -> Option<PhotosensitivityCheck> {
        Some(PhotosensitivityCheck::default())
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        if case.limits::<PhotosensitivityCheck>().is_none() || !case.role.has_picture() {
            return CheckOutcome::NotApplicable;
        }
        match certificate(case.media) {
            // The report records it as declared by the source.
            Some(_) => CheckOutcome::fine(),
            None => CheckOutcome::unknown(format!(
                "not_measurable: it takes an approved device; let the source declare its certificate in the column {COLUMN}"
            )),
        }
    }
}

/// The certificate the source declares.
pub(crate) fn certificate(media: &MediaUnderTest) -> Option<&str> {
    media
        .meta
        .get(COLUMN)
        .map(|number| number.trim())
        .filter(|number| !number.is_empty())
}
