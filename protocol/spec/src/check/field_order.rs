//! The scan as flagged and as the picture shows it.
use crate::case::{Case, CheckOutcome};
use crate::measure::scan::Scan;
use crate::needs::{Asked, Needs};
use crate::policy::{Check, Scope};
use crate::value::FieldOrder;
use protocol::model::qc::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Share of frames that must show fields before they are believed to be in the picture. At the threshold used for
/// progressive demands, clean test patterns show none and interlaced ones 8 to 100 % (measured).
const SHARE_MIN: f64 = 0.05;
/// Share of the frames taken for interlaced that must agree on the first field. Fine synthetic patterns fool the detector
/// into seeing both orders by turns, which no interlaced picture has.
const AGREE_MIN: f64 = 0.80;

/// The scan this role must have.
fn demanded(case: &Case<'_>) -> Option<FieldOrder> {
    let format = case.component.and_then(|c| c.video.as_ref());
    format
        .and_then(|f| f.field_order)
        .or(case.limits::<FieldOrderCheck>().and_then(|c| c.is))
}

/// How much rougher than whole frames a picture's fields must look to be taken for two moments, for the scan a spec demands
/// of this role; `None` when it demands none. Fine progressive patterns reach idet's own 1.04, so a progressive demand asks
/// for more before it is contradicted (measured on test patterns).
fn threshold(asked: &Asked<'_>) -> Option<f64> {
    let of_role = asked
        .component
        .and_then(|component| component.video.as_ref()?.field_order);
    of_role
        .or(asked.limits::<FieldOrderCheck>().and_then(|check| check.is))
        .map(|want| match want {
            FieldOrder::Progressive => 1.2,
            FieldOrder::Tff | FieldOrder::Bff => 1.04,
        })
}

/// Scan as flagged and as seen in the picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FieldOrderCheck {
    /// Whether a finding fails the asset.
    pub severity: Severity,
    /// Order where the component names none.
    pub is: Option<FieldOrder>,
    /// Frames whose scan must be visible before the picture overrules the flag.
    pub frames_min: u32,
}

impl Default for FieldOrderCheck {
    fn default() -> FieldOrderCheck {
        FieldOrderCheck {
            severity: Severity::Mandatory,
            is: None,
            frames_min: 12,
        }
    }
}

impl Check for FieldOrderCheck {
    const SCOPE: Scope = Scope::Picture;

    fn bare() -> Option<FieldOrderCheck> {
        Some(FieldOrderCheck::default())
    }

    fn needs(asked: &Asked<'_>, needs: &mut Needs) {
        needs.scan = threshold(asked).filter(|_| asked.picture);
    }

    fn judge(case: &Case<'_>) -> CheckOutcome {
        let Some(want) = demanded(case) else {
            return CheckOutcome::NotApplicable;
        };
        let (video, seen) = match case
            .picture()
            .and_then(|video| Ok((video, case.measured_picture()?)))
        {
            Ok(both) => both,
            Err(outcome) => return outcome,
        };
        let frames_min = case
            .limits::<FieldOrderCheck>()
            .map_or(FieldOrderCheck::default().frames_min, |c| c.frames_min);
        let visible = seen
            .scan
            .and_then(|scan| visible(scan, want, u64::from(frames_min)));
        let (is, how) = match (visible, video.field_order) {
            (Some(visible), _) if visible != want => (visible, "seen in the picture"),
            // A still picture does not show its fields; then only the flag counts.
            (_, Some(flag)) if flag != want => (flag, "flagged"),
            (None, None) => {
                return CheckOutcome::unknown(
                    "the scan is not flagged and too few moving frames show it",
                );
            }
            _ => return CheckOutcome::fine(),
        };
        let message = format!(
            "the scan is {} ({how}), {} is demanded",
            is.as_str(),
            want.as_str()
        );
        CheckOutcome::Judged(vec![case.finding(
            is.as_str().into(),
            want.as_str().into(),
            "",
            message,
        )])
    }
}

/// The scan the picture shows. A minority counts against a demand it contradicts: stray misjudged frames do not.
fn visible(scan: Scan, want: FieldOrder, frames_min: u64) -> Option<FieldOrder> {
    let frames = scan.tff + scan.bff + scan.progressive;
    if frames == 0 || scan.decided < frames_min.max(1) {
        return None;
    }
    let interlaced = if scan.tff >= scan.bff {
        FieldOrder::Tff
    } else {
        FieldOrder::Bff
    };
    let share = (scan.tff + scan.bff) as f64 / frames as f64;
    if share > SHARE_MIN
        && (scan.tff.max(scan.bff) as f64) < AGREE_MIN * (scan.tff + scan.bff) as f64
    {
        return None;
    }
    if want == FieldOrder::Progressive {
        let enough = share > SHARE_MIN && scan.tff + scan.bff >= frames_min;
        return Some(if enough {
            interlaced
        } else {
            FieldOrder::Progressive
        });
    }
    // Interlaced programmes may hold progressive parts; fields must show at least now and then, in the right order.
    Some(if share > SHARE_MIN {
        interlaced
    } else {
        FieldOrder::Progressive
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(tff: u64, bff: u64, progressive: u64) -> Scan {
        Scan {
            tff,
            bff,
            progressive,
            decided: tff + bff + progressive,
        }
    }

    #[test]
    fn a_few_misjudged_frames_decide_nothing() {
        assert_eq!(
            visible(scan(3, 2, 240), FieldOrder::Progressive, 12),
            Some(FieldOrder::Progressive)
        );
        assert_eq!(visible(scan(4, 0, 3), FieldOrder::Progressive, 12), None);
        assert_eq!(
            visible(
                Scan {
                    decided: 3,
                    ..scan(44, 0, 56)
                },
                FieldOrder::Progressive,
                12
            ),
            None
        );
        assert_eq!(
            visible(scan(221, 0, 5), FieldOrder::Tff, 12),
            Some(FieldOrder::Tff)
        );
    }

    #[test]
    fn fields_that_contradict_each_other_are_no_evidence() {
        // Measured on a progressive test pattern at 1280x720.
        assert_eq!(visible(scan(98, 70, 82), FieldOrder::Progressive, 12), None);
        assert_eq!(visible(scan(98, 70, 82), FieldOrder::Tff, 12), None);
    }

    #[test]
    fn the_picture_shows_its_scan() {
        assert_eq!(
            visible(scan(250, 0, 0), FieldOrder::Progressive, 12),
            Some(FieldOrder::Tff)
        );
        assert_eq!(
            visible(scan(0, 250, 0), FieldOrder::Tff, 12),
            Some(FieldOrder::Bff)
        );
        assert_eq!(
            visible(scan(0, 0, 250), FieldOrder::Tff, 12),
            Some(FieldOrder::Progressive)
        );
    }
}
