//! Container and streams as flagged.
use crate::value::{FieldOrder, FrameRate, Ratio};
use serde::{Deserialize, Serialize};

/// The container format and its properties, as ffprobe shows them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Container {
    /// Names a policy may use for it (`mov`, `mp4`, `mxf`, `matroska`, …), the most exact first.
    pub names: Vec<String>,
    /// Declared duration in seconds.
    pub duration: Option<f64>,
    /// Seconds of its first time stamp.
    pub start: f64,
    /// Start timecode as written; in MXF that of the material package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timecode: Option<String>,
}

/// A picture stream as flagged.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct VideoStream {
    /// ffprobe's stream index.
    pub index: u32,
    /// Codec as ffprobe names it.
    pub codec: String,
    /// Profile as ffprobe names it.
    pub profile: Option<String>,
    /// Level as ffprobe numbers it.
    #[serde(default)]
    pub level: Option<i64>,
    /// Stored width in pixels.
    pub width: u32,
    /// Stored height in pixels.
    pub height: u32,
    /// Shape of a pixel.
    pub sar: Option<Ratio>,
    /// Pixel format as ffmpeg names it.
    pub pix_fmt: Option<String>,
    /// Colour range flag as ffprobe names it (`tv`, `pc`).
    pub range: Option<String>,
    /// Matrix coefficients flag as ffprobe names it.
    pub matrix: Option<String>,
    /// Colour primaries flag as ffprobe names it.
    pub primaries: Option<String>,
    /// Transfer characteristic flag as ffprobe names it.
    pub transfer: Option<String>,
    /// Scan flag: progressive, or which field is first.
    pub field_order: Option<FieldOrder>,
    /// Smallest rate that fits all time stamps.
    pub base_rate: Option<FrameRate>,
    /// Frames over duration.
    pub average_rate: Option<FrameRate>,
    /// Seconds of one tick of its clock.
    pub tick: f64,
    /// Declared duration in seconds.
    pub duration: Option<f64>,
    /// Seconds of its first picture after the start of the file.
    pub start: f64,
    /// Start timecode as written; in QuickTime that of the timecode track.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timecode: Option<String>,
}

impl VideoStream {
    /// The rate to speak of: the base rate unless it counts fields or is far from what is really shown.
    pub fn rate(&self) -> Option<FrameRate> {
        match (self.base_rate, self.average_rate) {
            (Some(base), Some(average)) => {
                let near = (base.per_second() / average.per_second() - 1.0).abs() < 0.001;
                Some(if near { base } else { average })
            }
            (base, average) => average.or(base),
        }
    }

    /// Bits of one component, from the pixel format's name.
    pub fn bit_depth(&self) -> Option<u32> {
        let name = self
            .pix_fmt
            .as_deref()?
            .trim_end_matches("le")
            .trim_end_matches("be");
        let digits = name
            .rsplit('p')
            .next()
            .filter(|tail| !tail.is_empty() && tail.len() <= 2);
        match digits.and_then(|tail| tail.parse().ok()) {
            Some(depth @ 9..=16) => Some(depth),
            _ => Some(8),
        }
    }
}

/// A sound stream as flagged.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AudioStream {
    /// ffprobe's stream index.
    pub index: u32,
    /// Codec as ffprobe names it.
    pub codec: String,
    /// Number of channels in the stream.
    pub channels: u32,
    /// Layout as ffprobe names it, when flagged.
    #[serde(default)]
    pub layout: Option<String>,
    /// Samples per second.
    pub sample_rate: u32,
    /// Language tag, when flagged.
    pub language: Option<String>,
    /// Declared duration in seconds.
    pub duration: Option<f64>,
    /// Seconds of its first sample after the start of the file.
    pub start: f64,
}
