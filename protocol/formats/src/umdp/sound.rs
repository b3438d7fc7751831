//! `assets.audio` and what `constraints` say of the sound.
use super::picture::{SEVERAL, implied, list};
use super::reader::Reader;
use super::{SpecDraft, words};
use serde_json::{Value, json};
use spec::Count;

pub(super) fn map(reader: &Reader<'_>, draft: &mut SpecDraft) {
    codec(reader, draft);
    let path = "assets.audio.sample_rate";
    match reader.words(path).as_deref() {
        None => {}
        Some([one]) if one.parse::<u32>().is_ok() => {
            draft.audio.insert(
                "sample_rate".into(),
                one.parse::<u32>().unwrap_or_default().into(),
            );
        }
        Some([_]) => reader.tell(path, "not a number of samples"),
        Some(_) => reader.tell(path, SEVERAL),
    }
    tracks(reader, draft);
    layouts(reader, draft);
    loudness(reader, draft);
    lengths(reader, draft);
}

fn codec(reader: &Reader<'_>, draft: &mut SpecDraft) {
    let path = "assets.audio.codec.allowed";
    let (bits_path, min_path) = (
        "assets.audio.bit_depth.allowed",
        "assets.audio.bit_depth.min",
    );
    let least = reader.count(min_path).unwrap_or(0);
    let bits = reader.words(bits_path);
    let bits_said = [bits_path, min_path].map(|path| (path, reader.get(path).is_some()));
    let untold = |why: &str| {
        for (path, _) in bits_said.iter().filter(|(_, said)| *said) {
            reader.tell(path, why);
        }
    };
    let Some(named) = reader.words(path) else {
        return untold("bits are demanded by the name of a PCM codec, and no codec is");
    };
    let known: Option<Vec<_>> = named.iter().map(|word| words::sound_codecs(word)).collect();
    let Some(known) = known else {
        untold("bits are demanded by the name of a PCM codec, and no codec is");
        return reader.tell(path, "a codec in it is not known here: none is demanded");
    };
    let wanted = |depth: Option<u32>| {
        depth.is_none_or(|depth| {
            let among = bits
                .as_ref()
                .is_none_or(|bits| bits.iter().any(|bits| *bits == depth.to_string()));
            among && depth >= least
        })
    };
    let codecs: Vec<&str> = known
        .concat()
        .iter()
        .filter(|(_, depth)| wanted(*depth))
        .map(|(name, _)| *name)
        .collect();
    if codecs.is_empty() {
        untold("no codec that is allowed has such bits");
        return reader.tell(
            path,
            "none of them has the bits that are demanded: none is demanded",
        );
    }
    draft.audio.insert("codec".into(), list(&codecs));
    implied(reader, "assets.audio.codec.disallowed", &named);
}

fn tracks(reader: &Reader<'_>, draft: &mut SpecDraft) {
    let part = |key: &str| reader.count(&format!("assets.audio.track_count.{key}"));
    let (exact, min, max) = (part("exact"), part("min"), part("max"));
    let count = match (exact, min, max) {
        (Some(exact), _, _) => Count::exactly(exact),
        (None, None, None) => return,
        (None, min, max) => Count {
            min: min.unwrap_or(0),
            max: max.unwrap_or(u32::MAX),
        },
    };
    if count.min > count.max {
        return reader.tell(
            "assets.audio.track_count.min",
            "more than the most that is allowed: none is demanded",
        );
    }
    draft.qc.insert("streams".into(), json!({ "audio": count }));
}

fn layouts(reader: &Reader<'_>, draft: &mut SpecDraft) {
    let path = "assets.audio.layout.allowed_layouts";
    let Some(named) = reader.words(path) else {
        return;
    };
    match named
        .iter()
        .map(|word| words::layout(word))
        .collect::<Option<Vec<_>>>()
    {
        Some(known) => {
            draft
                .qc
                .insert("layout".into(), json!({ "any": list(&known.concat()) }));
        }
        None => reader.tell(path, "a layout in it is not known here: none is demanded"),
    }
}

fn loudness(reader: &Reader<'_>, draft: &mut SpecDraft) {
    let standards = "assets.audio.loudness.standards";
    let many = reader
        .get(standards)
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    for n in 0..many {
        loudness_standard(reader, draft, &|key: &str| {
            format!("{standards}[{n}].{key}")
        });
    }
    if let Some(peak) = reader.number("assets.audio.loudness.true_peak_max") {
        draft
            .qc
            .insert("true_peak".into(), json!({ "max": format!("{peak}dBTP") }));
    }
    if let Some(loudest) = reader.number("assets.audio.loudness.short_term_max") {
        draft.qc.insert(
            "short_term".into(),
            json!({ "max": format!("{loudest}LUFS") }),
        );
    }
}

/// Reads one standard, whose keys are at `path`. The first with a target is demanded.
fn loudness_standard(reader: &Reader<'_>, draft: &mut SpecDraft, path: &dyn Fn(&str) -> String) {
    let (target, tolerance) = (
        reader.number(&path("target")),
        reader.number(&path("tolerance")),
    );
    let range = reader.number(&path("lra_max"));
    let name = reader
        .words(&path("name"))
        .and_then(|words| words.first().cloned())
        .unwrap_or_default();
    // The key `applies` limits a spec to territories; each further standard needs a spec of its own.
    reader.get(&path("jurisdiction"));
    let tell = |keys: &[&str], why| {
        let present = keys.iter().filter(|key| reader.get(&path(key)).is_some());
        present.for_each(|key| reader.tell(&path(key), why));
    };
    if draft.qc.contains_key("loudness") {
        let why = "the first standard with a target is demanded: write a spec for each that inherits this one";
        tell(&["name", "target", "tolerance", "lra_max"], why);
        return;
    }
    match target {
        Some(target) => {
            let mut check =
                serde_json::Map::from_iter([("target".to_owned(), json!(format!("{target}LUFS")))]);
            match tolerance.filter(|tolerance| *tolerance >= 0.0) {
                Some(tolerance) => {
                    check.insert("tolerance".into(), json!(format!("{tolerance}LU")));
                }
                None => reader.tell(
                    &path("target"),
                    "no tolerance is given: 1 LU applies, the most that R 128 allows",
                ),
            }
            if words::plain(&name).contains("dialog") {
                check.insert("gate".into(), "dialogue".into());
            }
            draft.qc.insert("loudness".into(), check.into());
        }
        None => tell(
            &["name", "tolerance"],
            "no target is given: no loudness is demanded",
        ),
    }
    if let Some(range) = range.filter(|range| *range >= 0.0) {
        draft.qc.insert(
            "loudness_range".into(),
            json!({ "max": format!("{range}LU") }),
        );
    }
}

/// Picture and sound have to end together. What drifts apart ends apart, so a drift that is allowed bounds the lengths, too.
fn lengths(reader: &Reader<'_>, draft: &mut SpecDraft) {
    let (tolerance_path, match_path) = (
        "constraints.timing.duration.tolerance_ms",
        "constraints.timing.duration.must_match",
    );
    let drift_path = "assets.audio.sync.max_drift_ms";
    let mut limits = Vec::new();
    let both = reader.words(match_path).is_none_or(|what| {
        ["video", "audio"]
            .iter()
            .all(|kind| what.iter().any(|w| w == kind))
    });
    match (reader.number(tolerance_path), both) {
        (Some(tolerance), true) => limits.push(tolerance),
        (None, true) => {}
        (_, false) => reader.tell(match_path, "only picture and sound are compared"),
    }
    if let Some(drift) = reader.number(drift_path) {
        reader.tell(
            drift_path,
            "it bounds how far apart picture and sound may end; lip-sync is not measured",
        );
        limits.push(drift);
    }
    if reader.flag("assets.audio.sync.must_match_video_duration") && limits.is_empty() {
        reader.tell(
            "assets.audio.sync.must_match_video_duration",
            "no tolerance is given: one frame (40 ms) applies",
        );
        limits.push(40.0);
    }
    let least = limits
        .into_iter()
        .filter(|limit| (0.0..1e9).contains(limit))
        .fold(f64::INFINITY, f64::min);
    if least.is_finite() {
        draft.qc.insert(
            "av_length".into(),
            json!({ "tolerance": format!("{least}ms") }),
        );
    }
}
