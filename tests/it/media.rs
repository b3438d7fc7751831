//! Media that is broken.
use crate::jobs::{assert_failed, count, failed_assets};
use std::fs;
use testkit::bucket::Bucket;
use testkit::{Scratch, reference};

const SPEC: &str = "spec: any
qc:
  container: { any: [mp4, mov] }
  decode: {}
  truncated: {}
  black: { longest: 0.5s }
";

const JOB: &str = "job: check
library: { manifest: manifest.csv }
steps:
  - id: check
    qc: { policy: spec.yaml }
  - id: publish
    needs: [check]
    noop: {}
";

/// A clean clip and its damaged copies.
fn clips() -> Scratch {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.path("in")).expect("a scratch directory can be made");
    let clean = scratch.path("in/clean.mp4");
    let path = clean.to_str().expect("temporary paths are UTF-8");
    let (picture, sound) = (
        "testsrc2=size=320x180:rate=25:duration=3",
        "sine=frequency=440:duration=3",
    );
    let codecs = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
    ];
    let inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound];
    reference::ffmpeg(&[&inputs[..], &codecs[..], &["-movflags", "+faststart", path]].concat());
    let content = fs::read(&clean).expect("ffmpeg wrote it");
    scratch.write("in/truncated.mp4", &content[..content.len() / 2]);
    scratch.write("in/empty.mp4", "");
    scratch.write("in/text.mp4", "this is no media at all\n");
    let mut rows = String::from("asset,title,role,location\n");
    for name in ["clean", "truncated", "empty", "text", "missing"] {
        rows += &format!("{name},{name},master,in/{name}.mp4\n");
    }
    scratch.write("manifest.csv", rows);
    scratch.write("spec.yaml", SPEC);
    scratch.write("job.yaml", JOB);
    scratch
}

#[test]
fn broken_media_fails_alone_and_never_passes() {
    let scratch = clips();
    let summary = scratch.run_job("job.yaml", 3);
    assert_eq!(
        failed_assets(&summary),
        ["empty", "missing", "text", "truncated"],
        "{summary:#}"
    );
    assert_failed(&summary, "truncated", "qc_failed", &[]);
    for asset in ["empty", "text"] {
        assert_failed(&summary, asset, "qc_tool_error", &[]);
    }
    assert_failed(&summary, "missing", "source_missing", &["in/missing.mp4"]);
    assert_eq!(count(&summary, "/steps/1/units/succeeded"), 1);
    for failure in summary["failures"].as_array().expect("failures are a list") {
        assert!(
            failure["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{failure:#}"
        );
    }
}

#[test]
fn qc_prints_one_report_per_file_and_fails_with_any() {
    let scratch = clips();
    let clean = scratch.run(&["qc", "in/clean.mp4", "--policy", "spec.yaml", "-o", "json"]);
    let report = clean.expect_code(0).json();
    assert_eq!(report["verdict"], "pass");
    assert!(
        report["hash"].as_str().is_some_and(|hash| !hash.is_empty()),
        "{report:#}"
    );
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(0));

    let both = scratch.run(&[
        "qc",
        "in/clean.mp4",
        "in/truncated.mp4",
        "--policy",
        "spec.yaml",
        "-o",
        "jsonl",
    ]);
    let verdicts: Vec<String> = both.expect_code(1).stdout.lines().map(verdict).collect();
    assert_eq!(verdicts, ["pass", "fail"]);
    scratch
        .run(&["qc", "in/clean.mp4", "--policy", "nowhere.yaml"])
        .expect_code(2)
        .expect_said(&["nowhere.yaml"]);
}

fn verdict(line: &str) -> String {
    let report: serde_json::Value = serde_json::from_str(line).expect("each line is JSON");
    report["verdict"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn missing_ffmpeg_is_reported() {
    let scratch = clips();
    let mut command = scratch.showrunner(&["run", "job.yaml", "-o", "json"]);
    command
        .env("SHOWRUNNER_FFMPEG", "/nowhere/ffmpeg")
        .env("SHOWRUNNER_FFPROBE", "/nowhere/ffprobe");
    let summary = testkit::Ran::of(command).expect_code(3).json();
    let failures = summary["failures"].as_array().expect("failures are a list");
    assert!(
        failures.iter().any(|f| f["reason"] == "tool_missing"),
        "{summary:#}"
    );
    let said = |f: &serde_json::Value| {
        f["message"]
            .as_str()
            .is_some_and(|m| m.contains("/nowhere/ff"))
    };
    assert!(
        failures
            .iter()
            .filter(|f| f["reason"] == "tool_missing")
            .all(said),
        "{summary:#}"
    );
}

/// Names of a listing that claim that there is neither picture nor sound.
const OTHER_NAMES: [&str; 4] = ["movie.jpg", "movie.pdf", "movie.txt", "movie.unknown"];

const LISTED: &str = "job: listed
library: { folder: LIBRARY, pattern: '^(?:(?<role>document)_)?(?<title>[a-z]+).*$' }
steps:
  - id: check
    qc: { policy: spec.yaml }
";

/// Three seconds of black under names of stills, texts and documents, and what is such by declaration or content.
fn black_under_other_names(scratch: &Scratch, library: &str) {
    let black = scratch.path("black.mp4");
    let codecs = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
    ];
    let picture = [
        "-f",
        "lavfi",
        "-i",
        "color=black:size=64x36:rate=25:duration=3",
    ];
    reference::ffmpeg(&[&picture[..], &codecs, &[black.to_str().expect("UTF-8")]].concat());
    let content = fs::read(&black).expect("ffmpeg wrote it");
    for name in OTHER_NAMES.into_iter().chain(["document_movie.pdf"]) {
        scratch.write(format!("{library}/{name}"), &content);
    }
    scratch.write(
        format!("{library}/text.srt"),
        "1\n00:00:01,000 --> 00:00:02,000\nx\n",
    );
    scratch.write(format!("{library}/paper.pdf"), "%PDF-1.4");
    scratch.write("spec.yaml", SPEC);
}

fn assert_names_prove_nothing(summary: &serde_json::Value) {
    let mut failed = OTHER_NAMES.to_vec();
    failed.push("paper.pdf");
    failed.sort_unstable();
    assert_eq!(failed_assets(summary), failed, "{summary:#}");
    for name in OTHER_NAMES {
        assert_failed(summary, name, "qc_failed", &["black"]);
    }
    assert_failed(summary, "paper.pdf", "qc_tool_error", &["declare the role"]);
}

#[test]
fn media_under_another_name_fails_in_a_folder_job() {
    let scratch = Scratch::new();
    black_under_other_names(&scratch, "library");
    scratch.write("job.yaml", LISTED.replace("LIBRARY", "library"));
    assert_names_prove_nothing(&scratch.run_job("job.yaml", 3));
    let names = OTHER_NAMES.map(|name| format!("library/{name}"));
    let files = names.iter().map(String::as_str);
    let arguments: Vec<&str> = ["qc", "--policy", "spec.yaml", "-o", "jsonl"]
        .into_iter()
        .chain(files)
        .collect();
    let ran = scratch.run(&arguments);
    let verdicts: Vec<String> = ran.expect_code(1).stdout.lines().map(verdict).collect();
    assert_eq!(verdicts, ["fail"; 4]);
}

#[test]
fn media_under_another_name_fails_in_a_bucket_job() {
    let scratch = Scratch::new();
    black_under_other_names(&scratch, "served/library");
    let bucket = Bucket::serve(&scratch.path("served"));
    scratch.write("storage.yaml", bucket.settings());
    let land = "steps:\n  - id: land\n    transfer: { to: \"file:./out/{path}\" }\n";
    let job = LISTED
        .replace("LIBRARY", "gs://library/library")
        .replace("steps:\n", land);
    scratch.write(
        "job.yaml",
        job.replace("  - id: check\n", "  - id: check\n    needs: [land]\n"),
    );
    let ran = scratch.run(&["run", "job.yaml", "--storage", "storage.yaml", "-o", "json"]);
    assert_names_prove_nothing(&ran.expect_code(3).json());
}

const PROFILE: &str = r#"{
  "id": "house_sd", "name": "A house", "delivery_paradigm": "file",
  "assets": {
    "video": { "container": { "allowed": ["mp4"] }, "codec": { "allowed": ["h264"] }, "resolution": { "allowed": ["320x180"] },
               "gop": { "max_length": 12 } },
    "audio": { "codec": { "allowed": ["aac"] }, "track_count": { "min": 1, "max": 2 } }
  },
  "regional_overrides": [ { "region": "SE", "overrides": { "assets": { "audio": { "track_count": { "min": 2, "max": 8 } } } } } ]
}"#;

#[test]
fn foreign_profile_becomes_a_spec_that_judges() {
    let scratch = clips();
    scratch.write("house_sd.json", PROFILE);
    scratch.write(
        "base.yaml",
        "spec: base\nqc: { black: { longest: 0.5s } }\n",
    );
    let import = [
        "policy",
        "import",
        "house_sd.json",
        "--to",
        "specs",
        "--inherits",
        "../base.yaml",
    ];
    let said = scratch.run(&import);
    said.expect_code(0)
        .expect_said(&["assets.video.gop.max_length: 12", "2 values"]);
    assert_eq!(said.stdout, "specs/house_sd.yaml\nspecs/house_sd-se.yaml\n");
    scratch
        .run(&import)
        .expect_code(6)
        .expect_said(&["house_sd.yaml is there already"]);
    scratch
        .run(&["validate", "specs/house_sd.yaml", "specs/house_sd-se.yaml"])
        .expect_code(0);
    scratch
        .run(&["qc", "in/clean.mp4", "--policy", "specs/house_sd.yaml"])
        .expect_code(0);
    // The region wants two tracks, and takes everything else from the profile.
    let regional = scratch
        .run(&[
            "qc",
            "in/clean.mp4",
            "--policy",
            "specs/house_sd-se.yaml",
            "-o",
            "json",
        ])
        .expect_code(1)
        .json();
    assert_eq!(
        regional["findings"].as_array().map(Vec::len),
        Some(1),
        "{regional:#}"
    );
    assert_eq!(
        (
            &regional["findings"][0]["check"],
            &regional["findings"][0]["limit"]
        ),
        (&"streams".into(), &"2..8".into())
    );

    let json = scratch
        .run(&["policy", "import", "house_sd.json", "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(json["unmapped"][0]["path"], "assets.video.gop.max_length");
    scratch
        .run(&["policy", "import", "job.yaml"])
        .expect_code(2)
        .expect_said(&["job.yaml:1"]);
    scratch
        .run(&["policy", "import", "nowhere.json"])
        .expect_code(5)
        .expect_said(&["nowhere.json"]);
}
