//! Reads ffmpeg's log (`-loglevel level+info`) line by line: errors, and the summaries filters print at their end.
use super::facts::Scan;

/// Messages kept for people.
const MESSAGES_MAX: usize = 10;

/// What the log said.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Log {
    pub(super) errors: u64,
    pub(super) messages: Vec<String>,
    pub(super) missing_bytes: bool,
    /// What a filter complained about: nothing the graph measured can then be trusted.
    pub(super) filter_trouble: Option<String>,
    pub(super) frames: Option<Frames>,
    pub(super) scan: Option<Scan>,
    pub(super) sound: Vec<Sound>,
    pub(super) format_changes: bool,
    pub(super) version: Option<String>,
    section: Section,
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
        // Our own null output complains about time stamps, which are judged elsewhere.
        if component.starts_with("null") {
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
        self.missing_bytes |= text.contains("partial file");
        if self.messages.len() < MESSAGES_MAX && !self.messages.iter().any(|known| known == text) {
            self.messages.push(text.to_owned());
        }
    }

    fn info(&mut self, component: &str, text: &str) {
        let Some((filter, label)) = component.split_once('@') else {
            if let (None, Some(rest)) = (&self.version, text.strip_prefix("ffmpeg version ")) {
                self.version = rest.split_whitespace().next().map(str::to_owned);
            }
            return;
        };
        let n = label.get(1..).and_then(|n| n.parse::<usize>().ok()).filter(|n| *n < 256);
        match (filter, n) {
            ("vfrdet", _) => self.vfrdet(text),
            ("idet", _) => self.idet(text),
            ("ebur128", Some(n)) if text.starts_with("Summary") => self.section = Section::Ebur128(n),
            ("astats", Some(n)) => self.astats(n, text),
            _ => {}
        }
    }

    /// `VFR:0.050251 (10/189) min: 512 max: 5632 avg: 3072`. The graph is built once before anything is decoded, and that
    /// first copy reports nothing at all: only a copy that saw frames counts, and there must be one.
    fn vfrdet(&mut self, text: &str) {
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
        self.format_changes |= self.frames.is_some();
        self.frames = Some(Frames { decoded: odd + even + 1, odd, spread });
    }

    /// `Multi frame detection: TFF:     0 BFF:     0 Progressive:   250 Undetermined:     0`, and before it the same for
    /// `Single frame detection`. The copy of the graph that saw no frames says 0 throughout.
    fn idet(&mut self, text: &str) {
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
        let scan = self.scan.get_or_insert_default();
        match which {
            "Single" if sum > 0 => scan.decided = sum,
            "Multi" if sum > 0 => *scan = Scan { tff, bff, progressive, decided: scan.decided },
            _ => {}
        }
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
        } else if let Some(level) = text.strip_prefix("RMS level dB:") {
            let level = level.trim().parse::<f64>().ok().filter(|level| level.is_finite());
            self.programme(n).rms.push(level);
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
            "[vfrdet@v @ 0x1] [info] VFR:-nan (0/0)\n[vfrdet@v @ 0x2] [info] VFR:0.050251 (10/189) min: 512 max: 5632 avg: 3072\n",
        );
        assert_eq!(log.frames, Some(Frames { decoded: 200, odd: 10, spread: 5120 }));
        assert!(!log.format_changes);
        let log = read("[vfrdet@v @ 0x1] [info] VFR:0.000000 (0/50)\n[vfrdet@v @ 0x2] [info] VFR:0.000000 (0/50)\n");
        assert!(log.format_changes);
    }

    #[test]
    fn scan_and_levels_of_channels() {
        let log = read(
            "[idet@v @ 0x1] [info] Single frame detection: TFF:     2 BFF:     0 Progressive:   214 Undetermined:    34\n\
             [idet@v @ 0x1] [info] Multi frame detection: TFF:     0 BFF:     3 Progressive:   247 Undetermined:     0\n\
             [astats@a1 @ 0x2] [info] Channel: 1\n[astats@a1 @ 0x2] [info] RMS level dB: -23.010000\n\
             [astats@a1 @ 0x2] [info] Channel: 2\n[astats@a1 @ 0x2] [info] RMS level dB: -inf\n\
             [astats@a1 @ 0x2] [info] Overall\n[astats@a1 @ 0x2] [info] Number of samples: 480256\n",
        );
        assert_eq!(log.scan, Some(Scan { tff: 0, bff: 3, progressive: 247, decided: 216 }));
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
            "[\n]\n[] [] \n[a @ 0x] [error]\n[vfrdet@v @ 0x1] [info] VFR:1 (99999999999999999999/1)\n[ebur128@a99999 @ 0x1] [info] Summary:\n",
        );
        assert!(log.sound.is_empty() && log.frames.is_none());
    }
}
