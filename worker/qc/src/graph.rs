//! Builds the one filter graph that measures everything a policy needs in a single decode.
//!
//! Every detector writes its marks to a file of its own, named relative to the program's directory: two printers on one
//! pipe tear each other's lines, and a relative name needs no escaping.
use super::facts::{AudioStream, VideoStream};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// What the pass has to measure. Everything that decodes is decoded in any case.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Needs {
    /// Share of the picture and luma level of black.
    pub(super) black: Option<(f64, f64)>,
    /// Noise in dB and shortest stretch in seconds.
    pub(super) freeze: Option<(f64, f64)>,
    /// Whether the scan is looked at, and how much rougher than a whole frame a pair of fields must look.
    pub(super) scan: Option<f64>,
    /// Whether luma is held against EBU R 103.
    pub(super) levels: bool,
    /// Noise in dB and shortest stretch in seconds.
    pub(super) silence: Option<(f64, f64)>,
    /// Whether loudness and true peak are measured.
    pub(super) loudness: bool,
    /// Shortest stretch out of phase in seconds.
    pub(super) phase: Option<f64>,
    /// Whether red, green and blue are held against EBU R 103.
    pub(super) gamut: bool,
    /// Whether MediaInfo is asked.
    pub(super) mediainfo: bool,
    /// The policy MediaConch holds against the file.
    pub(super) mediaconch: Option<String>,
}

impl Needs {
    /// Whether whoever looked for this has found all that `wanted` asks for.
    pub(super) fn covers(&self, wanted: &Needs) -> bool {
        let stretches = |has: Option<(f64, f64)>, wanted: Option<(f64, f64)>| {
            // Shorter ones are among those that were looked for; with another threshold they are others.
            wanted.is_none_or(|(at, least)| has.is_some_and(|(is, from)| is == at && from <= least))
        };
        wanted.black.is_none_or(|black| self.black == Some(black))
            && stretches(self.freeze, wanted.freeze)
            && wanted.scan.is_none_or(|scan| self.scan == Some(scan))
            && (self.levels || !wanted.levels)
            && stretches(self.silence, wanted.silence)
            && (self.loudness || !wanted.loudness)
            && wanted.phase.is_none_or(|least| self.phase.is_some_and(|from| from <= least))
            && (self.gamut || !wanted.gamut)
            && (self.mediainfo || !wanted.mediainfo)
            && (wanted.mediaconch.is_none() || self.mediaconch == wanted.mediaconch)
    }

    /// This and, where one decode can do both, what was known before: a sheet should not lose what it had.
    pub(super) fn with(&self, known: &Needs) -> Needs {
        let stretches = |ours: Option<(f64, f64)>, theirs: Option<(f64, f64)>| match (ours, theirs) {
            (Some((at, least)), Some((is, from))) if at == is => Some((at, least.min(from))),
            (ours, theirs) => ours.or(theirs),
        };
        Needs {
            black: self.black.or(known.black),
            freeze: stretches(self.freeze, known.freeze),
            scan: self.scan.or(known.scan),
            levels: self.levels || known.levels,
            silence: stretches(self.silence, known.silence),
            loudness: self.loudness || known.loudness,
            phase: match (self.phase, known.phase) {
                (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
                (ours, theirs) => ours.or(theirs),
            },
            gamut: self.gamut || known.gamut,
            mediainfo: self.mediainfo || known.mediainfo,
            mediaconch: self.mediaconch.clone().or_else(|| known.mediaconch.clone()),
        }
    }
}

/// Sound streams that are one programme: usually one, two when a wrapper carries mono streams in pairs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Programme {
    pub(super) streams: Vec<AudioStream>,
    /// Number of its first channel, from 1 over the file.
    pub(super) first_channel: u32,
}

impl Programme {
    pub(super) fn channels(&self) -> u32 {
        self.streams.iter().map(|stream| stream.channels).sum()
    }
}

/// One picture in five is looked at for levels: every picture would double the cost of the pass (measured).
const LEVELS_EVERY: u32 = 5;
/// Pictures are point-sampled to about this width for levels; a tenth of a percent still shows.
const LEVELS_WIDTH: u32 = 480;

/// Pictures narrower or lower than this are cheap enough to be looked at whole.
const SCAN_MIN: (u32, u32) = (720, 64);
/// And so are pictures with fewer lines than these.
const LINES_MIN: u32 = 720;

/// Streams by programme: mono streams in even number are pairs (broadcast MXF), anything else stands alone.
pub(super) fn programmes(streams: &[AudioStream]) -> Vec<Programme> {
    let pairs = streams.len() >= 2
        && streams.len().is_multiple_of(2)
        && streams.iter().all(|s| s.channels == 1 && s.sample_rate == streams[0].sample_rate);
    let mut first_channel = 1;
    streams
        .chunks(if pairs { 2 } else { 1 })
        .map(|streams| {
            let programme = Programme { streams: streams.to_vec(), first_channel };
            first_channel += programme.channels();
            programme
        })
        .collect()
}

/// The graph and the labels of its ends, each of which becomes an output of its own: one output would queue whole
/// pictures while it waits for sound.
pub(super) fn build(needs: &Needs, pictures: &[&VideoStream], programmes: &[Programme]) -> (String, Vec<String>) {
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
    // Whoever looks at another part of the picture gets a branch of his own: nothing is copied for it.
    let apart = still.is_some() && needs.scan.is_some();
    let (mut chain, mut tail) = (format!("[0:{}]", video.index), String::new());
    if sampled || apart {
        let branches = [("sample", sampled), ("still", apart)].into_iter().filter(|(_, wanted)| *wanted);
        let names: String = branches.map(|(name, _)| format!("[{name}{n}]")).collect();
        let count = 1 + usize::from(sampled) + usize::from(apart);
        write_filter(&mut chain, format_args!("split={count}[picture{n}]{names};[picture{n}]"));
    }
    if sampled {
        tail = samples(needs, n, video);
    }
    write_filter(&mut chain, format_args!("vfrdet@v{n}"));
    match still {
        Some(still) if apart => write_filter(&mut tail, format_args!(";[still{n}]{still},nullsink")),
        Some(still) => write_filter(&mut chain, format_args!(",{still}")),
        None => {}
    }
    if let Some(threshold) = needs.scan {
        if video.width >= SCAN_MIN.0 && video.height >= SCAN_MIN.1 {
            // Fields comb wherever something moves: the middle of the picture shows it for a fraction of the cost. Four
            // lines hold two of each field in every plane, so the cut leaves their order as it is.
            chain.push_str(",crop=w=iw/2:x=iw/4:h=4*floor(ih/8):y=4*floor(ih/16)");
        }
        write_filter(&mut chain, format_args!(",idet@v{n}=intl_thres={threshold}"));
    }
    chain + &format!("[v{n}]") + &tail
}

/// Looks for black and for stillness. In large pictures one line in four is looked at, which is done by counting lines
/// otherwise and costs nothing: both are shares of the whole picture, and a quarter of its lines has them, too.
fn still(needs: &Needs, n: usize, video: &VideoStream) -> Option<String> {
    let mut filters = Vec::new();
    if let Some((area, level)) = needs.black {
        // The length is judged by us: the marks ignore blackdetect's own `d`.
        filters.push(format!("blackdetect=d=0:pic_th={area}:pix_th={level},metadata=mode=print:file=black{n}"));
    }
    if let Some((noise, seconds)) = needs.freeze {
        filters.push(format!("freezedetect=n={noise}dB:d={seconds},metadata=mode=print:file=freeze{n}"));
    }
    if filters.is_empty() {
        return None;
    }
    let lines = if video.height >= LINES_MIN { "field=top,field=top," } else { "" };
    Some(format!("{lines}metadata=mode=delete,{}", filters.join(",metadata=mode=delete,")))
}

/// What is looked at in some pictures only, and small.
fn samples(needs: &Needs, n: usize, video: &VideoStream) -> String {
    let factor = (video.width / LEVELS_WIDTH).max(1);
    let (width, height) = ((video.width / factor).max(1), (video.height / factor).max(1));
    let mut chain = format!(";[sample{n}]select='not(mod(n,{LEVELS_EVERY}))'");
    if factor > 1 {
        write_filter(&mut chain, format_args!(",scale=w={width}:h={height}:flags=neighbor"));
    }
    match (needs.levels, needs.gamut) {
        (true, true) => {
            write_filter(&mut chain, format_args!(",split=2[luma{n}][colour{n}];[luma{n}]null"));
            chain + &levels(n, video) + &format!(";[colour{n}]null") + &gamut(n, video)
        }
        (true, false) => chain + &levels(n, video),
        (false, _) => chain + &gamut(n, video),
    }
}

/// Marks luma outside EBU R 103 (5 to 246 of 8 bits) as white and everything else as black: the mean is then the share.
/// signalstats' own BRNG takes noise around black for an error.
fn levels(n: usize, video: &VideoStream) -> String {
    let mut chain = String::new();
    let scale = levels_scale(video);
    if scale == 0 {
        chain.push_str(",format=yuv420p");
    }
    let one = f64::from(scale.max(1));
    let (low, high, white) = (5.0 * one, 247.0 * one - 1.0, 255.0 * one);
    write_filter(&mut chain, format_args!(",lutyuv=y='if(between(val,{low},{high}),0,{white})':u=val:v=val"));
    write_filter(
        &mut chain,
        format_args!(",signalstats,metadata=mode=print:key=lavfi.signalstats.YAVG:file=levels{n},nullsink"),
    );
    chain
}

/// Marks pixels with red, green or blue outside -5 % to 105 % (EBU R 103) as white and everything else as black.
///
/// A conversion to RGB cuts off what it should show. Luma and colour differences are therefore halved around their middle
/// first: the matrix is linear, so -5 % and 105 % come out as 22.5 % and 77.5 % and nothing is cut off.
fn gamut(n: usize, video: &VideoStream) -> String {
    let range = if video.range.as_deref() == Some("pc") { "pc" } else { "tv" };
    // Where luma of 10 bits begins, and half its span.
    let (black, quarter) = if range == "pc" { (0, 256) } else { (64, 219) };
    let matrix = match video.matrix.as_deref() {
        Some("bt470bg" | "smpte170m") => "bt601",
        Some("bt2020nc" | "bt2020c") => "bt2020",
        Some("smpte240m") => "smpte240m",
        Some("fcc") => "fcc",
        Some(_) => "bt709",
        // Unflagged material of standard definition is BT.601 by custom.
        None if video.height <= 576 => "bt601",
        None => "bt709",
    };
    let mark = "if(between(val,230,793),0,1023)";
    format!(
        ",scale=in_range={range}:out_range={range}:in_color_matrix={matrix}:out_color_matrix={matrix},format=yuv444p10,\
         lutyuv=y='(val-{black})*0.5+{black}+{quarter}':u='(val-512)*0.5+512':v='(val-512)*0.5+512',\
         scale=in_color_matrix={matrix}:in_range={range}:out_range=pc,format=gbrp10,lutrgb=r='{mark}':g='{mark}':b='{mark}',\
         colorchannelmixer=rr=1:rg=1:rb=1:gr=1:gg=1:gb=1:br=1:bg=1:bb=1,format=gbrp,\
         scale=in_range=pc:out_range=pc:out_color_matrix=bt709,format=yuv444p,\
         signalstats,metadata=mode=print:key=lavfi.signalstats.YAVG:file=gamut{n},nullsink"
    )
}

/// What one 8-bit step is worth in this picture's own depth; 0 for formats without a luma plane, which are converted.
pub(super) fn levels_scale(video: &VideoStream) -> u32 {
    let planar = video.pix_fmt.as_deref().is_some_and(|format| {
        ["yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p"].iter().any(|known| {
            // 16-bit luma is beyond what signalstats takes.
            format.strip_prefix(known).is_some_and(|depth| matches!(depth, "" | "9le" | "10le" | "12le"))
        })
    });
    if planar { 1 << (video.bit_depth().unwrap_or(8) - 8) } else { 0 }
}

fn sound(needs: &Needs, n: usize, programme: &Programme) -> String {
    let mut chain: String = programme.streams.iter().map(|stream| format!("[0:{}]", stream.index)).collect();
    if programme.streams.len() > 1 {
        write_filter(&mut chain, format_args!("amerge=inputs={},", programme.streams.len()));
    }
    write_filter(
        &mut chain,
        format_args!("astats@a{n}=measure_perchannel=RMS_level+DC_offset:measure_overall=Number_of_samples"),
    );
    if let Some((noise, seconds)) = needs.silence {
        write_filter(&mut chain, format_args!(",ametadata=mode=delete,silencedetect=n={noise}dB:d={seconds}:m=1"));
        write_filter(&mut chain, format_args!(",ametadata=mode=print:file=silence{n}"));
    }
    if needs.loudness {
        // `framelog=quiet` does not exist in 5.1; at `verbose` the frames stay out of our level of the log.
        write_filter(
            &mut chain,
            format_args!(",ametadata=mode=delete,ebur128@a{n}=peak=true:framelog=verbose:metadata=1"),
        );
        for (key, file) in [("S", "short"), ("M", "momentary")] {
            write_filter(&mut chain, format_args!(",ametadata=mode=print:key=lavfi.r128.{key}:file={file}{n}"));
        }
    }
    if let (Some(seconds), 2..) = (needs.phase, programme.channels()) {
        if programme.channels() > 2 {
            chain.push_str(",pan=stereo|c0=c0|c1=c1");
        }
        // The meter counts a sample of exact zero as in phase, so a pure tone that is wholly inverted reads about -0.92;
        // 120 degrees asks for a correlation below -0.5.
        let meter = format_args!("aphasemeter=video=0:phasing=1:angle=120:d={seconds}").to_string();
        write_filter(&mut chain, format_args!(",ametadata=mode=delete,{meter}"));
        for mark in ["start", "end"] {
            let file = format_args!("key=lavfi.aphasemeter.out_phase_{mark}:file=phase{n}{mark}").to_string();
            write_filter(&mut chain, format_args!(",ametadata=mode=print:{file}"));
        }
    }
    write_filter(&mut chain, format_args!("[a{n}]"));
    chain
}

fn write_filter(chain: &mut String, filter: std::fmt::Arguments<'_>) {
    chain.write_fmt(filter).expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(index: u32, channels: u32) -> AudioStream {
        AudioStream { index, channels, sample_rate: 48_000, ..AudioStream::default() }
    }

    #[test]
    fn mono_streams_pair_and_others_stand_alone() {
        let four: Vec<_> = (1..5).map(|i| stream(i, 1)).collect();
        let paired = programmes(&four);
        assert_eq!(paired.iter().map(|p| (p.first_channel, p.channels())).collect::<Vec<_>>(), [(1, 2), (3, 2)]);
        let mixed = programmes(&[stream(1, 6), stream(2, 2)]);
        assert_eq!(mixed.iter().map(|p| (p.first_channel, p.channels())).collect::<Vec<_>>(), [(1, 6), (7, 2)]);
        assert_eq!(programmes(&[stream(1, 1)]).len(), 1);
    }

    #[test]
    fn only_what_is_needed_is_measured() {
        let video =
            VideoStream { width: 1920, height: 1080, pix_fmt: Some("yuv422p10le".into()), ..VideoStream::default() };
        let (graph, ends) = build(&Needs::default(), &[&video], &programmes(&[stream(1, 2)]));
        assert_eq!(ends, ["[v0]", "[a0]"]);
        for filter in ["blackdetect", "freezedetect", "idet", "signalstats", "ebur128", "silencedetect", "aphasemeter"]
        {
            assert!(!graph.contains(filter), "{graph}");
        }
        let (graph, _) = build(&Needs { levels: true, ..Needs::default() }, &[&video], &[]);
        assert!(graph.contains("scale=w=480:h=270:flags=neighbor"), "{graph}");
        assert!(graph.contains("between(val,20,987),0,1020"), "{graph}");
    }

    #[test]
    fn large_pictures_are_looked_at_in_part_and_small_ones_whole() {
        let needs = Needs { black: Some((0.98, 0.1)), freeze: Some((-60.0, 0.2)), scan: Some(1.2), ..Needs::default() };
        let of = |width, height| build(&needs, &[&VideoStream { width, height, ..VideoStream::default() }], &[]).0;
        let large = of(1920, 1080);
        assert_eq!((large.matches("field=top").count(), large.matches("crop=").count()), (2, 1), "{large}");
        // Both looks have a branch, since a filter sees what the one before it leaves.
        assert!(large.contains("split=2[picture0][still0]") && large.contains("nullsink"), "{large}");
        for (width, height) in [(320, 180), (2000, 8)] {
            let small = of(width, height);
            assert!(!small.contains("field=top") && !small.contains("crop="), "{small}");
        }
    }

    #[test]
    fn pictures_without_a_luma_plane_are_converted_first() {
        let video = VideoStream { width: 64, height: 36, pix_fmt: Some("gbrp".into()), ..VideoStream::default() };
        let (graph, _) = build(&Needs { levels: true, ..Needs::default() }, &[&video], &[]);
        assert!(graph.contains("format=yuv420p,lutyuv=y='if(between(val,5,246),0,255)'"), "{graph}");
    }
}
