//! Subtitle and caption files: SubRip, WebVTT, TTML. Lists what is wrong with the file; whether it fits the programme is
//! judged by a check.
use super::media::Media;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use spec::facts::TimedText;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Largest file read. A feature film's subtitles are under a megabyte.
const TEXT_BYTES_MAX: u64 = 64 << 20;
/// Problems listed per file; further ones are dropped.
const PROBLEMS_MAX: usize = 10;

/// Formats that are known by name and not read.
const UNREAD: [(&str, &[&str]); 6] = [
    ("SCC", &["scc"]),
    ("MCC", &["mcc"]),
    ("STL", &["stl"]),
    ("SubStation Alpha", &["ass", "ssa"]),
    ("image-based subtitles", &["sub", "idx", "sup"]),
    (
        "a caption format",
        &[
            "pac", "890", "cap", "sbv", "smi", "sami", "cin", "asc", "lrc",
        ],
    ),
];
/// First bytes of formats that are not read, whatever the name.
const UNREAD_STARTS: [(&str, &[u8]); 3] = [
    ("SCC", b"Scenarist_SCC"),
    ("MCC", b"File Format=MacCaption_MCC"),
    ("SubStation Alpha", b"[Script Info]"),
];

/// Reads and parses; `Err` holds the reason why the file cannot be judged.
pub(super) fn read(media: &Media) -> Result<TimedText, String> {
    let bytes = media.bytes();
    if bytes > TEXT_BYTES_MAX {
        return Err(format!(
            "{bytes} bytes are too many for a text file (limit {TEXT_BYTES_MAX})"
        ));
    }
    let mut raw = Vec::new();
    let mut file = media.file();
    file.seek(SeekFrom::Start(0)).map_err(|e| e.to_string())?;
    file.take(TEXT_BYTES_MAX)
        .read_to_end(&mut raw)
        .map_err(|e| e.to_string())?;
    let extension = Path::new(media.name())
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default();
    match unread(&raw, extension) {
        Some(format) => Err(format!(
            "{format} is not read here: not one cue in it was looked at"
        )),
        None => Ok(parse(&raw, extension)),
    }
}

/// The format of a file that is not read.
fn unread(raw: &[u8], extension: &str) -> Option<&'static str> {
    let raw = raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw);
    let known = |extensions: &[&str]| {
        extensions
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    };
    let by_name = UNREAD
        .iter()
        .find(|(_, extensions)| known(extensions))
        .map(|(format, _)| *format);
    by_name.or_else(|| {
        UNREAD_STARTS
            .iter()
            .find(|(_, start)| raw.starts_with(start))
            .map(|(format, _)| *format)
    })
}

fn parse(raw: &[u8], extension: &str) -> TimedText {
    let mut cues = Cues::default();
    let text = match std::str::from_utf8(raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(raw)) {
        Ok(text) => text,
        Err(error) => {
            cues.wrong(
                0,
                &format!("not UTF-8 (byte {}): convert it", error.valid_up_to()),
            );
            return cues.finish("");
        }
    };
    let xml = matches!(
        extension.to_ascii_lowercase().as_str(),
        "ttml" | "dfxp" | "itt" | "xml"
    );
    let format = if text.starts_with("WEBVTT") {
        "webvtt"
    } else if xml || text.trim_start().starts_with('<') {
        "ttml"
    } else if extension.eq_ignore_ascii_case("vtt") {
        cues.wrong(1, "the first line must be WEBVTT");
        "webvtt"
    } else {
        "srt"
    };
    if format == "ttml" {
        ttml(text, &mut cues);
    } else {
        blocks(text, if format == "srt" { ',' } else { '.' }, &mut cues);
    }
    cues.finish(format)
}

/// Cues as they come.
#[derive(Default)]
struct Cues {
    count: u64,
    last_start: f64,
    end: f64,
    problems: Vec<String>,
}

impl Cues {
    fn wrong(&mut self, line: usize, what: &str) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(if line == 0 {
                what.to_owned()
            } else {
                format!("line {line}: {what}")
            });
        }
    }

    fn cue(&mut self, line: usize, start: f64, end: f64) {
        if end <= start {
            self.wrong(line, "a cue ends before it starts");
        }
        if start < self.last_start {
            self.wrong(line, "a cue starts before the one above it");
        }
        self.count += 1;
        self.last_start = self.last_start.max(start);
        self.end = self.end.max(end);
    }

    fn finish(mut self, format: &str) -> TimedText {
        if self.count == 0 && self.problems.is_empty() {
            self.wrong(0, "there is not one cue in it");
        }
        TimedText {
            format: format.to_owned(),
            cues: self.count,
            end: self.end,
            problems: self.problems,
        }
    }
}

/// SubRip and WebVTT: blocks with a line `start --> end`, distinguished by the mark before the milliseconds.
fn blocks(text: &str, point: char, cues: &mut Cues) {
    for (n, line) in text.lines().enumerate().map(|(n, line)| (n + 1, line)) {
        let Some((start, rest)) = line.split_once("-->") else {
            continue;
        };
        let end = rest.split_whitespace().next().unwrap_or_default();
        match (clock(start.trim(), point), clock(end, point)) {
            (Some(start), Some(end)) => cues.cue(n, start, end),
            _ => cues.wrong(
                n,
                &format!(
                    "{:?} is not a pair of times such as 00:01:02{point}500 --> 00:01:04{point}000",
                    cut(line)
                ),
            ),
        }
    }
}

/// `01:02:03,500` in seconds; hours may be left out in WebVTT.
fn clock(text: &str, point: char) -> Option<f64> {
    let (whole, fraction) = text.split_once(point)?;
    if fraction.len() != 3 {
        return None;
    }
    let parts: Vec<u32> = whole
        .split(':')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    let (hours, minutes, seconds) = match (parts.as_slice(), point) {
        (&[hours, minutes, seconds], _) => (hours, minutes, seconds),
        (&[minutes, seconds], '.') => (0, minutes, seconds),
        _ => return None,
    };
    let thousandths: u32 = fraction.parse().ok()?;
    (minutes < 60 && seconds < 60).then(|| {
        f64::from(hours) * 3600.0
            + f64::from(minutes * 60 + seconds)
            + f64::from(thousandths) / 1000.0
    })
}

/// TTML: well-formed XML whose `p` elements carry `begin` and `end` or `dur`.
fn ttml(text: &str, cues: &mut Cues) {
    let mut reader = Reader::from_str(text);
    let (mut depth, mut root, mut rates) = (
        0i64,
        false,
        Rates {
            frame: 30.0,
            tick: 1.0,
        },
    );
    loop {
        let at = usize::try_from(reader.buffer_position())
            .unwrap_or(usize::MAX)
            .min(text.len());
        let line = || {
            text.as_bytes()[..at]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count()
                + 1
        };
        match reader.read_event() {
            Ok(Event::Start(element)) => {
                depth += 1;
                root |= element.local_name().as_ref() == "tt";
                paragraph(&element, &mut rates, line, cues);
            }
            Ok(Event::Empty(element)) => paragraph(&element, &mut rates, line, cues),
            Ok(Event::End(_)) => depth -= 1,
            Ok(Event::Eof) => break,
            Ok(_) => {}
            Err(error) => {
                cues.wrong(line(), &format!("not well-formed XML: {error}"));
                return;
            }
        }
    }
    if depth != 0 {
        cues.wrong(0, "the XML ends before its elements are closed");
    } else if !root {
        cues.wrong(0, "there is no tt element, so it is not TTML");
    }
}

/// What frame and tick counts of a TTML document mean.
struct Rates {
    frame: f64,
    tick: f64,
}

fn paragraph(
    element: &BytesStart<'_>,
    rates: &mut Rates,
    line: impl Fn() -> usize,
    cues: &mut Cues,
) {
    let attribute = |name: &str| {
        let found = element
            .attributes()
            .flatten()
            .find(|a| a.key.local_name().as_ref() == name)?;
        Some(found.value.into_owned())
    };
    if element.local_name().as_ref() == "tt" {
        let number = |name: &str| {
            attribute(name)
                .and_then(|t| t.parse::<f64>().ok())
                .filter(|n| *n > 0.0)
        };
        rates.frame = number("frameRate").unwrap_or(rates.frame);
        rates.tick = number("tickRate").unwrap_or(rates.tick);
    }
    // Times may be on spans or divs instead; a paragraph without any is not an error.
    if element.local_name().as_ref() != "p" {
        return;
    }
    let Some(begin) = attribute("begin") else {
        return;
    };
    let start = media_time(&begin, rates);
    let end = match (attribute("end"), attribute("dur")) {
        (Some(end), _) => media_time(&end, rates),
        (None, Some(length)) => start
            .zip(media_time(&length, rates))
            .map(|(start, length)| start + length),
        (None, None) => {
            return cues.wrong(line(), "a paragraph begins and has neither end nor dur");
        }
    };
    match start.zip(end) {
        Some((start, end)) => cues.cue(line(), start, end),
        None => cues.wrong(
            line(),
            &format!(
                "{:?} is not a time such as 00:01:02.500 or 62.5s",
                cut(&begin)
            ),
        ),
    }
}

/// A TTML time expression: `hh:mm:ss`, `hh:mm:ss.fff`, `hh:mm:ss:ff`, or an offset with `h`, `m`, `s`, `ms`, `f`, `t`.
fn media_time(text: &str, rates: &Rates) -> Option<f64> {
    let text = text.trim();
    if text.contains(':') {
        let parts: Vec<f64> = text
            .split(':')
            .map(|p| p.parse::<f64>().ok().filter(|n| *n >= 0.0))
            .collect::<Option<_>>()?;
        return match parts.as_slice() {
            [hours, minutes, seconds] => Some(hours * 3600.0 + minutes * 60.0 + seconds),
            [hours, minutes, seconds, frames] => {
                Some(hours * 3600.0 + minutes * 60.0 + seconds + frames / rates.frame)
            }
            _ => None,
        };
    }
    let (number, unit) = protocol::quantity::split(text)?;
    let seconds = match unit {
        "h" => number * 3600.0,
        "m" => number * 60.0,
        "s" => number,
        "ms" => number / 1000.0,
        "f" => number / rates.frame,
        "t" => number / rates.tick,
        _ => return None,
    };
    (seconds >= 0.0).then_some(seconds)
}

/// The first characters of a line that may be long.
fn cut(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SRT: &str =
        "1\n00:00:01,000 --> 00:00:02,500\nHallo\n\n2\n00:00:03,000 --> 00:00:04,000\nWelt\n";

    #[test]
    fn subrip() {
        let good = parse(SRT.as_bytes(), "srt");
        assert_eq!((good.cues, good.end, good.problems.len()), (2, 4.0, 0));
        assert_eq!(
            parse([b"\xef\xbb\xbf", SRT.as_bytes()].concat().as_slice(), "srt"),
            good
        );
        let wrong = parse(SRT.replace("03,000 -->", "03.000 -->").as_bytes(), "srt");
        assert!(wrong.problems[0].starts_with("line 6:"), "{wrong:?}");
        let backwards = parse(SRT.replace("03,000", "00,500").as_bytes(), "srt");
        assert!(
            backwards.problems[0].contains("before the one above"),
            "{backwards:?}"
        );
        assert!(parse(b"", "srt").problems[0].contains("not one cue"));
        assert!(parse(b"\xff\xfe1\0", "srt").problems[0].contains("UTF-8"));
    }

    #[test]
    fn formats_without_a_reader_are_known_by_name_or_start() {
        for (raw, extension) in [
            (&b"x"[..], "SCC"),
            (b"x", "stl"),
            (b"Scenarist_SCC V1.0\n", "txt"),
            (b"\xef\xbb\xbf[Script Info]\n", ""),
        ] {
            assert!(unread(raw, extension).is_some(), "{extension}");
        }
        for extension in ["srt", "vtt", "ttml", "dfxp", "itt", "xml", "imsc", ""] {
            assert_eq!(unread(SRT.as_bytes(), extension), None, "{extension}");
        }
    }

    #[test]
    fn webvtt() {
        let good =
            parse(b"WEBVTT\n\n00:01.000 --> 00:02.000 align:left\nA\n\n01:00:00.000 --> 01:00:02.000\nB\n", "vtt");
        assert_eq!(
            (
                good.format.as_str(),
                good.cues,
                good.end,
                good.problems.len()
            ),
            ("webvtt", 2, 3602.0, 0)
        );
        assert!(parse(b"00:01.000 --> 00:02.000\n", "vtt").problems[0].contains("WEBVTT"));
        assert!(
            parse(b"WEBVTT\n\n00:03.000 --> 00:02.000\n", "vtt").problems[0]
                .contains("ends before")
        );
    }

    #[test]
    fn timed_text() {
        let good = parse(
            b"<?xml version=\"1.0\"?><tt xmlns=\"http://www.w3.org/ns/ttml\" ttp:frameRate=\"25\" xmlns:ttp=\"x\"><body><div>\n\
              <p begin=\"00:00:01:05\" end=\"00:00:02.0\">A</p><p begin=\"2.5s\" dur=\"500ms\"/></div></body></tt>",
            "ttml",
        );
        assert_eq!(
            (good.format.as_str(), good.cues, good.end),
            ("ttml", 2, 3.0),
            "{good:?}"
        );
        assert!(good.problems.is_empty(), "{good:?}");
        for broken in [
            "<tt><body>",
            "<tt><p begin='x' end='y'/></tt>",
            "<a/>",
            "<tt></p></tt>",
            "<tt><p begin='1s'/></tt>",
        ] {
            assert!(
                !parse(broken.as_bytes(), "ttml").problems.is_empty(),
                "{broken}"
            );
        }
    }
}
