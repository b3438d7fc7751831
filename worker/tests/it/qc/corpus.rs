//! The whole set of test media: which faults are missed, which alarms are false.
//!
//! `SHOWRUNNER_MEDIA` names a directory with clips and their `expected.json`. Without it the set is made once under `target/`
//! when its generator lies beside the workspace; otherwise the test says that it was skipped.
use ::qc::Tools;
use ::qc::{MediaUnderTest, Report};
use serde_json::Value;
use spec::DeliverySpec;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Clips judged at a time: one decoding thread each.
const PARALLEL: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_planted_fault_is_found_and_nothing_else() {
    let Some(directory) = media_directory() else {
        println!("SKIP: no SHOWRUNNER_MEDIA and no generator beside the workspace");
        return;
    };
    let expected: Value =
        serde_json::from_slice(&std::fs::read(directory.join("expected.json")).expect("there"))
            .expect("JSON");
    let clips = expected["clips"].as_array().expect("a list").clone();
    let slots = Arc::new(tokio::sync::Semaphore::new(PARALLEL));
    let runs = clips.into_iter().map(|clip| {
        let path = directory.join(text(&clip["file"]));
        let spec = spec_of(text(&clip["profile"]), &expected["profiles"]);
        let slots = Arc::clone(&slots);
        tokio::spawn(async move {
            let _slot = slots.acquire_owned().await.expect("open");
            let subject = MediaUnderTest::bare(&path);
            let report = ::qc::inspect(
                &path,
                &subject,
                &spec,
                &Tools::default(),
                &CancellationToken::new(),
            )
            .await;
            let judged = compare(&clip, &report.expect("the tools work"));
            println!("{judged}");
            judged
        })
    });
    let runs: Vec<_> = runs.collect();
    let (mut clips, mut found, mut missed, mut false_alarms, mut wrong) = (0, 0, 0, 0, 0);
    for run in runs {
        let judged = run.await.expect("judged");
        clips += 1;
        found += judged.found.len();
        missed += judged.missed.len();
        false_alarms += judged.false_alarms.len();
        wrong += usize::from(!judged.verdict_right);
    }
    println!(
        "{clips} clips: {found} faults found, {missed} missed, {false_alarms} false alarms, {wrong} wrong verdicts"
    );
    assert_eq!((missed, false_alarms, wrong), (0, 0, 0));
}

fn media_directory() -> Option<PathBuf> {
    if let Some(directory) = std::env::var_os("SHOWRUNNER_MEDIA").map(PathBuf::from) {
        return directory
            .join("expected.json")
            .is_file()
            .then_some(directory);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let script = root.join("../shared/media/make-media.sh");
    if !script.is_file() {
        return None;
    }
    let directory = root.join("target/media");
    if !directory.is_dir() {
        let making = root.join("target/media-unfinished");
        // Two halves at a time; the directory gets its name when it is complete.
        let halves = ["[a-h]*", "[i-z]*"].map(|names| {
            Command::new("bash")
                .arg(&script)
                .arg(&making)
                .arg(names)
                .spawn()
                .expect("bash runs")
        });
        for mut half in halves {
            assert!(
                half.wait().expect("it was started").success(),
                "{} failed",
                script.display()
            );
        }
        std::fs::rename(&making, &directory).expect("both lie in target");
    }
    Some(directory)
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

/// The delivery spec a profile of the set stands for.
fn spec_of(profile: &str, profiles: &Value) -> Arc<DeliverySpec> {
    let (p, limits) = (&profiles[profile], &profiles["limits"]);
    let t = |key: &str| text(&p[key]).to_owned();
    let l = |key: &str| limits[key].as_f64().expect("a number");
    let order = t("field_order").replace("tt", "tff");
    let source = format!(
        "spec: {profile}
components:
  - role: master
    video: {{ codec: {codec}, width: {width}, height: {height}, sar: '{sar}', frame_rate: {rate}, field_order: {order},
              range: {range}, matrix: {matrix} }}
    audio: {{ codec: {audio}, channels: {channels}, sample_rate: {sample_rate} }}
qc:
  container: {{ any: [{container}] }}
  decode: {{}}
  truncated: {{}}
  av_length: {{ tolerance: {av}s }}
  black: {{ longest: {black}s }}
  freeze: {{ longest: {freeze}s, noise: {freeze_db}dB }}
  silence: {{ longest: {silence}s, noise: {silence_db}dB, per_channel: true }}
  dead_channel: {{ noise: {dead}dB }}
  loudness: {{ target: {target}LUFS, tolerance: {tolerance}LU }}
  true_peak: {{ max: {peak}dBTP }}
  phase: {{}}
  levels: {{ illegal_pixels_max: {levels} }}
",
        codec = t("video_codec"),
        width = p["width"],
        height = p["height"],
        sar = t("sar"),
        rate = t("rate"),
        range = t("range"),
        matrix = t("matrix"),
        audio = t("audio_codec"),
        channels = p["channels"],
        sample_rate = p["sample_rate"],
        container = t("container"),
        av = l("av_length_tol_s"),
        black = l("black_min_s"),
        freeze = l("freeze_min_s"),
        freeze_db = l("freeze_noise_db"),
        silence = l("silence_min_s"),
        silence_db = l("silence_db"),
        dead = l("channel_silent_db"),
        target = l("loudness_lufs"),
        tolerance = l("loudness_tol"),
        peak = l("true_peak_max_dbtp"),
        levels = l("illegal_pixels_max"),
    );
    Arc::new(
        protocol::yaml::read("profile", &source)
            .unwrap_or_else(|problem| panic!("{problem}\n{source}")),
    )
}

/// One row of the confusion table.
struct Judged {
    file: String,
    verdict: String,
    verdict_right: bool,
    found: Vec<String>,
    missed: Vec<String>,
    false_alarms: Vec<String>,
    not_measured: Vec<String>,
    why: String,
}

impl std::fmt::Display for Judged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let right = self.verdict_right && self.missed.is_empty() && self.false_alarms.is_empty();
        let mark = if right { "ok " } else { "BAD" };
        write!(
            f,
            "{mark} {:<28} {:<10} found {:?}",
            self.file, self.verdict, self.found
        )?;
        for (what, list) in [
            ("missed", &self.missed),
            ("false", &self.false_alarms),
            ("unknown", &self.not_measured),
        ] {
            if !list.is_empty() {
                write!(f, " {what} {list:?}")?;
            }
        }
        if right {
            Ok(())
        } else {
            write!(f, "\n    {}", self.why)
        }
    }
}

fn compare(clip: &Value, report: &Report) -> Judged {
    let wanted = clip["findings"].as_array().expect("a list");
    let also = clip["also"].as_array().expect("a list");
    let (met, unmet): (Vec<&Value>, Vec<&Value>) =
        wanted.iter().partition(|want| is_met(want, report));
    let ids = |list: &[&Value]| {
        list.iter()
            .map(|want| text(&want["check"]).to_owned())
            .collect()
    };
    let known = |check: &str| {
        wanted.iter().any(|w| w["check"] == check) || also.iter().any(|a| *a == check)
    };
    let false_alarms = report
        .findings
        .iter()
        .filter(|f| !known(&f.check))
        .map(|f| f.check.clone())
        .collect();
    Judged {
        file: text(&clip["file"]).to_owned(),
        verdict: report.verdict.to_string(),
        verdict_right: report.verdict.as_str() == text(&clip["verdict"]),
        found: ids(&met),
        missed: ids(&unmet),
        false_alarms,
        not_measured: report.not_measured.clone(),
        why: serde_json::to_string(report).expect("writes"),
    }
}

/// Whether a finding says what was planted: the check, and where or how much when that is known.
fn is_met(want: &Value, report: &Report) -> bool {
    let tolerance = want["tol"].as_f64().unwrap_or(0.0);
    report
        .findings
        .iter()
        .filter(|finding| want["check"] == finding.check.as_str())
        .any(|finding| {
            let near =
                |is: f64, want: &Value| (is - want.as_f64().expect("a number")).abs() <= tolerance;
            if want["start"].is_number() {
                return finding
                    .ranges
                    .iter()
                    .any(|[start, end]| near(*start, &want["start"]) && near(*end, &want["end"]));
            }
            if want["value"].is_number() {
                return finding
                    .measured
                    .as_f64()
                    .is_some_and(|measured| near(measured, &want["value"]));
            }
            want["channel"]
                .as_u64()
                .is_none_or(|channel| finding.channel.map(u64::from) == Some(channel))
        })
}
