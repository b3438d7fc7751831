//! From facts to a verdict: pure, so that a stored sheet can be judged again by another policy.
use super::checks::{CHECKS, Case, Ruling};
use super::facts::FactSheet;
use super::report::{Report, Verdict};
use super::subject::Subject;
use protocol::media::asset::Role;
use protocol::media::spec::{DeliverySpec, Severity};
use std::collections::BTreeMap;

/// Judges a sheet by a spec.
///
/// QC-1: what the spec demands and the sheet does not hold goes to `not_measured`, and then the verdict is never a pass; it
/// is `tool_error` unless something mandatory failed anyway. Warnings alone fail nothing.
pub fn judge(facts: &FactSheet, spec: &DeliverySpec, subject: &Subject, role: Role) -> Report {
    let case = Case::new(facts, spec, subject, role);
    let (mut findings, mut not_measured, mut reasons) = (Vec::new(), Vec::new(), BTreeMap::new());
    if let Some(why) = &facts.unreadable {
        reasons.insert("file".to_owned(), why.clone());
    }
    for check in &CHECKS {
        match (check.run)(&case) {
            Ruling::NotApplicable => {}
            // What a check says about a file that could not be read is not about the media.
            Ruling::Judged(_) if facts.unreadable.is_some() => not_measured.push(check.id.to_owned()),
            Ruling::Judged(found) => findings.extend(found),
            Ruling::NotMeasured(why) => {
                not_measured.push(check.id.to_owned());
                if facts.unreadable.is_none() {
                    reasons.insert(check.id.to_owned(), why);
                }
            }
        }
    }
    // A number that is none got past a check: the measurement is worthless, and so would be a verdict.
    findings.retain(|finding| {
        let broken = finding.measured.is_null() || finding.ranges.iter().flatten().any(|edge| !edge.is_finite());
        if broken {
            not_measured.push(finding.check.clone());
            reasons.insert(finding.check.clone(), "the measurement is not a number".to_owned());
        }
        !broken
    });
    findings.sort_by_key(|finding| finding.severity != Severity::Mandatory);
    let failed = findings.iter().any(|finding| finding.severity == Severity::Mandatory);
    let verdict = match (failed, facts.unreadable.is_some() || !not_measured.is_empty()) {
        (true, _) => Verdict::Fail,
        (false, true) => Verdict::ToolError,
        (false, false) => Verdict::Pass,
    };
    Report {
        file: subject.file.clone(),
        hash: facts.hash.clone().unwrap_or_default(),
        policy: spec.spec.clone(),
        policy_digest: spec.digest(),
        verdict,
        findings,
        not_measured,
        reasons,
        bytes: facts.bytes,
        tools: facts.tools.clone(),
    }
}
