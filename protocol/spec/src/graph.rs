//! Builds the one filter graph that measures everything a policy needs in a single decode.
//!
//! Every detector writes its marks to a file of its own, named relative to the program's directory: two printers on one
//! pipe tear each other's lines, and a relative name needs no escaping.
use crate::MEASURES;
use crate::measure::{
    black, channel_levels, frames, freeze, gamut, levels, loudness, phase, scan, silence,
};
use crate::needs::Needs;
use crate::streams::{AudioStream, VideoStream};

/// Sound streams that are one programme: usually one, two when a wrapper carries mono streams in pairs.
#[derive(Debug, Clone, PartialEq)]
pub struct Programme {
    /// The streams of the programme, in the order of the file.
    pub streams: Vec<AudioStream>,
    /// Number of its first channel, from 1 over the file.
    pub first_channel: u32,
}

impl Programme {
    /// Channels of all its streams.
    pub fn channels(&self) -> u32 {
        self.streams.iter().map(|stream| stream.channels).sum()
    }
}

/// Levels are measured in one picture of five: every picture would double the cost of the decode (measured).
const LEVELS_EVERY: u32 = 5;
/// Pictures are point-sampled to about this width for levels; a tenth of a percent still shows.
const LEVELS_WIDTH: u32 = 480;

/// Pictures with fewer lines are cheap enough to be measured whole.
const LINES_MIN: u32 = 720;

/// Streams by programme: mono streams in even number are pairs (broadcast MXF), any other stream is a programme of its own.
pub fn programmes(streams: &[AudioStream]) -> Vec<Programme> {
    let pairs = streams.len() >= 2
        && streams.len().is_multiple_of(2)
        && streams
            .iter()
            .all(|s| s.channels == 1 && s.sample_rate == streams[0].sample_rate);
    let mut first_channel = 1;
    streams
        .chunks(if pairs { 2 } else { 1 })
        .map(|streams| {
            let programme = Programme {
                streams: streams.to_vec(),
                first_channel,
            };
            first_channel += programme.channels();
            programme
        })
        .collect()
}

/// The graph and the labels of its ends, each of which becomes an output of its own: one output would queue whole
/// pictures while it waits for sound.
pub fn build(
    needs: &Needs,
    pictures: &[&VideoStream],
    programmes: &[Programme],
) -> (String, Vec<String>) {
    let mut chains = Vec::new();
    let mut ends = Vec::new();
    for (n, video) in pictures.iter().enumerate() {
        chains.push(picture(needs, n, video));
        ends.push(format!("[v{n}]"));
    }
    for (n, programme) in programmes.iter().enumerate() {
        chains.push(sound(needs, n, programme));
        ends.push(format!("[a{n}]"));
    }
    (chains.join(";"), ends)
}

fn picture(needs: &Needs, n: usize, video: &VideoStream) -> String {
    let still = still(needs, n, video);
    let sampled = needs.levels || needs.gamut;
    // A detector that sees another part of the picture gets a branch of its own: nothing is copied for it.
    let apart = still.is_some() && needs.scan.is_some();
    let own: Vec<(&str, String)> = MEASURES
        .iter()
        .filter_map(|measure| {
            Some((
                measure.name(),
                measure.filter(needs.measures.get(measure.name())?, video),
            ))
        })
        .collect();
    let fixed = [("sample", sampled), ("still", apart)]
        .into_iter()
        .filter(|(_, wanted)| *wanted);
    let branches: Vec<&str> = fixed
        .map(|(name, _)| name)
        .chain(own.iter().map(|(name, _)| *name))
        .collect();
    let (mut chain, mut tail) = (format!("[0:{}]", video.index), String::new());
    if !branches.is_empty() {
        let names: String = branches.iter().map(|name| format!("[{name}{n}]")).collect();
        chain += &format!(
            "split={}[picture{n}]{names};[picture{n}]",
            1 + branches.len()
        );
    }
    if sampled {
        tail = samples(needs, n, video);
    }
    for (name, filter) in own {
        tail += &format!(";[{name}{n}]{filter},metadata=mode=print:file={name}{n},nullsink");
    }
    chain += &frames::filter(n);
    match still {
        Some(still) if apart => tail += &format!(";[still{n}]{still},nullsink"),
        Some(still) => chain += &format!(",{still}"),
        None => {}
    }
    if let Some(threshold) = needs.scan {
        chain += &scan::filter(n, threshold, video);
    }
    chain + &format!("[v{n}]") + &tail
}

/// Detectors of black and of stillness. In large pictures they get one line of four, which ffmpeg selects without a copy:
/// both measure shares of the whole picture, and a quarter of its lines has the same share.
fn still(needs: &Needs, n: usize, video: &VideoStream) -> Option<String> {
    let detectors = [
        needs.black.map(|black| black::filter(n, black)),
        needs.freeze.map(|still| freeze::filter(n, still)),
    ];
    let filters: Vec<String> = detectors.into_iter().flatten().collect();
    if filters.is_empty() {
        return None;
    }
    let lines = if video.height >= LINES_MIN {
        "field=top,field=top,"
    } else {
        ""
    };
    Some(format!(
        "{lines}metadata=mode=delete,{}",
        filters.join(",metadata=mode=delete,")
    ))
}

/// Measurements of some pictures only, scaled down.
fn samples(needs: &Needs, n: usize, video: &VideoStream) -> String {
    let factor = (video.width / LEVELS_WIDTH).max(1);
    let (width, height) = (
        (video.width / factor).max(1),
        (video.height / factor).max(1),
    );
    let scaled = if factor > 1 {
        format!(",scale=w={width}:h={height}:flags=neighbor")
    } else {
        String::new()
    };
    let chain = format!(";[sample{n}]select='not(mod(n,{LEVELS_EVERY}))'{scaled}");
    match (needs.levels, needs.gamut) {
        (true, true) => {
            let (luma, colour) = (levels::filter(n, video), gamut::filter(n, video));
            chain
                + &format!(
                    ",split=2[luma{n}][colour{n}];[luma{n}]null{luma};[colour{n}]null{colour}"
                )
        }
        (true, false) => chain + &levels::filter(n, video),
        (false, _) => chain + &gamut::filter(n, video),
    }
}

fn sound(needs: &Needs, n: usize, programme: &Programme) -> String {
    let mut chain: String = programme
        .streams
        .iter()
        .map(|stream| format!("[0:{}]", stream.index))
        .collect();
    if programme.streams.len() > 1 {
        chain += &format!("amerge=inputs={},", programme.streams.len());
    }
    chain += &channel_levels::filter(n);
    if let Some(settings) = needs.silence {
        chain += &silence::filter(n, settings);
    }
    if needs.loudness {
        chain += &loudness::filter(n);
    }
    if let (Some(seconds), channels @ 2..) = (needs.phase, programme.channels()) {
        chain += &phase::filter(n, seconds, channels);
    }
    chain + &format!("[a{n}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(index: u32, channels: u32) -> AudioStream {
        AudioStream {
            index,
            channels,
            sample_rate: 48_000,
            ..AudioStream::default()
        }
    }

    #[test]
    fn mono_streams_pair_and_others_stand_alone() {
        let four: Vec<_> = (1..5).map(|i| stream(i, 1)).collect();
        let paired = programmes(&four);
        assert_eq!(
            paired
                .iter()
                .map(|p| (p.first_channel, p.channels()))
                .collect::<Vec<_>>(),
            [(1, 2), (3, 2)]
        );
        let mixed = programmes(&[stream(1, 6), stream(2, 2)]);
        assert_eq!(
            mixed
                .iter()
                .map(|p| (p.first_channel, p.channels()))
                .collect::<Vec<_>>(),
            [(1, 6), (7, 2)]
        );
        assert_eq!(programmes(&[stream(1, 1)]).len(), 1);
    }

    #[test]
    fn only_what_is_needed_is_measured() {
        let video = VideoStream {
            width: 1920,
            height: 1080,
            pix_fmt: Some("yuv422p10le".into()),
            ..VideoStream::default()
        };
        let (graph, ends) = build(&Needs::default(), &[&video], &programmes(&[stream(1, 2)]));
        assert_eq!(ends, ["[v0]", "[a0]"]);
        for filter in [
            "blackdetect",
            "freezedetect",
            "idet",
            "signalstats",
            "ebur128",
            "silencedetect",
            "aphasemeter",
        ] {
            assert!(!graph.contains(filter), "{graph}");
        }
        let (graph, _) = build(
            &Needs {
                levels: true,
                ..Needs::default()
            },
            &[&video],
            &[],
        );
        assert!(
            graph.contains("scale=w=480:h=270:flags=neighbor"),
            "{graph}"
        );
        assert!(graph.contains("between(val,20,987),0,1020"), "{graph}");
    }

    #[test]
    fn large_pictures_are_looked_at_in_part_and_small_ones_whole() {
        let needs = Needs {
            black: Some((0.98, 0.1)),
            freeze: Some((-60.0, 0.2)),
            scan: Some(1.2),
            ..Needs::default()
        };
        let of = |width, height| {
            build(
                &needs,
                &[&VideoStream {
                    width,
                    height,
                    ..VideoStream::default()
                }],
                &[],
            )
            .0
        };
        let large = of(1920, 1080);
        assert_eq!(
            (
                large.matches("field=top").count(),
                large.matches("crop=").count()
            ),
            (2, 1),
            "{large}"
        );
        // Both looks have a branch, since a filter sees what the one before it leaves.
        assert!(
            large.contains("split=2[picture0][still0]") && large.contains("nullsink"),
            "{large}"
        );
        for (width, height) in [(320, 180), (2000, 8)] {
            let small = of(width, height);
            assert!(
                !small.contains("field=top") && !small.contains("crop="),
                "{small}"
            );
        }
    }

    #[test]
    fn pictures_without_a_luma_plane_are_converted_first() {
        let video = VideoStream {
            width: 64,
            height: 36,
            pix_fmt: Some("gbrp".into()),
            ..VideoStream::default()
        };
        let (graph, _) = build(
            &Needs {
                levels: true,
                ..Needs::default()
            },
            &[&video],
            &[],
        );
        assert!(
            graph.contains("format=yuv420p,lutyuv=y='if(between(val,5,246),0,255)'"),
            "{graph}"
        );
    }
}
