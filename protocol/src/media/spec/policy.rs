//! The `qc:` part of a delivery spec: one key for each check, with its limits.
use super::count::Count;
use super::value::{
    ColorRange, Decibels, FieldOrder, FrameRate, LoudnessGate, LoudnessUnits, Lufs, Names, Ratio, TruePeak,
};
use crate::quantity::{Share, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Whether failing a check fails the asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The asset fails.
    #[default]
    Mandatory,
    /// The finding is shown and the asset may still pass.
    Warning,
}

/// Reads a check's body. `decode:` with nothing after it means `decode: {}`; read as "absent" it would silently not be made.
fn demanded<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(reader: D) -> Result<Option<T>, D::Error> {
    Ok(Some(Option::<T>::deserialize(reader)?.unwrap_or_default()))
}

/// Reads the body of a check that has a limit without a default: nothing after the colon is an error.
fn limited<'de, D: Deserializer<'de>, T: Deserialize<'de>>(reader: D) -> Result<Option<T>, D::Error> {
    T::deserialize(reader).map(Some)
}

/// Declares one struct for each check and the policy that holds them, so that the list of ids exists once.
macro_rules! checks {
    ($( $(#[$doc:meta])* $id:ident: $body:ident by $reader:literal { $( $(#[$field_doc:meta])* $field:ident: $type:ty $(= $default:literal)? $(=> $unset:ident)? ),* } )*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
            #[serde(deny_unknown_fields)]
            pub struct $body {
                /// Whether a finding fails the asset.
                #[serde(default)]
                pub severity: Severity,
                $( $(#[$field_doc])* $(#[serde(default = $default)])? $(#[serde($unset)])? pub $field: $type, )*
            }
        )*

        /// The checks a spec demands; a check that is absent is not made.
        #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct QcPolicy {
            $(
                $(#[$doc])*
                #[serde(default, deserialize_with = $reader, skip_serializing_if = "Option::is_none")]
                pub $id: Option<$body>,
            )*
        }

        /// Id of every check, in the order reports list them.
        pub const CHECK_IDS: [&str; [$(stringify!($id)),*].len()] = [$(stringify!($id)),*];

        impl QcPolicy {
            /// Ids of the checks it demands, in the order reports list them.
            pub fn demanded(&self) -> Vec<&'static str> {
                let named = [$( (stringify!($id), self.$id.is_some()) ),*];
                named.into_iter().filter(|(_, demanded)| *demanded).map(|(id, _)| id).collect()
            }

            /// How much a finding of this check weighs: as the policy says, mandatory otherwise.
            pub fn severity(&self, check: &str) -> Severity {
                match check {
                    $( stringify!($id) => self.$id.as_ref().map(|body| body.severity).unwrap_or_default(), )*
                    _ => Severity::Mandatory,
                }
            }
        }
    };
}

checks! {
    /// The wrapper is one of these.
    container: ContainerCheck by "limited" { /// Names allowed (`mov`, `mp4`, `mxf`, `matroska`, `wav`, …).
        any: Names }
    /// Codecs are those of the component.
    codec: CodecCheck by "demanded" { /// Picture codecs allowed where the component names none.
        video: Names => default, /// Sound codecs allowed where the component names none.
        audio: Names => default }
    /// Stored width and height are those of the component.
    resolution: ResolutionCheck by "demanded" { /// Width where the component names none.
        width: Option<u32> => default, /// Height where the component names none.
        height: Option<u32> => default }
    /// Shape of pixel and picture.
    aspect: AspectCheck by "demanded" { /// Pixel shape where the component names none.
        sar: Option<Ratio> => default, /// Picture shape where the component names none.
        dar: Option<Ratio> => default }
    /// Rate of the component or the declared one, and constant.
    frame_rate: FrameRateCheck by "demanded" { /// Rate where the component names none.
        is: Option<FrameRate> => default, /// Whether every frame must last as long as the others.
        constant: bool = "yes" }
    /// Scan as flagged and as seen in the picture.
    field_order: FieldOrderCheck by "demanded" { /// Order where the component names none.
        is: Option<FieldOrder> => default, /// Frames whose scan must be visible before the picture overrules the flag.
        frames_min: u32 = "field_frames" }
    /// Range, matrix, primaries and transfer as flagged; pixel format and bit depth.
    color: ColorCheck by "demanded" { /// Range where the component names none.
        range: Option<ColorRange> => default, /// Matrix where the component names none.
        matrix: Names => default, /// Primaries where the component names none.
        primaries: Names => default, /// Transfer where the component names none.
        transfer: Names => default }
    /// Share of luma outside EBU R 103 (5 to 246 in 8 bits), over the sampled pictures.
    levels: LevelsCheck by "limited" { /// Largest share allowed.
        illegal_pixels_max: Share }
    /// Running time against the declared one.
    duration: DurationCheck by "demanded" { /// Difference allowed; 40 ms is one frame at 25 per second.
        tolerance: Span = "one_frame" }
    /// Picture and sound last equally long.
    av_length: AvLengthCheck by "demanded" { /// Difference allowed.
        tolerance: Span = "five_frames" }
    /// Everything decodes without an error.
    decode: DecodeCheck by "demanded" { /// Decoder errors allowed.
        errors_max: u32 => default }
    /// The file does not end before its own structure says. Part of `decode` too.
    truncated: TruncatedCheck by "demanded" {}
    /// Black picture.
    black: BlackCheck by "limited" { /// Longest stretch allowed.
        longest: Span, /// Share of the picture that must be black.
        area: Share = "black_area", /// Luma below which a pixel is black, as a share of the range.
        level: Share = "black_level" }
    /// Picture that does not move.
    freeze: FreezeCheck by "limited" { /// Longest stretch allowed.
        longest: Span, /// Difference between frames that still counts as none.
        noise: Decibels = "quiet" }
    /// Silent sound.
    silence: SilenceCheck by "limited" { /// Longest stretch allowed.
        longest: Span, /// Level below which sound is silence.
        noise: Decibels = "quiet", /// Whether each channel is judged, too.
        per_channel: bool => default }
    /// A channel without sound beside others that have some.
    dead_channel: DeadChannelCheck by "demanded" { /// RMS level of the whole channel below which it is dead.
        noise: Decibels = "quiet" }
    /// Integrated programme loudness (EBU R 128).
    loudness: LoudnessCheck by "limited" { /// Loudness wanted.
        target: Lufs, /// Difference allowed; R 128 allows 1 LU where exact normalisation is not practical.
        tolerance: LoudnessUnits = "one_unit", /// What of the programme counts.
        gate: LoudnessGate => default }
    /// Highest true peak (ITU-R BS.1770).
    true_peak: TruePeakCheck by "limited" { /// Highest peak allowed.
        max: TruePeak }
    /// Left against right: in phase, as stereo has to be.
    phase: PhaseCheck by "demanded" { /// Longest stretch out of phase allowed.
        longest: Span = "two_seconds" }
    /// Number of channels.
    channels: ChannelsCheck by "demanded" { /// Channels where the component names none.
        is: Option<u32> => default }
    /// Samples per second.
    sample_rate: SampleRateCheck by "demanded" { /// Rate where the component names none.
        is: Option<u32> => default }
    /// Subtitle and caption files: well formed, in order, within the programme.
    captions: CaptionsCheck by "demanded" { /// How far a cue may reach past the declared end.
        tolerance: Span = "one_second" }
    /// The bytes have the hash their source declared.
    checksum: ChecksumCheck by "demanded" {}
    /// The file name follows a pattern.
    naming: NamingCheck by "limited" { /// Regular expression the whole name must match.
        pattern: String }
    /// Share of pixels whose red, green or blue lies outside EBU R 103 (-5 % to 105 %), over the sampled pictures.
    gamut: GamutCheck by "limited" { /// Largest share allowed.
        illegal_pixels_max: Share }
    /// Loudness range (EBU Tech 3342).
    loudness_range: LoudnessRangeCheck by "limited" { /// Widest range allowed.
        max: LoudnessUnits }
    /// Highest short-term loudness, over 3 s (EBU Tech 3341).
    short_term: ShortTermCheck by "limited" { /// Highest loudness allowed.
        max: Lufs }
    /// Highest momentary loudness, over 400 ms (EBU Tech 3341).
    momentary: MomentaryCheck by "limited" { /// Highest loudness allowed.
        max: Lufs }
    /// Mean of a channel, which should be zero.
    dc_offset: DcOffsetCheck by "limited" { /// Largest mean allowed, as a share of full scale.
        max: Share }
    /// Layout of each sound stream as flagged, or as the source declared it in `channel_layout`.
    layout: LayoutCheck by "limited" { /// Layouts allowed, as ffprobe names them (`mono`, `stereo`, `5.1`).
        any: Names }
    /// Number of streams: `8`, or a range such as `4..16`.
    streams: StreamsCheck by "demanded" { /// Picture streams.
        video: Option<Count> = "one", /// Sound streams.
        audio: Option<Count> => default, /// Subtitle streams.
        subtitle: Option<Count> => default }
    /// What MediaInfo says.
    mediainfo: MediaInfoCheck by "limited" { /// Values allowed by field: `General.Format_Profile: OP-1a`; the second track of a kind is `Audio[2]`.
        facts: BTreeMap<String, Names> }
    /// Whether MediaConch finds the file conformant.
    mediaconch: MediaConchCheck by "limited" { /// The MediaConch policy: its XML, not a path.
        policy: String }
    /// Photosensitive epilepsy: that the source declares the certificate of an approved device. It is not measured.
    photosensitivity: PhotosensitivityCheck by "demanded" {}
    /// Slates and their text. No machine here can read them: always `not_measurable`.
    slate: SlateCheck by "demanded" {}
}

impl QcPolicy {
    /// Whether it demands a check that only a picture can satisfy.
    pub fn looks_at_pictures(&self) -> bool {
        const OF_PICTURES: [&str; 9] =
            ["resolution", "aspect", "frame_rate", "field_order", "color", "levels", "black", "freeze", "gamut"];
        self.demanded().iter().any(|id| OF_PICTURES.contains(id))
    }
}

macro_rules! plain_defaults {
    ($($body:ident { $($field:ident: $value:expr),* })*) => {
        $(impl Default for $body {
            fn default() -> $body {
                $body { severity: Severity::Mandatory, $($field: $value),* }
            }
        })*
    };
}

plain_defaults! {
    CodecCheck { video: Names::default(), audio: Names::default() }
    ResolutionCheck { width: None, height: None }
    AspectCheck { sar: None, dar: None }
    FrameRateCheck { is: None, constant: yes() }
    FieldOrderCheck { is: None, frames_min: field_frames() }
    ColorCheck { range: None, matrix: Names::default(), primaries: Names::default(), transfer: Names::default() }
    DurationCheck { tolerance: one_frame() }
    AvLengthCheck { tolerance: five_frames() }
    DecodeCheck { errors_max: 0 }
    TruncatedCheck {}
    DeadChannelCheck { noise: quiet() }
    PhaseCheck { longest: two_seconds() }
    ChannelsCheck { is: None }
    SampleRateCheck { is: None }
    CaptionsCheck { tolerance: one_second() }
    ChecksumCheck {}
    StreamsCheck { video: one(), audio: None, subtitle: None }
    PhotosensitivityCheck {}
    SlateCheck {}
}

/// A programme has one picture; another one is a mistake unless it is asked for.
fn one() -> Option<Count> {
    Some(Count::exactly(1))
}

fn yes() -> bool {
    true
}

/// Fewer decided frames than these say nothing: half a second of test patterns can look like either scan.
fn field_frames() -> u32 {
    12
}

/// One frame at 25 per second, the tolerance of the DPP.
fn one_frame() -> Span {
    Span(Duration::from_millis(40))
}

fn five_frames() -> Span {
    Span(Duration::from_millis(200))
}

fn one_second() -> Span {
    Span(Duration::from_secs(1))
}

/// ffmpeg's own default for stretches out of phase.
fn two_seconds() -> Span {
    Span(Duration::from_secs(2))
}

/// ffmpeg's default of `picture_black_ratio_th`.
fn black_area() -> Share {
    Share(0.98)
}

/// ffmpeg's default of `pixel_black_th`.
fn black_level() -> Share {
    Share(0.10)
}

/// ffmpeg's default of freezedetect and silencedetect.
fn quiet() -> Decibels {
    Decibels(-60.0)
}

fn one_unit() -> LoudnessUnits {
    LoudnessUnits(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: &str) -> Result<QcPolicy, crate::yaml::Problem> {
        crate::yaml::read("spec.yaml", source)
    }

    #[test]
    fn a_bare_key_demands_the_check() {
        let policy = read("decode:\nphase:\n").expect("valid");
        assert!(policy.decode.is_some() && policy.phase.is_some());
    }

    #[test]
    fn a_check_without_its_limit_is_an_error_at_its_place() {
        for source in ["black:\n", "black: {}\n", "loudness: { tolerance: 1LU }\n"] {
            let problem = read(source).expect_err("no limit");
            assert_eq!(problem.at.map(|(line, _)| line), Some(1), "{problem}");
        }
    }

    #[test]
    fn a_wrong_unit_is_an_error_with_an_example() {
        let text = read("true_peak: { max: -1dB }\n").expect_err("unit").to_string();
        assert!(text.starts_with("spec.yaml:1:") && text.contains("-1dBTP"), "{text}");
        assert!(read("black: { longest: 12LU }\n").expect_err("unit").to_string().contains("250ms"));
    }

    #[test]
    fn demanded_checks_are_listed_and_those_of_pictures_known() {
        let policy = read("captions: {}\ndecode: {}\n").expect("valid");
        assert_eq!(policy.demanded(), ["decode", "captions"]);
        assert!(!policy.looks_at_pictures());
        assert!(read("black: { longest: 1s }\n").expect("valid").looks_at_pictures());
    }

    #[test]
    fn severity_is_mandatory_unless_said_otherwise() {
        let policy = read("decode: {}\nfreeze: { longest: 1s, severity: warning }\n").expect("valid");
        assert_eq!(policy.severity("decode"), Severity::Mandatory);
        assert_eq!(policy.severity("freeze"), Severity::Warning);
        assert_eq!(policy.severity("codec"), Severity::Mandatory);
    }

    #[test]
    fn every_check_is_accepted() {
        let limits = "container: { any: mov }\nlevels: { illegal_pixels_max: 1% }\nblack: { longest: 1s }\n\
                      freeze: { longest: 1s }\nsilence: { longest: 1s }\nloudness: { target: -23LUFS }\n\
                      true_peak: { max: -1dBTP }\nnaming: { pattern: '.*' }\ngamut: { illegal_pixels_max: 1% }\n\
                      loudness_range: { max: 20LU }\nshort_term: { max: -18LUFS }\nmomentary: { max: -15LUFS }\n\
                      dc_offset: { max: 0.1% }\nlayout: { any: stereo }\nmediaconch: { policy: '<policy/>' }\n\
                      mediainfo: { facts: { General.Format: [MXF, MPEG-4] } }\n";
        let bare: String = CHECK_IDS
            .iter()
            .filter(|id| !limits.contains(&format!("{id}: ")))
            .map(|id| format!("{id}: {{}}\n"))
            .collect();
        read(&format!("{limits}{bare}")).expect("valid");
    }
}
