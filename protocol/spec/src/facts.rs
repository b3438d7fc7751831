//! Everything measured about one file. Checks read this and nothing else, so a sheet can be judged again later.
use crate::measure::levels::Levels;
use crate::measure::loudness_curve::{Curve, Peak};
use crate::measure::scan::Scan;
pub use crate::streams::{AudioStream, Container, VideoStream};
use crate::stretch::Stretch;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Everything measured about a file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FactSheet {
    /// Size in bytes.
    pub bytes: u64,
    /// Hash of the bytes, `xxh128:hex`.
    pub hash: Option<String>,
    /// Hash of the bytes by the algorithm the source declared one in, when the policy compares them.
    pub declared_hash: Option<String>,
    /// Versions of the programs that measured.
    pub tools: BTreeMap<String, String>,
    /// Why the file cannot be read; everything else is then empty.
    pub unreadable: Option<String>,
    /// Container of the file; absent when it was not probed.
    pub container: Option<Container>,
    /// The first real picture stream.
    pub video: Option<VideoStream>,
    /// Further picture streams, judged as the first one is.
    #[serde(default)]
    pub other_video: Vec<VideoStream>,
    /// Sound streams, in the order of the file.
    pub audio: Vec<AudioStream>,
    /// Subtitle streams in the file.
    pub subtitle_streams: u32,
    /// Whether the file ends where its structure declares its end.
    pub structure: Structure,
    /// What the decode found, when one was made.
    pub pass: Option<Pass>,
    /// A subtitle or caption file.
    pub text: Option<TimedText>,
    /// Fields of MediaInfo, when the policy demands them.
    #[serde(default)]
    pub mediainfo: Option<MediaInfo>,
    /// Result of MediaConch, when the policy demands it.
    #[serde(default)]
    pub mediaconch: Option<MediaConch>,
}

/// The answer of MediaInfo.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct MediaInfo {
    /// Why there is no answer.
    pub trouble: Option<String>,
    /// Values by field, `General.Format` and `Audio[2].Channels`.
    pub facts: BTreeMap<String, String>,
}

/// The answer of MediaConch for one policy.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct MediaConch {
    /// Why there is no answer.
    pub trouble: Option<String>,
    /// The policy that the file was compared with.
    pub policy: String,
    /// Rules that failed, with what was found.
    pub failed: Vec<String>,
}

impl FactSheet {
    /// The sheet as it were if a further picture stream were the only stream of the file.
    pub fn of_other_picture(&self, n: usize) -> Option<FactSheet> {
        let video = self.other_video.get(n)?.clone();
        let pass = self.pass.as_ref().map(|pass| Pass {
            video: pass.other_video.get(n).cloned().flatten(),
            other_video: Vec::new(),
            audio: Vec::new(),
            ..pass.clone()
        });
        Some(FactSheet {
            video: Some(video),
            other_video: Vec::new(),
            audio: Vec::new(),
            pass,
            ..self.clone()
        })
    }
}

/// Whether a container ends where its structure declares its end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Structure {
    /// A format whose end is not checked here.
    #[default]
    Unknown,
    /// The file ends where it declares.
    Whole,
    /// The file ends too early; the text names what is missing.
    #[serde(rename = "cut")]
    Truncated(String),
}

/// What one decode of the whole file found. `None` means not measured, by choice or by accident.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Pass {
    /// Why nothing of it can be trusted: a filter failed, the program died, it took too long.
    pub broken: Option<String>,
    /// Version of the program that decoded.
    pub ffmpeg: Option<String>,
    /// Errors the demuxer and decoders reported.
    pub errors: u64,
    /// The first errors.
    pub messages: Vec<String>,
    /// Where the errors are, to within the interval of the decoder's progress lines.
    #[serde(default)]
    pub error_times: Vec<Stretch>,
    /// Hash of each stream's packets by its index, `md5:hex`: it stays when only the wrapper changes.
    #[serde(default)]
    pub essence: BTreeMap<u32, String>,
    /// Whether the demuxer missed bytes its index promised.
    pub missing_bytes: bool,
    /// Whether a stream changed its format on the way, which restarts every measurement.
    pub format_changes: bool,
    /// Measurements of the first picture; absent when none was decoded.
    pub video: Option<VideoPass>,
    /// Further pictures; `None` where not one frame was decoded.
    #[serde(default)]
    pub other_video: Vec<Option<VideoPass>>,
    /// The sound, one entry for each programme (a stream, or two mono streams that belong together).
    pub audio: Vec<AudioPass>,
}

/// What decoding the picture found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct VideoPass {
    /// Number of frames that were decoded.
    pub frames: u64,
    /// Frames that lasted longer or shorter than the first.
    pub odd_frames: u64,
    /// Seconds between the longest and the shortest frame.
    pub jitter: f64,
    /// Seconds from the start of the file to the end of the last frame.
    pub end: f64,
    /// Scan seen in the picture.
    pub scan: Option<Scan>,
    /// Black stretches of any length.
    pub black: Option<Vec<Stretch>>,
    /// Stretches without motion, black ones included.
    pub freeze: Option<Vec<Stretch>>,
    /// Luma outside EBU R 103.
    pub levels: Option<Levels>,
    /// Red, green or blue outside EBU R 103.
    #[serde(default)]
    pub gamut: Option<Levels>,
    /// Results of further measurements, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measures: BTreeMap<String, Value>,
}

/// What decoding a programme's sound found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AudioPass {
    /// ffprobe's index of its streams.
    pub streams: Vec<u32>,
    /// Number of its first channel, counted from 1 over the file.
    pub first_channel: u32,
    /// Number of channels in its streams.
    pub channels: u32,
    /// Seconds from the start of the file to its last sample.
    pub end: f64,
    /// Seconds of sound.
    pub seconds: f64,
    /// Silent stretches of each channel.
    pub silence: Option<Vec<Vec<Stretch>>>,
    /// RMS level of each channel in dB; `None` in a slot is digital silence.
    pub rms: Option<Vec<Option<f64>>>,
    /// Mean of each channel as a share of full scale; `None` in a slot is no number.
    #[serde(default)]
    pub dc_offset: Option<Vec<Option<f64>>>,
    /// Integrated loudness in LUFS.
    pub loudness: Option<f64>,
    /// Loudness range in LU.
    #[serde(default)]
    pub loudness_range: Option<f64>,
    /// Highest short-term loudness in LUFS and when it was reached.
    #[serde(default)]
    pub short_term: Option<Peak>,
    /// Highest momentary loudness in LUFS and when it was reached.
    #[serde(default)]
    pub momentary: Option<Peak>,
    /// Short-term loudness in the course of time.
    #[serde(default)]
    pub curve: Curve,
    /// True peak in dBTP.
    pub true_peak: Option<f64>,
    /// Stretches in which left and right cancel; `None` when not stereo.
    pub out_of_phase: Option<Vec<Stretch>>,
}

impl AudioPass {
    /// Which channels are below `noise` in dB as a whole; `None` when their levels are not known.
    pub fn dead_channels(&self, noise: f64) -> Option<Vec<bool>> {
        let rms = self.rms.as_ref().filter(|rms| !rms.is_empty())?;
        Some(
            rms.iter()
                .map(|level| level.is_none_or(|level| level < noise))
                .collect(),
        )
    }
}

/// A subtitle or caption file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TimedText {
    /// `srt`, `webvtt` or `ttml`.
    pub format: String,
    /// Number of cues in the file.
    pub cues: u64,
    /// Seconds at which the last one ends.
    pub end: f64,
    /// What is wrong with it, with line numbers; the first ten.
    pub problems: Vec<String>,
}
