//! Fields of MediaInfo.
use crate::case::{Case, CheckOutcome};
use crate::needs::{Asked, Needs};
use crate::policy::{Check, Scope};
use crate::value::Names;
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Fields of MediaInfo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MediaInfoCheck {
    /// Whether a finding fails the asset.
    #[serde(default)]
    pub severity: Severity,
    /// Values allowed by field: `General.Format_Profile: OP-1a`; the second track of a kind is `Audio[2]`.
    pub facts: BTreeMap<String, Names>,
}

impl Check for MediaInfoCheck {
    const SCOPE: Scope = Scope::File;

    fn needs(asked: &Asked<'_>, needs: &mut Needs) {
        needs.mediainfo = asked.limits::<MediaInfoCheck>().is_some();
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let Some(check) = case.limits::<MediaInfoCheck>() else {
            return CheckOutcome::NotApplicable;
        };
        if !case.role.is_timed_media() {
            return CheckOutcome::NotApplicable;
        }
        let Some(answer) = &case.facts.mediainfo else {
            return CheckOutcome::unknown("MediaInfo was not asked");
        };
        if let Some(why) = &answer.trouble {
            return CheckOutcome::unknown(format!("MediaInfo: {why}"));
        }
        let mut findings = Vec::new();
        for (field, allowed) in &check.facts {
            let is = answer.facts.get(field).map_or("absent", String::as_str);
            if !allowed.has(is) {
                findings.push(case.differs(
                    &format!("MediaInfo's {field}"),
                    is,
                    &allowed.0.join(" or "),
                ));
            }
        }
        CheckOutcome::Judged(findings)
    }
}
