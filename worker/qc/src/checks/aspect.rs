//! Shape of a pixel and of the displayed picture.
use super::{Case, Ruling};
use protocol::media::spec::{FrameRate, Ratio};

pub(super) fn run(case: &Case<'_>) -> Ruling {
    let format = case.component.and_then(|c| c.video.as_ref());
    let check = case.policy.aspect.as_ref();
    let sar = format.and_then(|f| f.sar).or(check.and_then(|c| c.sar));
    let dar = format.and_then(|f| f.aspect).or(check.and_then(|c| c.dar));
    if sar.is_none() && dar.is_none() {
        return Ruling::NotApplicable;
    }
    let video = match case.picture() {
        Ok(video) => video,
        Err(ruling) => return ruling,
    };
    // Without a flag pixels are square: every player takes them so.
    let is = video.sar.unwrap_or(Ratio { num: 1, den: 1 });
    let mut findings = Vec::new();
    if let Some(want) = sar.filter(|want| *want != is) {
        findings.push(case.differs("aspect", "the shape of a pixel", &is.to_string(), &want.to_string()));
    }
    let shown = video.width.checked_mul(is.num).zip(video.height.checked_mul(is.den));
    let shown =
        shown.and_then(|(width, height)| FrameRate::reduced(width, height)).map(|r| Ratio { num: r.num, den: r.den });
    match (dar, shown) {
        (Some(want), Some(shown)) if want != shown => {
            findings.push(case.differs("aspect", "the shape of the picture", &shown.to_string(), &want.to_string()));
        }
        (Some(_), None) => return Ruling::unknown("the picture has no size"),
        _ => {}
    }
    Ruling::Judged(findings)
}
