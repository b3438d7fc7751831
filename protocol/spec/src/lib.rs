//! Delivery specs: what a platform demands, as data, and how facts about media are judged by it. Pure: no file, no
//! process, no clock. The crate `qc` runs the programs that measure; everything that decides is here.
//!
//! - [`DeliverySpec`]: components, checks with their limits, inheritance
//! - [`check`]: one check a file: its limits, its scope, what it needs measured, how it judges
//! - [`measure`]: one measurement a file: its part of the filter graph and the parser of its output
//! - [`facts`]: everything measured about a file; [`judge()`] turns it into a report
//!
//! A new check is one file in `check/` and two lines here (module and list). `docs/guide/specs.md` lists every id.
mod case;
mod component;
mod count;
mod delivery;
mod detector_marks;
pub mod facts;
pub mod graph;
mod inherit;
pub mod judge;
pub mod log;
mod media_under_test;
pub mod needs;
mod picture_measure;
pub mod plan;
mod policy;
mod role;
mod streams;
pub mod stretch;
mod value;

pub use component::{AudioFormat, Component, VideoFormat};
pub use count::Count;
pub use delivery::{Applies, Approval, DeliverySpec, Rating};
pub use inherit::resolve;
pub use judge::judge;
pub use media_under_test::MediaUnderTest;
pub use picture_measure::PictureMeasure;
pub use policy::{CheckEntry, Scope};
pub use role::{ContentKind, role_of_content};
pub use value::{
    ColorRange, Decibels, FieldOrder, FrameRate, LoudnessGate, LoudnessUnits, Lufs, Names, Ratio,
    TruePeak,
};

/// The checks, one a file.
pub mod check {
    pub mod aspect;
    pub mod av_length;
    pub mod black;
    pub mod blanking;
    pub mod captions;
    pub mod channels;
    pub mod checksum;
    pub mod codec;
    pub mod color;
    pub mod container;
    pub mod dc_offset;
    pub mod dead_channel;
    pub mod decode;
    pub mod duration;
    pub mod field_order;
    pub mod frame_rate;
    pub mod freeze;
    pub mod gamut;
    pub mod layout;
    pub mod levels;
    pub mod loudness;
    pub mod loudness_range;
    pub mod mediaconch;
    pub mod mediainfo;
    pub mod momentary;
    pub mod naming;
    pub mod phase;
    pub mod photosensitivity;
    pub mod resolution;
    pub mod sample_rate;
    pub mod short_term;
    pub mod silence;
    pub mod slate;
    pub mod streams;
    pub mod timecode;
    pub mod true_peak;
    pub mod truncated;
}

/// The measurements of the decode, one a file.
pub mod measure {
    pub mod black;
    pub mod blanking;
    pub mod channel_levels;
    pub mod frames;
    pub mod freeze;
    pub mod gamut;
    pub mod levels;
    pub mod loudness;
    pub mod loudness_curve;
    pub mod phase;
    pub mod scan;
    pub mod silence;
}

/// Measurements of the picture that [`needs::Needs`] and [`facts::VideoPass`] carry without naming them.
pub const MEASURES: [&dyn PictureMeasure; 1] = [&measure::blanking::Detector];

policy::checks! {
    container: ContainerCheck,
    codec: CodecCheck,
    resolution: ResolutionCheck,
    aspect: AspectCheck,
    frame_rate: FrameRateCheck,
    field_order: FieldOrderCheck,
    color: ColorCheck,
    levels: LevelsCheck,
    duration: DurationCheck,
    av_length: AvLengthCheck,
    decode: DecodeCheck,
    truncated: TruncatedCheck,
    black: BlackCheck,
    freeze: FreezeCheck,
    silence: SilenceCheck,
    dead_channel: DeadChannelCheck,
    loudness: LoudnessCheck,
    true_peak: TruePeakCheck,
    phase: PhaseCheck,
    channels: ChannelsCheck,
    sample_rate: SampleRateCheck,
    captions: CaptionsCheck,
    checksum: ChecksumCheck,
    naming: NamingCheck,
    gamut: GamutCheck,
    loudness_range: LoudnessRangeCheck,
    short_term: ShortTermCheck,
    momentary: MomentaryCheck,
    dc_offset: DcOffsetCheck,
    layout: LayoutCheck,
    streams: StreamsCheck,
    mediainfo: MediaInfoCheck,
    mediaconch: MediaConchCheck,
    photosensitivity: PhotosensitivityCheck,
    slate: SlateCheck,
    timecode: TimecodeCheck,
    blanking: BlankingCheck,
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::model::qc::Severity;
    use std::collections::BTreeSet;

    fn read(source: &str) -> Result<QcPolicy, protocol::yaml::Problem> {
        protocol::yaml::read("spec.yaml", source)
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
        let text = read("true_peak: { max: -1dB }\n")
            .expect_err("unit")
            .to_string();
        assert!(
            text.starts_with("spec.yaml:1:") && text.contains("-1dBTP"),
            "{text}"
        );
        assert!(
            read("black: { longest: 12LU }\n")
                .expect_err("unit")
                .to_string()
                .contains("250ms")
        );
    }

    #[test]
    fn demanded_checks_are_listed_and_those_of_pictures_known() {
        let policy = read("captions: {}\ndecode: {}\n").expect("valid");
        assert_eq!(policy.demanded(), ["decode", "captions"]);
        assert!(!policy.demands_picture());
        assert!(
            read("black: { longest: 1s }\n")
                .expect("valid")
                .demands_picture()
        );
    }

    #[test]
    fn severity_is_mandatory_unless_said_otherwise() {
        let policy =
            read("decode: {}\nfreeze: { longest: 1s, severity: warning }\n").expect("valid");
        assert_eq!(policy.severity("decode"), Severity::Mandatory);
        assert_eq!(policy.severity("freeze"), Severity::Warning);
        assert_eq!(policy.severity("codec"), Severity::Mandatory);
    }

    #[test]
    fn every_check_is_accepted() {
        // Checks without `bare()`; the others are read without limits.
        let limits = "container: { any: mov }\nlevels: { illegal_pixels_max: 1% }\nblack: { longest: 1s }\n\
                      freeze: { longest: 1s }\nsilence: { longest: 1s }\nloudness: { target: -23LUFS }\n\
                      true_peak: { max: -1dBTP }\nnaming: { pattern: '.*' }\ngamut: { illegal_pixels_max: 1% }\n\
                      loudness_range: { max: 20LU }\nshort_term: { max: -18LUFS }\nmomentary: { max: -15LUFS }\n\
                      dc_offset: { max: 0.1% }\nlayout: { any: stereo }\nmediaconch: { policy: '<policy/>' }\n\
                      mediainfo: { facts: { General.Format: [MXF, MPEG-4] } }\n";
        for id in CHECK_IDS {
            let key = format!("{id}: ");
            let with_limits = limits.lines().find(|line| line.starts_with(&key));
            let source = with_limits.map_or_else(|| format!("{id}: {{}}"), str::to_owned);
            let read = read(&source).map(|policy| policy.demanded());
            assert_eq!(
                read,
                Ok(vec![id]),
                "{source}: a check without bare() has its limits in this test"
            );
        }
    }

    #[test]
    fn check_table_has_every_id_in_order() {
        assert_eq!(CHECKS.map(|check| check.id), CHECK_IDS);
    }

    /// Rows of the guide's table of checks: id and limits.
    fn guide() -> Vec<(String, BTreeSet<String>)> {
        let text = include_str!("../../../docs/guide/specs.md");
        let rows = text
            .lines()
            .skip_while(|line| !line.starts_with("| check |"))
            .skip(2);
        let names = |cell: &str| {
            cell.split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        rows.take_while(|line| line.starts_with('|'))
            .map(|line| {
                let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
                (
                    names(cells[0]).join(" "),
                    names(cells[cells.len() - 1]).into_iter().collect(),
                )
            })
            .collect()
    }

    #[test]
    fn list_guide_and_schema_name_the_same_checks_and_limits() {
        let schema =
            serde_json::to_value(schemars::schema_for!(DeliverySpec)).expect("serialisable");
        let definitions = &schema["$defs"];
        let properties = definitions["QcPolicy"]["properties"]
            .as_object()
            .expect("an object");
        assert_eq!(
            properties
                .keys()
                .map(String::as_str)
                .collect::<BTreeSet<_>>(),
            BTreeSet::from(CHECK_IDS)
        );
        let guide = guide();
        assert_eq!(
            guide.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(),
            CHECK_IDS
        );
        for (id, limits) in guide {
            let reference = properties[&id]["anyOf"][0]["$ref"]
                .as_str()
                .expect("a reference");
            let name = reference.rsplit('/').next().expect("a name");
            let definition = &definitions[name];
            let keys = definition["properties"]
                .as_object()
                .expect("an object")
                .keys();
            let written: BTreeSet<String> =
                keys.filter(|key| *key != "severity").cloned().collect();
            assert_eq!(limits, written, "limits of {id} in docs/guide/specs.md");
            assert!(
                properties[&id]["description"].is_string(),
                "{id} is described"
            );
        }
    }
}
