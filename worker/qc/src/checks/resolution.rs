//! Stored width and height, as the spec demands them and as the source declared them.
use super::{Case, Ruling};

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let format = case.component.and_then(|c| c.video.as_ref());
    let check = case.policy.resolution.as_ref();
    let demanded = (
        format.and_then(|f| f.width).or(check.and_then(|c| c.width)),
        format.and_then(|f| f.height).or(check.and_then(|c| c.height)),
    );
    let declared = (case.subject.width, case.subject.height);
    let stated = [demanded, declared].iter().any(|(width, height)| width.is_some() || height.is_some());
    // Stills have a size, too.
    let applies = case.role.has_picture() || case.role == protocol::media::asset::Role::Artwork;
    if !applies || !stated {
        return Ruling::NotApplicable;
    }
    let Some(video) = &case.facts.video else { return Ruling::unknown("there is no picture in it") };
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
        findings.push(case.differs("resolution", "the picture", &is, &text(demanded)));
    } else if differs(declared) {
        let message = format!("the picture is {is}, its source declared {}", text(declared));
        findings.push(case.finding("resolution", is.into(), text(declared).into(), "px", message));
    }
    Ruling::Judged(findings)
}
