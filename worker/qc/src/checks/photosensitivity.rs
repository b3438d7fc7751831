//! Photosensitive epilepsy. Broadcasters want the result of an approved device; nothing here is one, so nothing is claimed.
use super::{Case, Ruling};

/// The manifest column with the number of the certificate.
pub(crate) const COLUMN: &str = "pse_certificate";

pub(super) fn run(case: &Case<'_>) -> Ruling {
    if case.policy.photosensitivity.is_none() || !case.role.has_picture() {
        return Ruling::NotApplicable;
    }
    match certificate(case.subject) {
        // Recorded in the report as what the source says.
        Some(_) => Ruling::fine(),
        None => Ruling::unknown(format!(
            "not_measurable: it takes an approved device; let the source declare its certificate in the column {COLUMN}"
        )),
    }
}

/// The certificate the source declares.
pub(crate) fn certificate(subject: &crate::Subject) -> Option<&str> {
    subject.meta.get(COLUMN).map(|number| number.trim()).filter(|number| !number.is_empty())
}
