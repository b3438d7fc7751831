//! The media programs that measuring runs, and their limits.
use std::time::Duration;

/// Media programs and how they may use the machine.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The ffmpeg program.
    pub ffmpeg: String,
    /// The ffprobe program.
    pub ffprobe: String,
    /// The mediainfo program, run where a policy names it.
    pub mediainfo: String,
    /// The mediaconch program, run where a policy names it.
    pub mediaconch: String,
    /// Decoder threads of one QC pass.
    pub threads: u32,
    /// Time any QC pass gets, however short the media.
    pub qc_timeout_min: Duration,
    /// Seconds a QC pass gets on top for each second of media.
    pub qc_timeout_factor: u32,
}

impl Default for Tools {
    fn default() -> Tools {
        Tools {
            ffmpeg: "ffmpeg".into(),
            ffprobe: "ffprobe".into(),
            mediainfo: "mediainfo".into(),
            mediaconch: "mediaconch".into(),
            threads: 1,
            // A busy core decodes 1080p at about its own speed and UHD at a fifth of it: thirty times is a hang.
            qc_timeout_min: Duration::from_secs(300),
            qc_timeout_factor: 30,
        }
    }
}
