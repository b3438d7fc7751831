//! The one decode of a file: runs ffmpeg over the graph and gathers the output of the filters.
use super::media::{self, Media};
use super::probe::Probe;
use super::scratch::Scratch;
use super::tool::Run;
use crate::Tools;
use protocol::failure::Failure;
use spec::MEASURES;
use spec::facts::{AudioPass, Pass, VideoPass, VideoStream};
use spec::graph::{self, Programme};
use spec::log::Log;
use spec::measure::loudness_curve::LoudnessCurve;
use spec::measure::{black, freeze, gamut, levels, phase, silence};
use spec::needs::Needs;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Pixels of the largest picture that is decoded: beyond 16K it is a trap for memory, not a programme.
const PIXELS_MAX: u32 = 16_384 * 8_640;
/// Picture streams decoded at most. A camera array has four; hundreds are a trap for memory.
const PICTURES_MAX: usize = 8;
/// Sound streams decoded at most: the most a broadcast MXF carries is 32.
const SOUNDS_MAX: usize = 64;

/// Decodes the file once. What could not be measured is absent; a program that failed makes the whole pass `broken`.
pub(super) async fn run(
    media: &Media,
    probe: &Probe,
    needs: &Needs,
    tools: &Tools,
    cancel: &CancellationToken,
) -> Result<Pass, Failure> {
    let pictures: Vec<&VideoStream> = probe.video.iter().chain(&probe.other_video).collect();
    if pictures.len() > PICTURES_MAX || probe.audio.len() > SOUNDS_MAX {
        let (pictures, sounds) = (pictures.len(), probe.audio.len());
        let why = format!(
            "{pictures} picture and {sounds} sound streams: no more than {PICTURES_MAX} and {SOUNDS_MAX} are decoded"
        );
        return Ok(Pass {
            broken: Some(why),
            ..Pass::default()
        });
    }
    let scratch = Scratch::new().map_err(|error| {
        Failure::transient(
            "scratch_failed",
            format!(
                "no directory for measurements in {}: {error}",
                std::env::temp_dir().display()
            ),
        )
    })?;
    let programmes = graph::programmes(&probe.audio);
    let arguments = arguments(probe, needs, &pictures, &programmes, tools.threads);
    let run = Run {
        program: &tools.ffmpeg,
        arguments,
        directory: Some(scratch.folder()),
        media: Some(media),
        stdout_max: 1 << 16,
        timeout: timeout(probe.container.duration, media.bytes(), tools),
    };
    let mut log = Log::default();
    let ended = run.finish(cancel, &mut |line| log.line(line)).await?;
    let mut pass = gather(probe, needs, &pictures, &programmes, &log, &scratch);
    pass.broken = ended.trouble.or(log
        .filter_trouble
        .map(|text| format!("a filter failed: {text}")));
    Ok(pass)
}

/// Bytes of a second of media at least. Still pictures at a low rate take about a kilobyte.
const BYTES_PER_SECOND_MIN: u64 = 128;
/// Time of one pass at most.
const TIMEOUT_MAX: Duration = Duration::from_secs(48 * 3600);

/// A generous multiple of the running time, and never less than the floor: a hang must end, a slow machine must not. The
/// running time is a claim of the header: the size of the file bounds what it buys, and a day or two are the most.
fn timeout(duration: Option<f64>, bytes: u64, tools: &Tools) -> Duration {
    let playable = bytes / BYTES_PER_SECOND_MIN;
    let seconds = duration
        .filter(|s| *s > 0.0)
        .unwrap_or(0.0)
        .min(playable as f64);
    let bought = Duration::try_from_secs_f64(seconds * f64::from(tools.qc_timeout_factor))
        .unwrap_or(TIMEOUT_MAX);
    tools
        .qc_timeout_min
        .saturating_add(bought)
        .min(TIMEOUT_MAX.max(tools.qc_timeout_min))
}

fn arguments(
    probe: &Probe,
    needs: &Needs,
    pictures: &[&VideoStream],
    programmes: &[Programme],
    threads: u32,
) -> Vec<String> {
    let (graph, ends) = graph::build(needs, pictures, programmes);
    let threads = threads.max(1).to_string();
    let pixels = PIXELS_MAX.to_string();
    // Progress lines between the messages show where an error is.
    let clock = [
        "-nostdin",
        "-stats",
        "-stats_period",
        "0.25",
        "-loglevel",
        "level+info",
    ];
    let decode = [
        "-threads",
        &threads,
        "-max_pixels",
        &pixels,
        "-noautorotate",
    ];
    let mut arguments = media::arguments(&[&clock[..], &decode].concat());
    arguments.extend(
        [
            "-filter_complex_threads",
            &threads,
            "-filter_complex",
            &graph,
        ]
        .map(Into::into),
    );
    for end in ends {
        arguments
            .extend(["-map", &end, "-fps_mode", "passthrough", "-f", "null", "-"].map(Into::into));
    }
    let streams = pictures
        .iter()
        .map(|stream| stream.index)
        .chain(probe.audio.iter().map(|stream| stream.index));
    for stream in streams {
        arguments.extend(["-map".to_owned(), format!("0:{stream}")]);
    }
    arguments.extend(
        [
            "-c",
            "copy",
            "-copyinkf",
            "-f",
            "streamhash",
            "-hash",
            "md5",
            "essence",
        ]
        .map(Into::into),
    );
    arguments
}

/// Turns the log and the marks into facts.
fn gather(
    probe: &Probe,
    needs: &Needs,
    pictures: &[&VideoStream],
    programmes: &[Programme],
    log: &Log,
    scratch: &Scratch,
) -> Pass {
    let mut seen = pictures
        .iter()
        .enumerate()
        .map(|(n, stream)| picture(n, stream, probe, needs, log, scratch));
    let (video, other_video) = (seen.next().flatten(), seen.collect());
    let audio = programmes
        .iter()
        .enumerate()
        .filter_map(|(n, programme)| sound(n, programme, needs, log, scratch))
        .collect();
    let indices: Vec<u32> = pictures
        .iter()
        .map(|stream| stream.index)
        .chain(probe.audio.iter().map(|stream| stream.index))
        .collect();
    Pass {
        broken: None,
        ffmpeg: log.version.clone(),
        errors: log.errors,
        messages: log.messages.clone(),
        error_times: log.error_times.clone(),
        essence: essence(&scratch.read("essence"), &indices),
        missing_bytes: log.missing_bytes,
        format_changes: log.format_changes,
        video,
        other_video,
        audio,
    }
}

/// `0,v,MD5=f395…`: streams are numbered in the order they were mapped in.
fn essence(text: &str, indices: &[u32]) -> BTreeMap<u32, String> {
    let of_line = |line: &str| {
        let (number, rest) = line.split_once(',')?;
        let (_, hash) = rest.split_once("MD5=")?;
        Some((
            *indices.get(number.parse::<usize>().ok()?)?,
            format!("md5:{}", hash.trim()),
        ))
    };
    text.lines().filter_map(of_line).collect()
}

fn picture(
    n: usize,
    stream: &VideoStream,
    probe: &Probe,
    needs: &Needs,
    log: &Log,
    scratch: &Scratch,
) -> Option<VideoPass> {
    let measured = log.pictures.get(n)?;
    let frames = measured.frames?;
    let end = picture_end(stream, frames.decoded, frames.odd, probe.container.duration);
    let marks = |file: &str| scratch.read(&format!("{file}{n}"));
    let wanted = MEASURES
        .iter()
        .filter(|measure| needs.measures.contains_key(measure.name()));
    let further = wanted.filter_map(|measure| {
        Some((
            measure.name().to_owned(),
            measure.read(&marks(measure.name()), stream)?,
        ))
    });
    Some(VideoPass {
        frames: frames.decoded,
        odd_frames: frames.odd,
        jitter: frames.spread as f64 * stream.tick,
        end,
        scan: measured.scan.filter(|_| needs.scan.is_some()),
        black: needs.black.map(|_| black::read(&marks("black"), end)),
        freeze: needs.freeze.map(|_| freeze::read(&marks("freeze"), end)),
        levels: needs
            .levels
            .then(|| levels::read(&marks("levels"), stream))
            .flatten(),
        gamut: needs.gamut.then(|| gamut::read(&marks("gamut"))).flatten(),
        measures: further.collect(),
    })
}

/// When the last decoded frame ends: frames by rate when they are all equally long, else as the container declares.
fn picture_end(stream: &VideoStream, frames: u64, odd: u64, container: Option<f64>) -> f64 {
    let counted = stream
        .rate()
        .map(|rate| stream.start + frames as f64 * rate.frame_seconds());
    let declared = stream
        .duration
        .map(|seconds| stream.start + seconds)
        .or(container);
    // One odd frame in a hundred does not make the count wrong by more than the tolerances in use.
    let (first, second) = if odd * 100 <= frames {
        (counted, declared)
    } else {
        (declared, counted)
    };
    first.or(second).unwrap_or(0.0)
}

fn sound(
    n: usize,
    programme: &Programme,
    needs: &Needs,
    log: &Log,
    scratch: &Scratch,
) -> Option<AudioPass> {
    let measured = log.sound.get(n)?;
    let rate = programme.streams.first()?.sample_rate;
    let seconds = measured.levels.samples.filter(|_| rate > 0)? as f64 / f64::from(rate);
    let end = programme.streams.first()?.start + seconds;
    let marks = |file: &str, mark: &str| scratch.read(&format!("{file}{n}{mark}"));
    let curve = |file: &str| match needs.loudness {
        true => scratch.loudness_curve(&format!("{file}{n}")),
        false => LoudnessCurve::default(),
    };
    let (loudness, levels, short_term) = (&measured.loudness, &measured.levels, curve("short"));
    let of_each_channel = |values: &[Option<f64>]| {
        (values.len() == programme.channels() as usize).then(|| values.to_vec())
    };
    Some(AudioPass {
        streams: programme
            .streams
            .iter()
            .map(|stream| stream.index)
            .collect(),
        first_channel: programme.first_channel,
        channels: programme.channels(),
        end,
        seconds,
        silence: needs
            .silence
            .map(|_| silence::read(&marks("silence", ""), programme.channels(), end)),
        rms: of_each_channel(&levels.rms),
        dc_offset: of_each_channel(&levels.dc_offset),
        loudness: loudness.integrated.filter(|_| needs.loudness),
        // The range of a programme without loudness reads 0: that is no measurement.
        loudness_range: loudness
            .range
            .filter(|_| needs.loudness && loudness.integrated.is_some()),
        short_term: short_term.peak,
        momentary: curve("momentary").peak,
        curve: short_term.curve(),
        true_peak: loudness.true_peak.filter(|_| needs.loudness),
        out_of_phase: needs
            .phase
            .filter(|_| programme.channels() >= 2)
            .map(|_| phase::read(&marks("phase", "start"), &marks("phase", "end"), end)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::FrameRate;

    #[test]
    fn the_end_is_counted_unless_frames_differ() {
        let rate = FrameRate::reduced(25, 1);
        let stream = VideoStream {
            base_rate: rate,
            average_rate: rate,
            duration: Some(10.0),
            start: 0.08,
            ..VideoStream::default()
        };
        assert!((picture_end(&stream, 150, 0, Some(10.0)) - 6.08).abs() < 1e-9);
        assert!((picture_end(&stream, 200, 10, None) - 10.08).abs() < 1e-9);
        assert_eq!(picture_end(&VideoStream::default(), 5, 0, None), 0.0);
    }

    #[test]
    fn the_time_a_pass_may_take_is_bounded_whatever_the_header_says() {
        let tools = Tools::default();
        let (floor, factor) = (tools.qc_timeout_min, tools.qc_timeout_factor);
        assert_eq!(
            timeout(Some(60.0), 1 << 30, &tools),
            floor + Duration::from_secs(60) * factor
        );
        assert_eq!(timeout(None, 1 << 30, &tools), floor);
        for claimed in [9.9e6, 1e7, 1e300, f64::INFINITY] {
            // A small file buys what it can hold, a large one no more than the cap.
            assert_eq!(
                timeout(Some(claimed), 12_800, &tools),
                floor + Duration::from_secs(100) * factor,
                "{claimed}"
            );
            assert_eq!(
                timeout(Some(claimed), u64::MAX, &tools),
                TIMEOUT_MAX,
                "{claimed}"
            );
        }
        for nonsense in [f64::NAN, -1.0, 0.0] {
            assert_eq!(timeout(Some(nonsense), 1 << 30, &tools), floor);
        }
    }
}
