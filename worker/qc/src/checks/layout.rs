//! Layout of each sound stream. PCM in MXF and WAV often flags none: then it is what the source declared, or unknown.
use super::{Case, Ruling};

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let Some(check) = &case.policy.layout else { return Ruling::NotApplicable };
    if let Err(ruling) = case.sound() {
        return ruling;
    }
    let declared =
        case.subject.meta.get("channel_layout").map(|layout| layout.trim()).filter(|layout| !layout.is_empty());
    let mut findings = Vec::new();
    for stream in &case.facts.audio {
        let Some(is) = stream.layout.as_deref().or(declared) else {
            return Ruling::unknown(format!(
                "stream {} flags no layout: let its source declare it in the column channel_layout",
                stream.index
            ));
        };
        if !check.any.has(is) {
            let mut finding = case.differs("layout", "the channel layout", is, &check.any.0.join(" or "));
            finding.stream = Some(stream.index);
            findings.push(finding);
        }
    }
    Ruling::Judged(findings)
}
