//! `assets.video` and what `constraints` say of the picture.
use super::reader::Reader;
use super::{SpecDraft, words};
use serde_json::{Value, json};

/// What EBU R 103 allows luma and RGB, in 8 and 10 bits: what `levels` and `gamut` look for.
const R103: [(f64, f64); 2] = [(5.0, 246.0), (20.0, 984.0)];

pub(super) fn map(reader: &Reader<'_>, draft: &mut SpecDraft) {
    codec(reader, draft);
    container(reader, draft);
    size(reader, draft);
    rate(reader, draft);
    scan(reader, draft);
    colour(reader, draft);
    depth(reader, draft);
    limits(reader, draft);
    if let Some(errors) = reader.count("assets.video.quality.decode_error_max_count") {
        draft
            .qc
            .insert("decode".into(), json!({ "errors_max": errors }));
    }
    if reader.flag("constraints.video.pse_test_required")
        | reader.flag("constraints.content.pse_testing_required")
    {
        draft.qc.insert("photosensitivity".into(), json!({}));
    }
    // The profile of one edition says `enabled`; a slate that is described is wanted, too.
    let slate = reader
        .get("constraints.content.slate")
        .is_some_and(Value::is_object);
    if slate && reader.get("constraints.content.slate.enabled") != Some(&Value::Bool(false)) {
        draft.qc.insert("slate".into(), json!({}));
    }
}

fn codec(reader: &Reader<'_>, draft: &mut SpecDraft) {
    let path = "assets.video.codec.allowed";
    let disallowed = "assets.video.codec.disallowed";
    let Some(named) = reader.words(path) else {
        return;
    };
    let known: Option<Vec<_>> = named
        .iter()
        .map(|word| words::picture_codec(word))
        .collect();
    let Some(known) = known else {
        return reader.tell(path, "a codec in it is not known here: none is demanded");
    };
    let (mut codecs, mut profiles): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for (codec, of_codec) in &known {
        codecs.push(codec);
        profiles.extend(*of_codec);
    }
    if known.iter().all(|(_, of_codec)| !of_codec.is_empty()) {
        draft.video.insert("profile".into(), list(&profiles));
    } else if !profiles.is_empty() {
        reader.tell(
            path,
            "codecs are demanded, their profiles are not: one of them comes in any",
        );
    }
    draft.video.insert("codec".into(), list(&codecs));
    implied(reader, disallowed, &named);
}

/// What is not allowed need not be said where what is allowed is.
pub(super) fn implied(reader: &Reader<'_>, disallowed: &str, allowed: &[String]) {
    let both = |word: &String| {
        allowed
            .iter()
            .any(|named| words::plain(named) == words::plain(word))
    };
    if reader
        .words(disallowed)
        .is_some_and(|words| words.iter().any(both))
    {
        reader.tell(disallowed, "it is allowed as well: what is allowed counts");
    }
}

fn container(reader: &Reader<'_>, draft: &mut SpecDraft) {
    let path = "assets.video.container.allowed";
    let Some(named) = reader.words(path) else {
        return;
    };
    let known: Option<Vec<_>> = named.iter().map(|word| words::container(word)).collect();
    let Some(known) = known else {
        return reader.tell(path, "a wrapper in it is not known here: none is demanded");
    };
    draft.qc.insert(
        "container".into(),
        json!({ "any": list(&known.iter().map(|(name, _)| *name).collect::<Vec<_>>()) }),
    );
    if known.iter().all(|(_, op1a)| *op1a) {
        draft.qc.insert(
            "mediainfo".into(),
            json!({ "facts": { "General.Format_Profile": ["OP-1a"] } }),
        );
    } else if known.iter().any(|(_, op1a)| *op1a) {
        reader.tell(
            path,
            "wrappers are demanded, the operational pattern is not: others have none",
        );
    }
    implied(reader, "assets.video.container.disallowed", &named);
}

fn size(reader: &Reader<'_>, draft: &mut SpecDraft) {
    if let Some(sizes) = reader.words("assets.video.resolution.allowed") {
        let path = "assets.video.resolution.allowed";
        let read = |text: &str| {
            let (width, height) = text.split_once(['x', 'X', '×'])?;
            Some((
                width.trim().parse::<u32>().ok()?,
                height.trim().parse::<u32>().ok()?,
            ))
        };
        match sizes.as_slice() {
            [one] => match read(one) {
                Some((width, height)) => {
                    draft.video.insert("width".into(), width.into());
                    draft.video.insert("height".into(), height.into());
                }
                None => reader.tell(path, "not WIDTHxHEIGHT"),
            },
            _ => reader.tell(path, SEVERAL),
        }
    }
    for end in ["min", "max"] {
        let path = format!("assets.video.resolution.{end}");
        if reader.get(&path).is_some() {
            reader.tell(&path, "sizes are demanded as they are, not as a range");
        }
    }
    let path = "assets.video.aspect_ratio.allowed";
    match reader.words(path).as_deref() {
        None => {}
        Some([one]) if spec::Ratio::parse(one).is_ok() => {
            draft.video.insert("aspect".into(), one.clone().into());
        }
        Some([_]) => reader.tell(path, "not a ratio such as 16:9"),
        Some(_) => reader.tell(path, SEVERAL),
    }
}

/// Why a list is not in a spec.
pub(super) const SEVERAL: &str =
    "a spec demands one: import, and write a spec for each that inherits this one";

fn rate(reader: &Reader<'_>, draft: &mut SpecDraft) {
    let path = "assets.video.frame_rate.allowed";
    match reader.words(path).as_deref() {
        None => {}
        Some([one]) if spec::FrameRate::parse(one).is_ok() => {
            draft.video.insert("frame_rate".into(), one.clone().into());
            if reader.number("assets.video.frame_rate.tolerance").is_some() {
                reader.tell(
                    "assets.video.frame_rate.tolerance",
                    "rates are compared as fractions: none is needed",
                );
            }
            // A rate that is demanded is the only one, which is what `fixed` says.
            if reader.words("assets.video.frame_rate.mode").as_deref()
                == Some(&["native_only".to_owned()])
            {
                reader.tell(
                    "assets.video.frame_rate.mode",
                    "the rate it was shot in cannot be seen in a file",
                );
            }
        }
        Some([_]) => reader.tell(path, "not a rate such as 25 or 30000/1001"),
        Some(_) => reader.tell(path, SEVERAL),
    }
}

fn scan(reader: &Reader<'_>, draft: &mut SpecDraft) {
    let path = "assets.video.scan_type";
    let Some(types) = reader.words(path) else {
        return;
    };
    let has = |word: &str| types.iter().any(|named| named == word);
    match (has("progressive"), has("interlaced")) {
        (true, false) => {
            draft
                .video
                .insert("field_order".into(), "progressive".into());
            if has("psf") {
                reader.tell(
                    path,
                    "progressive is demanded: segmented frames are flagged as fields",
                );
            }
        }
        (false, true) => interlaced(reader, draft, has("psf")),
        (false, false) => reader.tell(path, "no scan that can be demanded"),
        (true, true) => reader.tell(path, SEVERAL),
    }
}

fn interlaced(reader: &Reader<'_>, draft: &mut SpecDraft, segmented: bool) {
    let path = "assets.video.signal.field_order";
    let order = match reader.words(path).as_deref() {
        Some([one]) if one == "tff" || one == "bff" => one.clone(),
        Some(_) => return reader.tell(path, SEVERAL),
        // ITU-R BT.709 has the upper field first; standard definition has either.
        None if draft.video.get("height") == Some(&json!(1080)) => {
            reader.tell(
                "assets.video.scan_type",
                "the upper field is taken to be the first, as ITU-R BT.709 has it",
            );
            "tff".to_owned()
        }
        None => {
            return reader.tell(
                "assets.video.scan_type",
                "which field is the first is not said",
            );
        }
    };
    if segmented {
        return reader.tell(
            "assets.video.scan_type",
            "fields and segmented frames are both allowed: neither is demanded",
        );
    }
    draft.video.insert("field_order".into(), order.into());
}

/// A word of theirs as words of ours.
type Named = fn(&str) -> Option<&'static [&'static str]>;

fn colour(reader: &Reader<'_>, draft: &mut SpecDraft) {
    let parts: [(&str, Named); 3] = [
        ("primaries", words::primaries),
        ("transfer", words::transfer),
        ("matrix", words::matrix),
    ];
    for (part, known) in parts {
        let path = format!("assets.video.color.{part}");
        let Some(named) = reader.words(&path) else {
            continue;
        };
        match named
            .iter()
            .map(|word| known(word))
            .collect::<Option<Vec<_>>>()
        {
            Some(known) => {
                draft.video.insert(part.into(), list(&known.concat()));
            }
            None => reader.tell(&path, "a word in it is not known here: none is demanded"),
        }
    }
    let path = "assets.video.color.range";
    match reader.words(path).as_deref() {
        None => {}
        Some([one]) if one == "limited" || one == "full" => {
            let range = if one == "limited" { "tv" } else { "pc" };
            draft.video.insert("range".into(), range.into());
        }
        Some(_) => reader.tell(path, "no single range: none is demanded"),
    }
}

/// Bits and sampling of colour together name pixel formats.
fn depth(reader: &Reader<'_>, draft: &mut SpecDraft) {
    let (bits_path, sampling_path) = (
        "assets.video.bit_depth.allowed",
        "assets.video.chroma_subsampling",
    );
    let least = reader.count("assets.video.bit_depth.min").unwrap_or(0);
    let bits = reader.words(bits_path);
    let sampling = reader.words(sampling_path);
    let depths: Vec<u32> = match &bits {
        Some(bits) => bits.iter().filter_map(|bits| bits.parse().ok()).collect(),
        None => vec![8, 10, 12],
    };
    let depths: Vec<u32> = depths.into_iter().filter(|bits| *bits >= least).collect();
    let odd = depths.is_empty() || depths.iter().any(|bits| !matches!(bits, 8 | 10 | 12));
    if odd {
        for path in [bits_path, "assets.video.bit_depth.min", sampling_path] {
            if reader.get(path).is_some() {
                reader.tell(path, "no depth of 8, 10 or 12 bits in it: none is demanded");
            }
        }
        return;
    }
    if let ([one], true) = (depths.as_slice(), bits.is_some()) {
        draft.video.insert("bit_depth".into(), (*one).into());
    }
    let Some(sampling) = sampling else {
        if depths.len() > 1 && (bits.is_some() || least > 8) {
            let path = if bits.is_some() {
                bits_path
            } else {
                "assets.video.bit_depth.min"
            };
            reader.tell(path, SEVERAL);
        }
        return;
    };
    let mut formats = Vec::new();
    for word in &sampling {
        let (stem, planes) = match word.as_str() {
            "4:2:0" => ("yuv420p", 'y'),
            "4:2:2" => ("yuv422p", 'y'),
            "4:4:4" => ("yuv444p", 'y'),
            "RGB" => ("gbrp", 'r'),
            _ => {
                return reader.tell(
                    sampling_path,
                    "a sampling in it is not known here: none is demanded",
                );
            }
        };
        for bits in &depths {
            formats.push(if *bits == 8 {
                stem.to_owned()
            } else {
                format!("{stem}{bits}le")
            });
            if *bits == 8 && planes == 'y' && draft.video.get("range") != Some(&json!("tv")) {
                // ffmpeg's own name for the same in full range.
                formats.push(stem.replacen("yuv", "yuvj", 1));
            }
        }
    }
    draft.video.insert("pix_fmt".into(), json!(formats));
}

/// `levels` and `gamut` measure against EBU R 103. A narrower demand is reported as unmapped and judged by R 103.
fn limits(reader: &Reader<'_>, draft: &mut SpecDraft) {
    for (part, check) in [("luminance", "levels"), ("rgb", "gamut")] {
        let path = |key: &str| format!("constraints.video.signal_limits.{part}.{key}");
        let (min, max) = (reader.number(&path("min")), reader.number(&path("max")));
        if min.is_none() && max.is_none() {
            continue;
        }
        let share = reader
            .number(&path("tolerance_percent"))
            .filter(|share| (0.0..=100.0).contains(share));
        draft.qc.insert(
            check.into(),
            json!({ "illegal_pixels_max": format!("{}%", share.unwrap_or(1.0)) }),
        );
        let is_r103 = R103
            .iter()
            .any(|(low, high)| min == Some(*low) && max == Some(*high));
        for (key, value) in [("min", min), ("max", max)] {
            if value.is_some() && !is_r103 {
                let looked = format!(
                    "`{check}` looks for what EBU R 103 allows (5 to 246 of 8 bits), which is not this"
                );
                reader.tell(&path(key), looked);
            }
        }
        if share.is_none() {
            reader.tell(
                &path(if min.is_some() { "min" } else { "max" }),
                "no share is given: the 1 % of EBU R 103 applies",
            );
        }
    }
}

/// Names in the order they came, each once.
pub(super) fn list(names: &[&str]) -> Value {
    let mut once: Vec<&str> = Vec::new();
    for name in names {
        if !once.contains(name) {
            once.push(name);
        }
    }
    json!(once)
}
