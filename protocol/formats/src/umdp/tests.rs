use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A profile of our own that uses what broadcasters use.
const PROFILE: &str = r#"{
  "id": "channel_hd", "name": "A channel, HD", "delivery_paradigm": "file",
  "governance": { "spec_version": "3.2", "jurisdiction": ["GB"], "notes": "why" },
  "assets": {
    "video": {
      "representation": "file",
      "codec": { "allowed": ["AVC Intra", "xdcam_hd_422_50"], "disallowed": ["h265"], "notes": "prose" },
      "container": { "allowed": ["MXF OP1a"] },
      "bitrate": { "target": 100 },
      "resolution": { "allowed": ["1920x1080"] },
      "aspect_ratio": { "allowed": ["16:9"] },
      "frame_rate": { "mode": "fixed", "allowed": [25], "tolerance": 0.01 },
      "scan_type": ["interlaced"],
      "color": { "primaries": ["bt709"], "transfer": ["bt709"], "matrix": ["bt709"], "range": ["limited"] },
      "bit_depth": { "allowed": [10], "min": 10 },
      "chroma_subsampling": ["4:2:2"],
      "signal": { "field_order": ["tff"] },
      "quality": { "decode_error_max_count": 0, "dropout_max_count": 0 },
      "timecode": { "vitc_required": true }
    },
    "audio": {
      "codec": { "allowed": ["Linear PCM"], "disallowed": ["aac"] },
      "sample_rate": [48000],
      "bit_depth": { "allowed": [24], "uniform_required": true },
      "track_count": { "min": 4, "max": 16 },
      "layout": { "allowed_layouts": ["L-R", "Dual Mono"], "channel_map_required": true },
      "loudness": {
        "standards": [
          { "name": "EBU R128", "target": -23.0, "tolerance": 0.5, "lra_max": 20, "jurisdiction": "GB" },
          { "name": "ATSC A/85", "target": -24 }
        ],
        "true_peak_max": -1.0, "short_term_max": -18
      },
      "sync": { "must_match_video_duration": true, "max_drift_ms": 20 }
    }
  },
  "constraints": {
    "video": {
      "signal_limits": { "luminance": { "min": 20, "max": 984, "tolerance_percent": 1 }, "rgb": { "min": 64, "max": 940 } },
      "pse_test_required": true, "pse_standard": "ITU-R BT.1702-3"
    },
    "content": { "slate": { "enabled": true, "window_s": 60 } },
    "timing": { "duration": { "must_match": ["video", "audio"], "tolerance_ms": 40 } }
  },
  "structure": { "timeline": { "timecode_start": "10:00:00:00" } }
}"#;

fn imported(source: &str) -> Imported {
    import("profile.json", source, None).unwrap_or_else(|problem| panic!("{problem}"))
}

fn spec_of(file: &SpecFile) -> DeliverySpec {
    yaml::read(&file.name, &file.text).unwrap_or_else(|problem| panic!("{problem}\n{}", file.text))
}

/// What the profile with one text replaced demands.
fn with(from: &str, to: &str) -> (Value, Vec<Unmapped>) {
    assert!(PROFILE.contains(from), "{from}");
    let found = imported(&PROFILE.replace(from, to));
    (
        serde_json::to_value(spec_of(&found.files[0])).expect("writes"),
        found.unmapped,
    )
}

fn why<'a>(unmapped: &'a [Unmapped], path: &str) -> Option<&'a str> {
    unmapped
        .iter()
        .find(|entry| entry.path == path)
        .map(|entry| entry.why.as_str())
}

#[test]
fn every_demand_with_a_check_is_in_the_spec() {
    let found = imported(PROFILE);
    let expected = yaml::read::<DeliverySpec>(
        "expected.yaml",
        "spec: channel_hd
components:
  - role: master
    video: { codec: [h264, mpeg2video], profile: ['High 10 Intra', 'High 4:2:2 Intra', '4:2:2'], width: 1920, height: 1080, aspect: '16:9',
             frame_rate: 25, field_order: tff, range: tv, matrix: bt709, primaries: bt709, transfer: bt709, bit_depth: 10, pix_fmt: yuv422p10le }
    audio: { codec: [pcm_s24le, pcm_s24be], sample_rate: 48000 }
qc:
  container: { any: mxf }
  mediainfo: { facts: { General.Format_Profile: OP-1a } }
  decode: {}
  streams: { audio: 4..16 }
  layout: { any: [stereo, mono] }
  loudness: { target: -23LUFS, tolerance: 0.5LU }
  loudness_range: { max: 20LU }
  true_peak: { max: -1dBTP }
  short_term: { max: -18LUFS }
  av_length: { tolerance: 20ms }
  levels: { illegal_pixels_max: 1% }
  gamut: { illegal_pixels_max: 1% }
  photosensitivity: {}
  slate: {}
",
    )
    .expect("valid");
    assert_eq!(
        spec_of(&found.files[0]),
        expected,
        "{}",
        found.files[0].text
    );
    assert_eq!(found.files.len(), 1);
}

#[test]
fn what_is_not_in_the_spec_is_told_with_its_reason_and_written_beside_it() {
    let found = imported(PROFILE);
    for (path, reason) in [
        ("assets.video.bitrate.target", "mediainfo"),
        ("assets.video.codec.notes", "prose"),
        ("assets.video.quality.dropout_max_count", "not measured"),
        ("assets.video.timecode.vitc_required", "no check"),
        ("assets.video.frame_rate.tolerance", "fractions"),
        ("assets.audio.layout.channel_map_required", "no check"),
        ("assets.audio.bit_depth.uniform_required", "no check"),
        (
            "assets.audio.loudness.standards[1].target",
            "a spec for each",
        ),
        ("assets.audio.sync.max_drift_ms", "lip-sync"),
        ("constraints.video.signal_limits.rgb.min", "EBU R 103"),
        ("constraints.content.slate.window_s", "a person"),
        ("structure.timeline.timecode_start", "time code"),
        ("governance.jurisdiction", "applies"),
    ] {
        assert!(
            why(&found.unmapped, path).is_some_and(|why| why.contains(reason)),
            "{path}: {:?}",
            found.unmapped
        );
        assert!(
            found.files[0].text.contains(&format!("#   {path}: ")),
            "{path}"
        );
    }
    assert_eq!(
        why(
            &found.unmapped,
            "constraints.video.signal_limits.luminance.min"
        ),
        None
    );
}

#[test]
fn a_list_that_is_half_known_is_not_demanded() {
    let (spec, unmapped) = with(r#""xdcam_hd_422_50"]"#, r#""a new codec"]"#);
    assert!(
        spec["components"][0]["video"].get("codec").is_none(),
        "{spec}"
    );
    assert!(
        why(&unmapped, "assets.video.codec.allowed").is_some_and(|why| why.contains("not known"))
    );
    let (spec, unmapped) = with(r#""MXF OP1a"]"#, r#""imf"]"#);
    assert!(
        spec["qc"].get("container").is_none()
            && why(&unmapped, "assets.video.container.allowed").is_some()
    );
    // A codec that comes in any profile takes the profiles of the others away.
    let (spec, unmapped) = with(r#""xdcam_hd_422_50"]"#, r#""h264"]"#);
    assert!(
        spec["components"][0]["video"].get("profile").is_none(),
        "{spec}"
    );
    assert!(
        why(&unmapped, "assets.video.codec.allowed").is_some_and(|why| why.contains("profiles"))
    );
}

#[test]
fn what_a_spec_says_once_is_not_chosen_from_a_list() {
    for (from, to, path, key) in [
        (
            r#"["1920x1080"]"#,
            r#"["1920x1080", "1280x720"]"#,
            "assets.video.resolution.allowed",
            "width",
        ),
        (
            "[25]",
            "[25, 50]",
            "assets.video.frame_rate.allowed",
            "frame_rate",
        ),
        (
            r#"["interlaced"]"#,
            r#"["interlaced", "progressive"]"#,
            "assets.video.scan_type",
            "field_order",
        ),
        (
            r#"["interlaced"]"#,
            r#"["interlaced", "psf"]"#,
            "assets.video.scan_type",
            "field_order",
        ),
        (
            r#"["16:9"]"#,
            r#"["16:9", "4:3"]"#,
            "assets.video.aspect_ratio.allowed",
            "aspect",
        ),
    ] {
        let (spec, unmapped) = with(from, to);
        assert!(
            spec["components"][0]["video"].get(key).is_none(),
            "{to}: {spec}"
        );
        assert!(why(&unmapped, path).is_some(), "{to}: {unmapped:?}");
    }
    let (spec, _) = with(
        r#""bit_depth": { "allowed": [10], "min": 10 }"#,
        r#""bit_depth": { "allowed": [8, 10] }"#,
    );
    assert_eq!(
        spec["components"][0]["video"]["pix_fmt"],
        json!(["yuv422p", "yuv422p10le"])
    );
    let (spec, unmapped) = with(r#""signal": { "field_order": ["tff"] },"#, "");
    assert_eq!(spec["components"][0]["video"]["field_order"], "tff");
    assert!(why(&unmapped, "assets.video.scan_type").is_some_and(|why| why.contains("BT.709")));
}

#[test]
fn loudness_without_a_number_is_not_made_up() {
    let (spec, unmapped) = with(
        r#""target": -23.0, "tolerance": 0.5,"#,
        r#""target": null,"#,
    );
    // The second standard has a target, which is then the one.
    assert_eq!(spec["qc"]["loudness"]["target"], "-24LUFS");
    assert!(why(&unmapped, "assets.audio.loudness.standards[0].name").is_some());
    let (spec, unmapped) = with(
        r#""EBU R128", "target": -23.0, "tolerance": 0.5"#,
        r#""1770, dialogue", "target": -27"#,
    );
    assert_eq!(spec["qc"]["loudness"]["gate"], "dialogue");
    assert!(
        why(&unmapped, "assets.audio.loudness.standards[0].target")
            .is_some_and(|why| why.contains("1 LU"))
    );
}

#[test]
fn a_region_inherits_and_says_what_differs() {
    let regions = r#""structure": { "timeline": { "timecode_start": "10:00:00:00" } },
      "regional_overrides": [
        { "region": "SE", "overrides": { "assets": { "audio": { "loudness": { "true_peak_max": -3 } } }, "workflow": { "human_qc": true } } },
        { "region": "no overrides" }]"#;
    let found = imported(&PROFILE.replace(
        r#""structure": { "timeline": { "timecode_start": "10:00:00:00" } }"#,
        regions,
    ));
    assert_eq!(
        found
            .files
            .iter()
            .map(|f| f.name.as_str())
            .collect::<Vec<_>>(),
        ["channel_hd.yaml", "channel_hd-se.yaml"]
    );
    let mut load = |_: &str| Ok(found.files[0].text.clone());
    let child =
        spec::resolve("channel_hd-se.yaml", &found.files[1].text, &mut load).expect("inherits");
    let base = spec_of(&found.files[0]);
    assert_eq!(
        child.qc.true_peak.as_ref().map(|check| check.max.0),
        Some(-3.0)
    );
    assert_eq!(
        (child.qc.loudness, child.components),
        (base.qc.loudness, base.components)
    );
    assert_eq!(child.applies.expect("there").territory.0, ["SE"]);
    assert!(
        why(
            &found.unmapped,
            "regional_overrides[0].overrides.workflow.human_qc"
        )
        .is_some()
    );
    assert!(why(&found.unmapped, "regional_overrides[1]").is_some());
}

#[test]
fn a_spec_of_the_house_can_be_inherited() {
    let found = import("p.json", PROFILE, Some("house.yaml")).expect("valid");
    let mut load = |_: &str| {
        Ok("spec: house\nqc: { black: { longest: 2s }, true_peak: { max: -9dBTP } }\n".to_owned())
    };
    let spec = spec::resolve("channel_hd.yaml", &found.files[0].text, &mut load).expect("inherits");
    assert!(spec.qc.black.is_some());
    assert_eq!(spec.qc.true_peak.map(|check| check.max.0), Some(-1.0));
}

#[test]
fn what_is_no_profile_is_an_error_with_its_place() {
    for wrong in [
        "",
        "[]",
        "{}",
        "{\"id\": \"a\"}",
        "{\"id\": \"A b\", \"assets\": {}}",
        "{\"assets\": {}}",
    ] {
        assert!(import("p.json", wrong, None).is_err(), "{wrong}");
    }
    let problem = import("p.json", "{\n  \"id\": 'a'\n}", None).expect_err("quotes");
    assert_eq!(problem.at.map(|(line, _)| line), Some(2));
    let smallest = imported(r#"{ "id": "ab", "assets": {} }"#);
    assert!(spec_of(&smallest.files[0]).qc.decode.is_some() && smallest.unmapped.is_empty());
}

/// Every value of a document by its path, in a walk of its own.
fn leaves(value: &Value, path: String, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            map.iter()
                .for_each(|(key, value)| leaves(value, format!("{path}.{key}"), found));
        }
        Value::Array(list) if list.iter().any(Value::is_object) => {
            list.iter()
                .enumerate()
                .for_each(|(n, value)| leaves(value, format!("{path}[{n}]"), found));
        }
        Value::Null => {}
        Value::Array(list) if list.is_empty() => {}
        _ => {
            found.insert(path.trim_start_matches('.').to_owned());
        }
    }
}

/// Puts `value` at the place of the `pick`th value of the document.
fn replaced(document: &mut Value, pick: usize, value: &Value) {
    fn walk(at: &mut Value, left: &mut usize, value: &Value) -> bool {
        let below: Vec<&mut Value> = match at {
            Value::Object(map) => map.values_mut().collect(),
            Value::Array(list) if list.iter().any(Value::is_object) => list.iter_mut().collect(),
            _ if *left == 0 => {
                *at = value.clone();
                return true;
            }
            _ => {
                *left -= 1;
                return false;
            }
        };
        below.into_iter().any(|below| walk(below, left, value))
    }
    walk(document, &mut { pick }, value);
}

fn odd_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        prop::collection::vec("[a-z0-9:.x_ -]{0,12}", 0..4).prop_map(Value::from),
        Just(json!({ "a new key": "{ x: [1" })),
        Just(Value::Null),
    ]
}

proptest! {
    /// Every value of a profile is used by a check or reported as unmapped, and the written spec can be read.
    #[test]
    fn nothing_is_dropped_silently(pick in 0usize..60, value in odd_value(), gone in any::<prop::sample::Index>()) {
        let mut document: Value = serde_json::from_str(PROFILE).expect("JSON");
        replaced(&mut document, pick, &value);
        let Ok(found) = import("p.json", &document.to_string(), None) else {
            prop_assert_ne!(document["id"].as_str(), Some("channel_hd"), "only an id makes it no profile");
            return Ok(());
        };
        let spec: DeliverySpec = yaml::read("s", &found.files[0].text).map_err(|e| TestCaseError::fail(e.to_string()))?;
        // The removal of a value changes the spec, or the value was reported as unmapped.
        let mut before = BTreeSet::new();
        leaves(&document, String::new(), &mut before);
        let before: Vec<String> = before.into_iter().collect();
        let path = gone.get(&before).as_str();
        let reported = found.unmapped.iter().any(|entry| entry.path == path);
        // The name of the standard that is demanded, which is the second where the first has no target.
        let named = path.starts_with("assets.audio.loudness.standards[") && path.ends_with("].name");
        if !reported && !named && !DESCRIBED.contains(&path) && !IMPLIED.contains(&path) && !path.contains("a new key") {
            let mut without = document.clone();
            taken_away(&mut without, path);
            let other = import("p.json", &without.to_string(), None).map_err(|e| TestCaseError::fail(e.to_string()))?;
            let other_spec = yaml::read::<DeliverySpec>("s", &other.files[0].text).expect("read before");
            prop_assert!(other_spec != spec || other.unmapped != found.unmapped, "{}", path);
        }
    }
}

/// Values that name the spec, or that no check depends on.
const DESCRIBED: [&str; 4] = [
    "id",
    "name",
    "governance.spec_version",
    "assets.video.representation",
];
/// What follows from another value of the same profile, so that taking it away changes nothing.
const IMPLIED: [&str; 10] = [
    "constraints.timing.duration.tolerance_ms",
    "assets.video.codec.disallowed",
    "assets.audio.codec.disallowed",
    "assets.video.frame_rate.mode",
    "assets.video.bit_depth.min",
    "assets.audio.sync.must_match_video_duration",
    "assets.video.quality.decode_error_max_count",
    "assets.audio.loudness.standards[0].jurisdiction",
    "constraints.timing.duration.must_match",
    "constraints.content.slate.enabled",
];

fn taken_away(document: &mut Value, path: &str) {
    let mut at = document;
    for step in path.split('.') {
        let (key, index) = match step.split_once('[') {
            Some((key, index)) => (key, index.trim_end_matches(']').parse::<usize>().ok()),
            None => (step, None),
        };
        let Some(below) = at.get_mut(key) else { return };
        at = match index {
            Some(index) => &mut below[index],
            None => below,
        };
    }
    *at = Value::Null;
}
