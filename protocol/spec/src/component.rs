//! What a spec demands of one media object: its role, picture format and sound format.
use crate::value::{ColorRange, FieldOrder, FrameRate, Names, Ratio};
use protocol::media::asset::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One media object of a delivery. Also what QC expects of an asset with this role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// What the object is for.
    pub role: Role,
    /// Picture format that the object must have; not checked when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<VideoFormat>,
    /// Sound format; the keys `codec`, `channels` and `sample_rate` of the component are a short form of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<AudioFormat>,
    /// Languages needed, one object each (BCP 47).
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub languages: Names,
    /// Sound codecs allowed, as ffprobe names them.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub codec: Names,
    /// Channels of the sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<u32>,
    /// Samples per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<u32>,
}

impl Component {
    /// Sound codecs allowed; empty means any.
    pub fn audio_codecs(&self) -> &[String] {
        match &self.audio {
            Some(audio) if !audio.codec.is_empty() => &audio.codec.0,
            _ => &self.codec.0,
        }
    }

    /// Number of channels that the sound must have, from the full form or the short form.
    pub fn audio_channels(&self) -> Option<u32> {
        self.audio
            .as_ref()
            .and_then(|a| a.channels)
            .or(self.channels)
    }

    /// Samples per second demanded.
    pub fn audio_sample_rate(&self) -> Option<u32> {
        self.audio
            .as_ref()
            .and_then(|a| a.sample_rate)
            .or(self.sample_rate)
    }

    /// Whether anything is demanded of its sound, so that a file without sound cannot satisfy it.
    pub fn wants_sound(&self) -> bool {
        self.role == Role::Audio
            || self.audio.is_some()
            || !self.codec.is_empty()
            || self.channels.is_some()
            || self.sample_rate.is_some()
    }
}

/// Picture format; what is absent is not demanded.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VideoFormat {
    /// Codecs allowed, as ffprobe names them.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub codec: Names,
    /// Profiles allowed, as ffprobe names them.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub profile: Names,
    /// Levels allowed, as ffprobe numbers them (`41` is H.264 4.1).
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub level: Names,
    /// Width in stored pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height in stored pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Frames per second; a constant rate is implied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_rate: Option<FrameRate>,
    /// Scan: progressive, or which field is first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_order: Option<FieldOrder>,
    /// Range of the code values: limited (`tv`) or full (`pc`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<ColorRange>,
    /// Matrix coefficients as ffprobe names them (`bt709`, `smpte170m`, `bt2020nc`).
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub matrix: Names,
    /// Colour primaries as ffprobe names them.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub primaries: Names,
    /// Transfer characteristic as ffprobe names it.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub transfer: Names,
    /// Pixel formats allowed, as ffmpeg names them.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub pix_fmt: Names,
    /// Bits per component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bit_depth: Option<u32>,
    /// Shape of the displayed picture (`16:9`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aspect: Option<Ratio>,
    /// Shape of one pixel (`1:1`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sar: Option<Ratio>,
}

/// Sound format; what is absent is not demanded.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AudioFormat {
    /// Codecs allowed, as ffprobe names them.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub codec: Names,
    /// Number of channels of the programme.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<u32>,
    /// Samples per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<u32>,
}
