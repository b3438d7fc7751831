//! Black lines and columns at the edges of the picture: letterbox, pillarbox and the blanking of analogue sources.
use crate::facts::VideoPass;
use crate::picture_measure::PictureMeasure;
use crate::streams::VideoStream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Name in needs and facts.
pub(crate) const NAME: &str = "blanking";
/// One picture in this many is looked at. The edges that stay black are black in all of them.
const EVERY: u32 = 10;

/// Lines and columns at the edges that are black in every picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Blanking {
    /// Lines at the top.
    pub top: u32,
    /// Lines at the bottom.
    pub bottom: u32,
    /// Columns at the left.
    pub left: u32,
    /// Columns at the right.
    pub right: u32,
}

impl Blanking {
    /// The result of the measurement, where one was made.
    pub(crate) fn of(measured: &VideoPass) -> Option<Blanking> {
        serde_json::from_value(measured.measures.get(NAME)?.clone()).ok()
    }
}

/// The detector as a measurement of the picture.
pub(crate) struct Detector;

impl PictureMeasure for Detector {
    fn name(&self) -> &'static str {
        NAME
    }

    fn filter(&self, _settings: &Value, _video: &VideoStream) -> String {
        // `reset=0` keeps the largest area that was not black in any picture; `skip=0` also looks at the first ones.
        format!(
            "select='not(mod(n,{EVERY}))',metadata=mode=delete,cropdetect=round=2:skip=0:reset=0"
        )
    }

    fn read(&self, marks: &str, video: &VideoStream) -> Option<Value> {
        let last = |key: &str| -> Option<u32> {
            let prefix = format!("lavfi.cropdetect.{key}=");
            marks
                .lines()
                .rev()
                .find_map(|line| line.strip_prefix(&prefix))?
                .trim()
                .parse()
                .ok()
        };
        let (x1, x2, y1, y2) = (last("x1")?, last("x2")?, last("y1")?, last("y2")?);
        // Where nothing but black was seen, the area has no inside.
        if x1 >= x2 || y1 >= y2 {
            return None;
        }
        let blanking = Blanking {
            top: y1,
            bottom: video.height.checked_sub(1)?.checked_sub(y2)?,
            left: x1,
            right: video.width.checked_sub(1)?.checked_sub(x2)?,
        };
        serde_json::to_value(blanking).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(marks: &str) -> Option<Blanking> {
        let video = VideoStream {
            width: 320,
            height: 180,
            ..VideoStream::default()
        };
        Detector
            .read(marks, &video)
            .and_then(|value| serde_json::from_value(value).ok())
    }

    #[test]
    fn last_picture_holds_the_largest_area() {
        let marks = "frame:0 pts:0 pts_time:0\nlavfi.cropdetect.x1=319\nlavfi.cropdetect.x2=0\nlavfi.cropdetect.y1=179\n\
                     lavfi.cropdetect.y2=0\nframe:1 pts:10 pts_time:0.4\nlavfi.cropdetect.x1=0\nlavfi.cropdetect.x2=315\n\
                     lavfi.cropdetect.y1=20\nlavfi.cropdetect.y2=159\nlavfi.cropdetect.w=316\n";
        assert_eq!(
            read(marks),
            Some(Blanking {
                top: 20,
                bottom: 20,
                left: 0,
                right: 4
            })
        );
    }

    #[test]
    fn black_or_torn_marks_are_no_measurement() {
        let black = "lavfi.cropdetect.x1=319\nlavfi.cropdetect.x2=0\nlavfi.cropdetect.y1=179\nlavfi.cropdetect.y2=0\n";
        let outside = "lavfi.cropdetect.x1=0\nlavfi.cropdetect.x2=999\nlavfi.cropdetect.y1=0\nlavfi.cropdetect.y2=9\n";
        for marks in [
            "",
            "lavfi.cropdetect.x1=-1\n",
            "lavfi.cropdetect.x1=0\nlavfi.cropdetect.x2=9\n",
            black,
            outside,
        ] {
            assert_eq!(read(marks), None, "{marks}");
        }
    }
}
