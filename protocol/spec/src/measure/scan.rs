//! The scan that the picture shows: whole frames, or fields and which of them is first.
use crate::streams::VideoStream;
use serde::{Deserialize, Serialize};

/// Pictures narrower or lower than this are cheap enough to be measured whole.
const WHOLE_BELOW: (u32, u32) = (720, 64);

/// Frames by the scan that idet saw in them, each in the light of its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Scan {
    /// Upper field first.
    pub tff: u64,
    /// Lower field first.
    pub bff: u64,
    /// Frames without fields: progressive.
    pub progressive: u64,
    /// Frames that showed their scan by themselves: a still frame shows none and is counted with its neighbours above.
    pub decided: u64,
}

/// The detector; `threshold` is how much rougher than a whole frame a pair of fields must look.
pub(crate) fn filter(n: usize, threshold: f64, video: &VideoStream) -> String {
    // Fields comb wherever something moves: the middle of the picture shows it for a fraction of the cost. Four lines hold
    // two of each field in every plane, so the cut leaves their order as it is.
    let large = video.width >= WHOLE_BELOW.0 && video.height >= WHOLE_BELOW.1;
    let crop = if large {
        ",crop=w=iw/2:x=iw/4:h=4*floor(ih/8):y=4*floor(ih/16)"
    } else {
        ""
    };
    format!("{crop},idet@v{n}=intl_thres={threshold}")
}

/// Takes a line of the detector's summary: `Multi frame detection: TFF:     0 BFF:     0 Progressive:   250 Undetermined:
/// 0`, and before it the same for `Single frame detection`. The copy of the graph that saw no frames prints 0 throughout.
pub(crate) fn read_line(scan: &mut Option<Scan>, text: &str) {
    let Some((which, counts)) = text.split_once(" frame detection:") else {
        return;
    };
    let words: Vec<&str> = counts.split_whitespace().collect();
    let count = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + 1)?.parse::<u64>().ok()
    };
    let (Some(tff), Some(bff), Some(progressive)) =
        (count("TFF:"), count("BFF:"), count("Progressive:"))
    else {
        return;
    };
    let sum = tff.saturating_add(bff).saturating_add(progressive);
    let scan = scan.get_or_insert_default();
    match which {
        "Single" if sum > 0 => scan.decided = sum,
        "Multi" if sum > 0 => {
            *scan = Scan {
                tff,
                bff,
                progressive,
                decided: scan.decided,
            }
        }
        _ => {}
    }
}
