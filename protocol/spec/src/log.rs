//! Reads ffmpeg's log (`-loglevel level+info`) line by line: errors, and the summaries filters print at their end.
use crate::measure::channel_levels::ChannelLevels;
use crate::measure::frames::{self, Frames};
use crate::measure::loudness::Loudness;
use crate::measure::scan::{self, Scan};
use crate::stretch::Stretch;

/// Messages kept for people.
const MESSAGES_MAX: usize = 10;
/// Stretches of errors this close to each other are one, in seconds: how finely the decoder tells its progress depends on
/// the load of the machine, and the same file must be judged alike.
const GAP: f64 = 1.0;
/// Stretches with errors that are kept: beyond these, the file is bad throughout.
const TIMES_MAX: usize = 50;

/// Everything that was read from the log.
#[derive(Debug, Default, PartialEq)]
pub struct Log {
    /// Errors of the demuxer and the decoders.
    pub errors: u64,
    /// The first of them.
    pub messages: Vec<String>,
    /// Whether the demuxer missed bytes that its index lists.
    pub missing_bytes: bool,
    /// The first error of a filter: no measurement of the graph can then be trusted.
    pub filter_trouble: Option<String>,
    /// Summaries of the filters, by picture.
    pub pictures: Vec<Picture>,
    /// Where errors are: between the two progress lines around each.
    pub error_times: Vec<Stretch>,
    clock: Clock,
    /// Summaries of the filters, by programme.
    pub sound: Vec<Sound>,
    /// Whether a stream changed its format, which restarts every measurement.
    pub format_changes: bool,
    /// Version of ffmpeg.
    pub version: Option<String>,
    section: Section,
}

/// What the filters of one picture printed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Picture {
    /// Frame counts of the filter `vfrdet`; absent when it printed none.
    pub frames: Option<Frames>,
    /// The scan that it shows.
    pub scan: Option<Scan>,
}

/// Progress of the decode.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Clock {
    /// The progress line before the last one: sound runs ahead of the picture by less than that.
    before: f64,
    last: f64,
    /// Whether an error was logged since.
    open: bool,
}

/// What the filters of one programme printed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sound {
    /// Loudness, range and true peak.
    pub loudness: Loudness,
    /// RMS level and mean of each channel, and the number of samples.
    pub levels: ChannelLevels,
}

/// Which summary the lines without a prefix belong to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Section {
    #[default]
    None,
    Ebur128(usize),
}

impl Log {
    /// Takes one line.
    pub fn line(&mut self, line: &str) {
        let Some((component, level, text)) = split(line) else {
            if let Section::Ebur128(n) = self.section {
                self.programme(n).loudness.read_line(line.trim());
            }
            return;
        };
        self.section = Section::None;
        match level {
            "error" | "fatal" | "panic" => self.error(component, text),
            // Concealed damage is only a warning to ffmpeg.
            "warning" if text.contains("orrupt") => self.error(component, text),
            "info" => self.info(component, text),
            _ => {}
        }
    }

    fn error(&mut self, component: &str, text: &str) {
        // Our own outputs complain about time stamps, which are judged elsewhere.
        if component.starts_with("null") || component.starts_with("streamhash") {
            return;
        }
        let filter = ["@", "Parsed_", "graph", "buffer", "auto_"]
            .iter()
            .any(|mark| component.contains(mark));
        let filtering = ["filter", "Error reinitializing", "Impossible to convert"]
            .iter()
            .any(|mark| text.contains(mark));
        if filter || filtering {
            self.filter_trouble.get_or_insert_with(|| text.to_owned());
            return;
        }
        self.errors += 1;
        self.errs_here();
        self.missing_bytes |= text.contains("partial file");
        if self.messages.len() < MESSAGES_MAX && !self.messages.iter().any(|known| known == text) {
            self.messages.push(text.to_owned());
        }
    }

    /// Opens a stretch of errors, or takes this one to the open one.
    fn errs_here(&mut self) {
        if !self.clock.open && self.error_times.len() < TIMES_MAX {
            let start = self.clock.before;
            match self.error_times.last_mut() {
                Some(last) if last.end + GAP >= start => last.end = self.clock.last,
                _ => self.error_times.push(Stretch {
                    start,
                    end: self.clock.last,
                }),
            }
            self.clock.open = true;
        }
    }

    /// `frame=   65 fps=0.0 … time=00:00:02.68 bitrate=N/A`: how far the decode has come.
    fn progress(&mut self, text: &str) {
        let Some(now) = text
            .split_once("time=")
            .and_then(|(_, rest)| clock(rest.split_whitespace().next()?))
        else {
            return;
        };
        if self.clock.open
            && let Some(last) = self.error_times.last_mut()
        {
            last.end = last.end.max(now);
        }
        self.clock = Clock {
            before: self.clock.last,
            last: now,
            open: false,
        };
    }

    fn info(&mut self, component: &str, text: &str) {
        let Some((filter, label)) = component.split_once('@') else {
            if component.is_empty() && (text.starts_with("frame=") || text.starts_with("size=")) {
                self.progress(text);
            }
            if let (None, Some(rest)) = (&self.version, text.strip_prefix("ffmpeg version ")) {
                self.version = rest.split_whitespace().next().map(str::to_owned);
            }
            return;
        };
        let n = label
            .get(1..)
            .and_then(|n| n.parse::<usize>().ok())
            .filter(|n| *n < 256);
        match (filter, n) {
            ("vfrdet", Some(n)) => {
                if let Some(frames) = frames::read_line(text) {
                    // A second copy of the graph that saw frames: the stream has changed its format.
                    let before = self.picture(n).frames.replace(frames);
                    self.format_changes |= before.is_some();
                }
            }
            ("idet", Some(n)) => scan::read_line(&mut self.picture(n).scan, text),
            ("ebur128", Some(n)) if text.starts_with("Summary") => {
                self.section = Section::Ebur128(n)
            }
            ("astats", Some(n)) => {
                let again = self.programme(n).levels.read_line(text);
                self.format_changes |= again;
            }
            _ => {}
        }
    }

    fn picture(&mut self, n: usize) -> &mut Picture {
        if self.pictures.len() <= n {
            self.pictures.resize(n + 1, Picture::default());
        }
        &mut self.pictures[n]
    }

    fn programme(&mut self, n: usize) -> &mut Sound {
        if self.sound.len() <= n {
            self.sound.resize(n + 1, Sound::default());
        }
        &mut self.sound[n]
    }
}

/// `[component @ 0x…] [level] text` or `[level] text`; `None` for a line that continues another.
fn split(line: &str) -> Option<(&str, &str, &str)> {
    let rest = line.strip_prefix('[')?;
    let (first, rest) = rest
        .split_once("] ")
        .or_else(|| Some((rest.strip_suffix(']')?, "")))?;
    let Some((component, _)) = first.split_once(" @ 0x") else {
        return is_level(first).then_some(("", first, rest));
    };
    let (level, text) = rest.strip_prefix('[')?.split_once(']')?;
    is_level(level).then_some((component, level, text.trim_start()))
}

/// `00:01:02.68` in seconds.
fn clock(text: &str) -> Option<f64> {
    if text.starts_with('-') {
        return None;
    }
    let mut parts = text
        .splitn(3, ':')
        .map(|part| part.parse::<f64>().ok().filter(|n| *n >= 0.0));
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    Some(hours * 3600.0 + minutes * 60.0 + seconds)
}

fn is_level(word: &str) -> bool {
    matches!(
        word,
        "panic" | "fatal" | "error" | "warning" | "info" | "verbose" | "debug"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Log {
        let mut log = Log::default();
        text.lines().for_each(|line| log.line(line));
        log
    }

    const SUMMARY: &str = "[ebur128@a0 @ 0x55ab8bc10cc0] [info] Summary:\n\n  Integrated loudness:\n    I:         -23.0 LUFS\n    \
        Threshold: -33.0 LUFS\n\n  Loudness range:\n    LRA:         0.0 LU\n    Threshold: -43.0 LUFS\n    LRA low:   -23.0 LUFS\n    \
        LRA high:  -23.0 LUFS\n\n  True peak:\n    Peak:      -22.3 dBFS\n";
    const NOTHING: &str = "[ebur128@a0 @ 0x1] [info] Summary:\n\n  Integrated loudness:\n    I:         -70.0 LUFS\n    Threshold:   0.0 LUFS\n\n  \
        Loudness range:\n    LRA:         0.0 LU\n    Threshold:   0.0 LUFS\n\n  True peak:\n    Peak:       -inf dBFS\n";

    #[test]
    fn loudness_is_the_last_summary_and_an_empty_one_is_no_measurement() {
        let log = read(&format!("{NOTHING}{SUMMARY}"));
        assert_eq!(
            (
                log.sound[0].loudness.integrated,
                log.sound[0].loudness.true_peak
            ),
            (Some(-23.0), Some(-22.3))
        );
        let log = read(NOTHING);
        assert_eq!(
            (
                log.sound[0].loudness.integrated,
                log.sound[0].loudness.true_peak
            ),
            (None, None)
        );
        let log = read(&NOTHING.replace("-70.0", "  0.0"));
        assert_eq!(log.sound[0].loudness.integrated, None);
    }

    #[test]
    fn errors_are_counted_by_prefix_and_filters_are_not_the_media() {
        let log = read(
            "[h264 @ 0x1] [error] error while decoding MB 0 57, bytestream 81158\n\
             [h264 @ 0x1] [info] concealing 1369 DC, 1369 AC, 1369 MV errors in I frame\n\
             [warning] file:a.mp4: corrupt decoded frame in stream 0\n\
             [mov,mp4,m4a,3gp,3g2,mj2 @ 0x2] [error] stream 1, offset 0x1e52832: partial file\n\
             [null @ 0x3] [error] Application provided invalid, non monotonically increasing dts to muxer\n\
             [info]     title           : [error] not one\n",
        );
        assert_eq!(
            (log.errors, log.missing_bytes, log.filter_trouble),
            (3, true, None)
        );
        assert_eq!(log.messages.len(), 3);
        let log = read("[ebur128@a0 @ 0x1] [error] Unable to parse option value \"quiet\"\n");
        assert!(log.errors == 0 && log.filter_trouble.is_some());
    }

    #[test]
    fn frame_counts_come_from_the_copy_that_saw_frames() {
        let log = read(
            "[vfrdet@v0 @ 0x1] [info] VFR:-nan (0/0)\n[vfrdet@v0 @ 0x2] [info] VFR:0.050251 (10/189) min: 512 max: 5632 avg: 3072\n",
        );
        assert_eq!(
            log.pictures[0].frames,
            Some(Frames {
                decoded: 200,
                odd: 10,
                spread: 5120
            })
        );
        assert!(!log.format_changes);
        let log = read(
            "[vfrdet@v0 @ 0x1] [info] VFR:0.000000 (0/50)\n[vfrdet@v0 @ 0x2] [info] VFR:0.000000 (0/50)\n",
        );
        assert!(log.format_changes);
    }

    #[test]
    fn scan_and_levels_of_channels() {
        let log = read(
            "[idet@v0 @ 0x1] [info] Single frame detection: TFF:     2 BFF:     0 Progressive:   214 Undetermined:    34\n\
             [idet@v0 @ 0x1] [info] Multi frame detection: TFF:     0 BFF:     3 Progressive:   247 Undetermined:     0\n\
             [astats@a1 @ 0x2] [info] Channel: 1\n[astats@a1 @ 0x2] [info] RMS level dB: -23.010000\n\
             [astats@a1 @ 0x2] [info] Channel: 2\n[astats@a1 @ 0x2] [info] RMS level dB: -inf\n\
             [astats@a1 @ 0x2] [info] Overall\n[astats@a1 @ 0x2] [info] Number of samples: 480256\n",
        );
        assert_eq!(
            log.pictures[0].scan,
            Some(Scan {
                tff: 0,
                bff: 3,
                progressive: 247,
                decided: 216
            })
        );
        let levels = ChannelLevels {
            rms: vec![Some(-23.01), None],
            samples: Some(480_256),
            ..ChannelLevels::default()
        };
        assert_eq!(
            log.sound[1],
            Sound {
                levels,
                ..Sound::default()
            }
        );
    }

    #[test]
    fn the_version_is_that_of_the_banner() {
        let log = read(
            "[info] ffmpeg version 5.1.9-0+deb12u1 Copyright (c) 2000-2026 the FFmpeg developers\n",
        );
        assert_eq!(log.version.as_deref(), Some("5.1.9-0+deb12u1"));
    }

    #[test]
    fn strange_lines_are_harmless() {
        let log = read(
            "[\n]\n[] [] \n[a @ 0x] [error]\n[vfrdet@v0 @ 0x1] [info] VFR:1 (99999999999999999999/1)\n[ebur128@a99999 @ 0x1] [info] Summary:\n",
        );
        assert!(log.sound.is_empty() && log.pictures.is_empty());
    }

    #[test]
    fn errors_lie_between_the_looks_at_the_clock_around_them() {
        let tick = |at: &str| {
            format!(
                "[info] frame=   65 fps=0.0 q=-0.0 size=N/A time={at} bitrate=N/A speed=5x    \n"
            )
        };
        let error = "[h264 @ 0x1] [error] error while decoding MB 0 57\n";
        let log = read(
            &[
                &tick("00:00:01.00"),
                &tick("00:00:02.00"),
                error,
                error,
                &tick("00:00:03.50"),
                &tick("00:01:00.00"),
                &tick("00:01:01.00"),
                &tick("00:01:02.00"),
                error,
            ]
            .map(|part| part.to_owned())
            .concat(),
        );
        let times: Vec<_> = log
            .error_times
            .iter()
            .map(|stretch| (stretch.start, stretch.end))
            .collect();
        assert_eq!(times, [(1.0, 3.5), (61.0, 62.0)]);
        assert_eq!(
            (clock("N/A"), clock("-00:00:01.00"), clock("01:00:00.50")),
            (None, None, Some(3600.5))
        );
    }

    #[test]
    fn the_loudness_range_and_the_mean_of_channels() {
        let log = read(&format!(
            "{SUMMARY}[astats@a0 @ 0x2] [info] Channel: 1\n[astats@a0 @ 0x2] [info] DC offset: -0.010004\n"
        ));
        assert_eq!(
            (
                log.sound[0].loudness.range,
                log.sound[0].levels.dc_offset.as_slice()
            ),
            (Some(0.0), &[Some(-0.010_004)][..])
        );
    }
}
