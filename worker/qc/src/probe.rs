//! Container and stream facts by one ffprobe call.
use super::media::{self, Media};
use super::tool::Run;
use crate::Tools;
use protocol::failure::Failure;
use serde::Deserialize;
use spec::facts::{AudioStream, Container, VideoStream};
use spec::{FieldOrder, FrameRate, Ratio};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// ffprobe reads headers; a minute means a hanging disk.
const PROBE_TIMEOUT: Duration = Duration::from_secs(120);
/// A description of thousands of streams is an attack, not media.
const STDOUT_MAX: usize = 8 << 20;

/// Packets read to see whether a file holds more than one picture, as ffprobe writes an interval. More streams than that
/// are not looked for under the name of a still.
const PACKETS: &str = "%+#64";
/// Formats of stills whose names do not end in `_pipe`.
const STILL_FORMATS: [&str; 4] = ["gif", "apng", "jpegxl_anim", "fits"];
/// Brands of stills in a wrapper of media.
const STILL_BRANDS: [&str; 6] = ["avif", "heic", "heix", "heif", "mif1", "miaf"];

/// What ffprobe knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Probe {
    pub(super) container: Container,
    pub(super) video: Option<VideoStream>,
    pub(super) other_video: Vec<VideoStream>,
    pub(super) audio: Vec<AudioStream>,
    pub(super) subtitle_streams: u32,
    pub(super) version: String,
}

/// Why there is no probe.
pub(super) enum Unprobed {
    /// The file is not readable media; the text is the message of ffprobe.
    Unreadable(String),
    /// The machine is to blame, or the unit was cancelled.
    Failed(Failure),
}

/// A probe with the packets among the first [`PACKETS`] of the file.
pub(super) struct Sampled {
    pub(super) probe: Probe,
    /// Whether the format is one of stills.
    of_stills: bool,
    /// Packets of the stream with the most.
    packets: u64,
}

impl Sampled {
    /// Whether the file has a running time: sound, or more than one picture. A still is one packet in a format of stills.
    pub(super) fn plays(&self) -> bool {
        let still = self.of_stills && self.packets <= 1 && self.probe.audio.is_empty();
        !still && (self.probe.video.is_some() || !self.probe.audio.is_empty())
    }
}

/// Asks ffprobe about a file.
pub(super) async fn probe(
    media: &Media,
    tools: &Tools,
    cancel: &CancellationToken,
) -> Result<Probe, Unprobed> {
    document(media, &[], tools, cancel)
        .await
        .and_then(|document| document.probe().map_err(Unprobed::Unreadable))
}

/// The same, with the number of packets at the start of the file.
pub(super) async fn probe_packets(
    media: &Media,
    tools: &Tools,
    cancel: &CancellationToken,
) -> Result<Sampled, Unprobed> {
    let document = document(
        media,
        &["-count_packets", "-read_intervals", PACKETS],
        tools,
        cancel,
    )
    .await?;
    let (of_stills, packets) = (document.is_of_stills(), document.packets());
    let probe = document.probe().map_err(Unprobed::Unreadable)?;
    Ok(Sampled {
        probe,
        of_stills,
        packets,
    })
}

async fn document(
    media: &Media,
    options: &[&str],
    tools: &Tools,
    cancel: &CancellationToken,
) -> Result<Document, Unprobed> {
    let asked = [
        "-hide_banner",
        "-loglevel",
        "error",
        "-of",
        "json",
        "-show_format",
        "-show_streams",
    ];
    let arguments = media::arguments(&[&asked[..], &["-show_program_version"], options].concat());
    let run = Run {
        program: &tools.ffprobe,
        arguments,
        directory: None,
        media: Some(media),
        stdout_max: STDOUT_MAX,
        timeout: PROBE_TIMEOUT,
    };
    let (mut messages, mut refused) = (Vec::new(), None);
    let mut line = |text: &str| {
        refused = refused.take().or_else(|| media::refused_format(text));
        if messages.len() < 4 {
            messages.push(media::message(text.rsplit("] ").next().unwrap_or(text)).to_owned());
        }
    };
    let ended = run
        .finish(cancel, &mut line)
        .await
        .map_err(Unprobed::Failed)?;
    if let Some(format) = refused {
        let why = format!(
            "its format is {format}: only media that lies in one file is judged, and no other file is opened"
        );
        return Err(Unprobed::Unreadable(why));
    }
    if let Some(trouble) = ended.trouble {
        messages.retain(|text| !text.is_empty());
        let why = if messages.is_empty() {
            trouble
        } else {
            messages.join("; ")
        };
        return Err(Unprobed::Unreadable(why));
    }
    read(&ended.stdout).map_err(Unprobed::Unreadable)
}

fn read(json: &[u8]) -> Result<Document, String> {
    serde_json::from_slice(json)
        .map_err(|error| format!("ffprobe's answer cannot be read: {error}"))
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    streams: Vec<Stream>,
    format: Option<Format>,
    program_version: Option<Version>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct Format {
    format_name: Option<String>,
    duration: Option<String>,
    start_time: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Stream {
    #[serde(default)]
    index: u32,
    codec_type: Option<String>,
    codec_name: Option<String>,
    profile: Option<String>,
    level: Option<i64>,
    width: Option<u32>,
    height: Option<u32>,
    sample_aspect_ratio: Option<String>,
    pix_fmt: Option<String>,
    color_range: Option<String>,
    color_space: Option<String>,
    color_primaries: Option<String>,
    color_transfer: Option<String>,
    field_order: Option<String>,
    r_frame_rate: Option<String>,
    avg_frame_rate: Option<String>,
    time_base: Option<String>,
    duration: Option<String>,
    start_time: Option<String>,
    nb_read_packets: Option<String>,
    channels: Option<u32>,
    channel_layout: Option<String>,
    sample_rate: Option<String>,
    #[serde(default)]
    disposition: BTreeMap<String, i64>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

impl Document {
    fn probe(self) -> Result<Probe, String> {
        let Some(format) = &self.format else {
            return Err("ffprobe found no container".to_owned());
        };
        let container = Container {
            names: container_names(format),
            duration: seconds(format.duration.as_deref()),
            start: seconds(format.start_time.as_deref()).unwrap_or(0.0),
            timecode: timecode(&format.tags),
        };
        let of_type = |kind: &'static str| {
            self.streams
                .iter()
                .filter(move |s| s.codec_type.as_deref() == Some(kind))
        };
        // A cover picture is a video stream to ffprobe and none to a viewer.
        let is_picture = |s: &&Stream| {
            ["attached_pic", "timed_thumbnails"]
                .iter()
                .all(|d| s.disposition.get(*d) != Some(&1))
        };
        let mut pictures = of_type("video")
            .filter(is_picture)
            .map(|stream| video_stream(stream, container.start));
        let (video, other_video) = (pictures.next(), pictures.collect());
        let audio: Vec<_> = of_type("audio")
            .map(|stream| audio_stream(stream, container.start))
            .collect();
        if video.is_none() && audio.is_empty() && self.streams.is_empty() {
            return Err("there are no streams in it".to_owned());
        }
        let subtitle_streams = u32::try_from(of_type("subtitle").count()).unwrap_or(u32::MAX);
        let version = self.program_version.map(|v| v.version).unwrap_or_default();
        Ok(Probe {
            container,
            video,
            other_video,
            audio,
            subtitle_streams,
            version,
        })
    }

    /// Packets of the stream with the most.
    fn packets(&self) -> u64 {
        let counts = self
            .streams
            .iter()
            .filter_map(|stream| stream.nb_read_packets.as_deref()?.parse().ok());
        counts.max().unwrap_or(0)
    }

    /// Whether its format holds stills: one picture a file, or a wrapper that its brand makes one of stills.
    fn is_of_stills(&self) -> bool {
        let Some(format) = &self.format else {
            return false;
        };
        let name = format.format_name.as_deref().unwrap_or_default();
        let brand = format
            .tags
            .get("major_brand")
            .map_or("", |brand| brand.trim());
        name.ends_with("_pipe")
            || STILL_FORMATS.contains(&name)
            || (name.starts_with("mov,") && STILL_BRANDS.contains(&brand))
    }
}

/// ffprobe names a family (`mov,mp4,m4a,3gp,…`); the brand tells its members apart.
fn container_names(format: &Format) -> Vec<String> {
    let family = format.format_name.as_deref().unwrap_or_default();
    if !family.starts_with("mov,") {
        return family
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
    }
    let brand = format
        .tags
        .get("major_brand")
        .map_or("qt", |brand| brand.trim())
        .to_ascii_lowercase();
    let names: &[&str] = match brand.as_str() {
        "qt" => &["mov"],
        "m4a" | "m4b" => &["m4a", "mp4"],
        brand if brand.starts_with("3g") => &["3gp"],
        _ => &["mp4"],
    };
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn video_stream(stream: &Stream, container_start: f64) -> VideoStream {
    VideoStream {
        index: stream.index,
        codec: stream.codec_name.clone().unwrap_or_default(),
        profile: known(stream.profile.as_deref()),
        // Negative numbers mean an unknown level.
        level: stream.level.filter(|level| *level >= 0),
        width: stream.width.unwrap_or(0),
        height: stream.height.unwrap_or(0),
        sar: stream
            .sample_aspect_ratio
            .as_deref()
            .and_then(|text| Ratio::parse(text).ok()),
        pix_fmt: known(stream.pix_fmt.as_deref()),
        range: known(stream.color_range.as_deref()),
        matrix: known(stream.color_space.as_deref()),
        primaries: known(stream.color_primaries.as_deref()),
        transfer: known(stream.color_transfer.as_deref()),
        field_order: match stream.field_order.as_deref() {
            Some("progressive") => Some(FieldOrder::Progressive),
            // Two letters: the field coded first, the field shown first. What is shown counts.
            Some("tt" | "bt") => Some(FieldOrder::Tff),
            Some("bb" | "tb") => Some(FieldOrder::Bff),
            _ => None,
        },
        base_rate: stream
            .r_frame_rate
            .as_deref()
            .and_then(|text| FrameRate::parse(text).ok()),
        average_rate: stream
            .avg_frame_rate
            .as_deref()
            .and_then(|text| FrameRate::parse(text).ok()),
        tick: stream
            .time_base
            .as_deref()
            .and_then(|t| FrameRate::parse(t).ok())
            .map_or(0.0, FrameRate::per_second),
        duration: seconds(stream.duration.as_deref()),
        start: (seconds(stream.start_time.as_deref()).unwrap_or(container_start) - container_start)
            .max(0.0),
        timecode: timecode(&stream.tags),
    }
}

/// The start timecode as tagged. A longer text is none.
fn timecode(tags: &BTreeMap<String, String>) -> Option<String> {
    const LENGTH_MAX: usize = 32;
    tags.get("timecode")
        .filter(|text| text.len() <= LENGTH_MAX)
        .cloned()
}

fn audio_stream(stream: &Stream, container_start: f64) -> AudioStream {
    AudioStream {
        index: stream.index,
        codec: stream.codec_name.clone().unwrap_or_default(),
        channels: stream.channels.unwrap_or(0),
        layout: known(stream.channel_layout.as_deref()),
        sample_rate: stream
            .sample_rate
            .as_deref()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0),
        language: stream
            .tags
            .get("language")
            .cloned()
            .filter(|tag| tag != "und"),
        duration: seconds(stream.duration.as_deref()),
        start: (seconds(stream.start_time.as_deref()).unwrap_or(container_start) - container_start)
            .max(0.0),
    }
}

/// ffprobe writes `unknown` and `unspecified` for what is not flagged.
fn known(text: Option<&str>) -> Option<String> {
    text.filter(|t| !matches!(*t, "" | "unknown" | "unspecified" | "reserved"))
        .map(str::to_owned)
}

fn seconds(text: Option<&str>) -> Option<f64> {
    text.and_then(|t| t.parse::<f64>().ok())
        .filter(|s| s.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MXF: &str = r#"{"program_version":{"version":"5.1.9"},"streams":[
      {"index":0,"codec_type":"video","codec_name":"mpeg2video","width":1920,"height":1080,"sample_aspect_ratio":"1:1",
       "color_range":"tv","color_space":"bt709","field_order":"tb","r_frame_rate":"25/1","avg_frame_rate":"25/1","time_base":"1/25",
       "start_time":"1.480000","duration":"10.000000","disposition":{"attached_pic":0}},
      {"index":1,"codec_type":"audio","codec_name":"pcm_s24le","channels":2,"sample_rate":"48000","start_time":"1.4"}],
      "format":{"format_name":"mxf","duration":"10.0","start_time":"1.400000"}}"#;

    fn parse(json: &[u8]) -> Result<Probe, String> {
        read(json)?.probe()
    }

    #[test]
    fn still_is_one_packet_in_a_format_of_stills() {
        let plays = |format: &str, brand: &str, streams: &str| {
            let json = format!(
                r#"{{"streams":[{streams}],"format":{{"format_name":"{format}","tags":{{"major_brand":"{brand}"}}}}}}"#
            );
            let document = read(json.as_bytes()).expect("valid");
            let (of_stills, packets) = (document.is_of_stills(), document.packets());
            Sampled {
                probe: document.probe().expect("streams"),
                of_stills,
                packets,
            }
            .plays()
        };
        let picture =
            |packets: u32| format!(r#"{{"codec_type":"video","nb_read_packets":"{packets}"}}"#);
        let sound = r#"{"codec_type":"audio","nb_read_packets":"0"}"#;
        assert!(!plays("png_pipe", "", &picture(1)) && !plays("gif", "", &picture(1)));
        assert!(
            !plays("mov,mp4,m4a", "avif", &picture(1)) && plays("mov,mp4,m4a", "isom", &picture(1))
        );
        assert!(
            plays("jpeg_pipe", "", &picture(2))
                && plays("gif", "", &picture(2))
                && plays("mxf", "", &picture(64))
        );
        assert!(
            plays("mp3", "", sound) && plays("png_pipe", "", &format!("{},{sound}", picture(1)))
        );
        assert!(
            !plays("mpegts", "", r#"{"codec_type":"data"}"#),
            "neither picture nor sound"
        );
    }

    #[test]
    fn reads_streams_relative_to_the_start_of_the_file() {
        let probe = parse(MXF.as_bytes()).expect("valid");
        let video = probe.video.expect("picture");
        assert!((video.start - 0.08).abs() < 1e-9);
        assert_eq!(video.field_order, Some(FieldOrder::Bff));
        assert_eq!(
            (probe.container.names, probe.version),
            (vec!["mxf".to_owned()], "5.1.9".to_owned())
        );
        // PCM in MXF has no channel layout; the count is what is judged.
        assert_eq!(probe.audio[0].channels, 2);
    }

    #[test]
    fn unflagged_is_unknown_and_a_cover_is_no_picture() {
        let json = r#"{"streams":[{"index":0,"codec_type":"video","codec_name":"mjpeg","disposition":{"attached_pic":1}},
          {"index":1,"codec_type":"audio","codec_name":"aac","channels":2,"sample_rate":"44100","tags":{"language":"und"}}],
          "format":{"format_name":"mov,mp4,m4a,3gp,3g2,mj2","tags":{"major_brand":"M4A "}}}"#;
        let probe = parse(json.as_bytes()).expect("valid");
        assert!(probe.video.is_none() && probe.audio[0].language.is_none());
        assert_eq!(probe.container.names, ["m4a", "mp4"]);
        assert_eq!(known(Some("unknown")), None);
    }

    #[test]
    fn timecodes_of_container_and_picture_are_read() {
        let json = r#"{"streams":[{"codec_type":"video","tags":{"timecode":"01:00:00;00"}}],
          "format":{"format_name":"mxf","tags":{"timecode":"10:00:00:00"}}}"#;
        let probe = parse(json.as_bytes()).expect("valid");
        assert_eq!(probe.container.timecode.as_deref(), Some("10:00:00:00"));
        assert_eq!(
            probe.video.and_then(|video| video.timecode).as_deref(),
            Some("01:00:00;00")
        );
        let long = json.replace("10:00:00:00", &"1".repeat(40));
        assert_eq!(
            parse(long.as_bytes()).expect("valid").container.timecode,
            None
        );
    }

    #[test]
    fn an_empty_or_broken_answer_is_unreadable() {
        for json in ["", "{}", "{", r#"{"format":{"format_name":"mp3"}}"#] {
            assert!(parse(json.as_bytes()).is_err(), "{json}");
        }
    }
}
