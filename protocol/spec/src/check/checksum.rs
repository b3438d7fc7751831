//! The bytes have the hash their source declared.
use crate::case::{Case, CheckOutcome};
use crate::policy::{Check, Scope};
use protocol::model::hash::parse_hash;
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The bytes have the hash their source declared.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChecksumCheck {
    /// Whether a finding fails the asset.
    pub severity: Severity,
}

impl Check for ChecksumCheck {
    const SCOPE: Scope = Scope::File;

    fn bare() -> Option<ChecksumCheck> {
        Some(ChecksumCheck::default())
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        if case.limits::<ChecksumCheck>().is_none() {
            return CheckOutcome::NotApplicable;
        }
        let Some(declared) = &case.media.declared_hash else {
            return CheckOutcome::unknown("its source declared no hash");
        };
        let (algorithm, digest) = match parse_hash(declared) {
            Ok(parsed) => parsed,
            Err(why) => return CheckOutcome::unknown(why),
        };
        let want = format!("{}:{digest}", algorithm.as_str());
        match &case.facts.declared_hash {
            Some(is) if *is == want => CheckOutcome::fine(),
            Some(is) => CheckOutcome::Judged(vec![case.differs("the content hash", is, &want)]),
            None => CheckOutcome::unknown("the bytes could not be hashed"),
        }
    }
}
