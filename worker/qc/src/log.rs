//! Reads ffmpeg's log (`-loglevel level+info`) line by line: errors, and the summaries filters print at their end.
use super::facts::{Scan, Stretch};

/// Messages kept for people.
const MESSAGES_MAX: usize = 10;
/// Stretches of errors this close to each other are one, in seconds: how finely the decoder tells its progress depends on
/// the load of the machine, and the same file must be judged alike.
const GAP: f64 = 1.0;
/// Stretches with errors that are kept: beyond these, the file is bad throughout.
const TIMES_MAX: usize = 50;

/// What the log said.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Log {
    pub(super) errors: u64,
    pub(super) messages: Vec<String>,
    pub(super) missing_bytes: bool,
    /// What a filter complained about: nothing the graph measured can then be trusted.
    pub(super) filter_trouble: Option<String>,
    pub(super) pictures: Vec<Picture>,
    /// Where errors were: between the two looks at the clock around each.
    pub(super) error_times: Vec<Stretch>,
    clock: Clock,
    pub(super) sound: Vec<Sound>,
    pub(super) format_changes: bool,
    pub(super) version: Option<String>,
    section: Section,
}

/// What the filters of one picture printed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Picture {
    pub(super) frames: Option<Frames>,
    pub(super) scan: Option<Scan>,
}

/// How far the decode had come.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Clock {
    /// One look before the last: sound runs ahead of the picture by less than that.
    before: f64,
    last: f64,
    /// Whether an error was told since.
    open: bool,
}

/// What vfrdet counted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Frames {
    pub(super) decoded: u64,
    pub(super) odd: u64,
    /// Ticks between the longest and the shortest frame.
    pub(super) spread: u64,
}

/// What the filters of one programme printed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sound {
    pub(super) loudness: Option<f64>,
    pub(super) true_peak: Option<f64>,
    pub(super) rms: Vec<Option<f64>>,
    pub(super) dc_offset: Vec<Option<f64>>,
    pub(super) range: Option<f64>,
    pub(super) samples: Option<u64>,
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
    pub(super) fn line(&mut self, line: &str) {
        let Some((component, level, text)) = split(line) else {
            if let Section::Ebur128(n) = self.section {
                self.summary(n, line.trim());
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
        let filter = ["@", "Parsed_", "graph", "buffer", "auto_"].iter().any(|mark| component.contains(mark));
        let filtering =
            ["filter", "Error reinitializing", "Impossible to convert"].iter().any(|mark| text.contains(mark));
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
                _ => self.error_times.push(Stretch { start, end: self.clock.last }),
            }
            self.clock.open = true;
        }
    }

    /// `frame=   65 fps=0.0 … time=00:00:02.68 bitrate=N/A`: how far the decode has come.
    fn progress(&mut self, text: &str) {
        let Some(now) = text.split_once("time=").and_then(|(_, rest)| clock(rest.split_whitespace().next()?)) else {
            return;
        };
        if self.clock.open
            && let Some(last) = self.error_times.last_mut()
        {
            last.end = last.end.max(now);
        }
        self.clock = Clock { before: self.clock.last, last: now, open: false };
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
        let n = label.get(1..).and_then(|n| n.parse::<usize>().ok()).filter(|n| *n < 256);
        match (filter, n) {
            ("vfrdet", Some(n)) => self.vfrdet(n, text),
            ("idet", Some(n)) => self.idet(n, text),
            ("ebur128", Some(n)) if text.starts_with("Summary") => self.section = Section::Ebur128(n),
            ("astats", Some(n)) => self.astats(n, text),
            _ => {}
        }
    }

    /// `VFR:0.050251 (10/189) min: 512 max: 5632 avg: 3072`. The graph is built once before anything is decoded, and that
    /// first copy reports nothing at all: only a copy that saw frames counts, and there must be one.
    fn vfrdet(&mut self, n: usize, text: &str) {
        let Some((odd, even)) =
            text.split_once('(').and_then(|(_, rest)| rest.split_once(')')).and_then(|(counts, _)| {
                let (odd, even) = counts.split_once('/')?;
                Some((odd.parse::<u64>().ok()?, even.parse::<u64>().ok()?))
            })
        else {
            return;
        };
        if odd + even == 0 {
            return;
        }
        let word = |name: &str| {
            let (_, rest) = text.split_once(name)?;
            rest.split_whitespace().next()?.parse::<u64>().ok()
        };
        let spread = word("max:").unwrap_or(0).saturating_sub(word("min:").unwrap_or(0));
        let changed = self.picture(n).frames.is_some();
        self.format_changes |= changed;
        self.picture(n).frames = Some(Frames { decoded: odd + even + 1, odd, spread });
    }

    /// `Multi frame detection: TFF:     0 BFF:     0 Progressive:   250 Undetermined:     0`, and before it the same for
    /// `Single frame detection`. The copy of the graph that saw no frames says 0 throughout.
    fn idet(&mut self, n: usize, text: &str) {
        let Some((which, counts)) = text.split_once(" frame detection:") else { return };
        let words: Vec<&str> = counts.split_whitespace().collect();
        let count = |name: &str| {
            let at = words.iter().position(|word| *word == name)?;
            words.get(at + 1)?.parse::<u64>().ok()
        };
        let (Some(tff), Some(bff), Some(progressive)) = (count("TFF:"), count("BFF:"), count("Progressive:")) else {
            return;
        };
        let sum = tff.saturating_add(bff).saturating_add(progressive);
        let scan = self.picture(n).scan.get_or_insert_default();
        match which {
            "Single" if sum > 0 => scan.decided = sum,
            "Multi" if sum > 0 => *scan = Scan { tff, bff, progressive, decided: scan.decided },
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

    fn astats(&mut self, n: usize, text: &str) {
        if text == "Channel: 1" {
            let again = self.programme(n).samples.is_some();
            self.format_changes |= again;
            self.programme(n).rms.clear();
            self.programme(n).dc_offset.clear();
        } else if let Some(level) = text.strip_prefix("RMS level dB:") {
            let level = level.trim().parse::<f64>().ok().filter(|level| level.is_finite());
            self.programme(n).rms.push(level);
        } else if let Some(offset) = text.strip_prefix("DC offset:") {
            let offset = offset.trim().parse::<f64>().ok().filter(|offset| offset.is_finite());
            self.programme(n).dc_offset.push(offset);
        } else if let Some(count) = text.strip_prefix("Number of samples:") {
            self.programme(n).samples = count.trim().parse().ok();
        }
    }

    /// A line of ebur128's summary. The copy that saw nothing reads -70 LUFS, threshold 0 and a peak of -inf; the last copy
    /// stands. What is not finite is not a measurement.
    fn summary(&mut self, n: usize, line: &str) {
        let value = |unit: &str| {
            let (_, rest) = line.split_once(':')?;
            rest.trim().strip_suffix(unit)?.trim().parse::<f64>().ok().filter(|v| v.is_finite())
        };
        if line.starts_with("I:") {
            self.programme(n).loudness = value("LUFS");
        } else if line.starts_with("LRA:") {
            self.programme(n).range = value("LU");
        } else if line.starts_with("Peak:") {
            self.programme(n).true_peak = value("dBFS");
        } else if line.starts_with("Threshold:") && value("LUFS") == Some(0.0) {
            // Only the integrated threshold is 0 when nothing was measured; the range's comes later and may be 0 in a
            // short file, so it is not taken for one.
            if self.programme(n).loudness == Some(-70.0) || self.programme(n).loudness == Some(0.0) {
                self.programme(n).loudness = None;
            }
        }
    }
}

/// `[component @ 0x…] [level] text` or `[level] text`; `None` for a line that continues another.
fn split(line: &str) -> Option<(&str, &str, &str)> {
    let rest = line.strip_prefix('[')?;
    let (first, rest) = rest.split_once("] ").or_else(|| Some((rest.strip_suffix(']')?, "")))?;
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
    let mut parts = text.splitn(3, ':').map(|part| part.parse::<f64>().ok().filter(|n| *n >= 0.0));
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    Some(hours * 3600.0 + minutes * 60.0 + seconds)
}

fn is_level(word: &str) -> bool {
    matches!(word, "panic" | "fatal" | "error" | "warning" | "info" | "verbose" | "debug")
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
        assert_eq!((log.sound[0].loudness, log.sound[0].true_peak), (Some(-23.0), Some(-22.3)));
        let log = read(NOTHING);
        assert_eq!((log.sound[0].loudness, log.sound[0].true_peak), (None, None));
        let log = read(&NOTHING.replace("-70.0", "  0.0"));
        assert_eq!(log.sound[0].loudness, None);
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
        assert_eq!((log.errors, log.missing_bytes, log.filter_trouble), (3, true, None));
        assert_eq!(log.messages.len(), 3);
        let log = read("[ebur128@a0 @ 0x1] [error] Unable to parse option value \"quiet\"\n");
        assert!(log.errors == 0 && log.filter_trouble.is_some());
    }

    #[test]
    fn frame_counts_come_from_the_copy_that_saw_frames() {
        let log = read(
            "[vfrdet@v0 @ 0x1] [info] VFR:-nan (0/0)\n[vfrdet@v0 @ 0x2] [info] VFR:0.050251 (10/189) min: 512 max: 5632 avg: 3072\n",
        );
        assert_eq!(log.pictures[0].frames, Some(Frames { decoded: 200, odd: 10, spread: 5120 }));
        assert!(!log.format_changes);
        let log = read("[vfrdet@v0 @ 0x1] [info] VFR:0.000000 (0/50)\n[vfrdet@v0 @ 0x2] [info] VFR:0.000000 (0/50)\n");
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
        assert_eq!(log.pictures[0].scan, Some(Scan { tff: 0, bff: 3, progressive: 247, decided: 216 }));
        assert_eq!(log.sound[1], Sound { rms: vec![Some(-23.01), None], samples: Some(480_256), ..Sound::default() });
    }

    #[test]
    fn the_version_is_that_of_the_banner() {
        let log = read("[info] ffmpeg version 5.1.9-0+deb12u1 Copyright (c) 2000-2026 the FFmpeg developers\n");
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
        let tick =
            |at: &str| format!("[info] frame=   65 fps=0.0 q=-0.0 size=N/A time={at} bitrate=N/A speed=5x    \n");
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
        let times: Vec<_> = log.error_times.iter().map(|stretch| (stretch.start, stretch.end)).collect();
        assert_eq!(times, [(1.0, 3.5), (61.0, 62.0)]);
        assert_eq!((clock("N/A"), clock("-00:00:01.00"), clock("01:00:00.50")), (None, None, Some(3600.5)));
    }

    #[test]
    fn the_loudness_range_and_the_mean_of_channels() {
        let log = read(&format!(
            "{SUMMARY}[astats@a0 @ 0x2] [info] Channel: 1\n[astats@a0 @ 0x2] [info] DC offset: -0.010004\n"
        ));
        assert_eq!((log.sound[0].range, log.sound[0].dc_offset.as_slice()), (Some(0.0), &[Some(-0.010_004)][..]));
    }
}
