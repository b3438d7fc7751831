//! Subtitle and caption files: well formed, in order, within the programme.
use super::{Case, Ruling, rounded};
use protocol::media::asset::Role;

pub(super) fn run(case: &Case<'_>) -> Ruling {
    // Made for every text asset, asked for or not: it is the only check that looks into them.
    if !matches!(case.role, Role::Subtitle | Role::Caption) {
        return Ruling::NotApplicable;
    }
    let Some(text) = &case.facts.text else { return Ruling::unknown("the text could not be read") };
    let mut findings = Vec::new();
    if !text.problems.is_empty() {
        let message = format!("the {} file is not in order: {}", text.format, text.problems.join("; "));
        findings.push(case.finding("captions", text.problems.len().into(), 0.into(), "problems", message));
    }
    let tolerance = case.policy.captions.clone().unwrap_or_default().tolerance.0.as_secs_f64();
    if let Some(declared) = case.subject.duration.filter(|declared| text.end > declared + tolerance) {
        let message = format!("the last cue ends at {:.2} s and the programme at {declared:.2} s", text.end);
        let mut finding = case.finding("captions", rounded(text.end), rounded(declared), "s", message);
        finding.ranges = vec![[super::round(declared), super::round(text.end)]];
        findings.push(finding);
    }
    Ruling::Judged(findings)
}
