//! The library is made once per test process and measured with the real programs: what is planted must be there, and
//! nothing else.
use super::library::make;
use super::model::{DemoError, Planted, Step};
use async_trait::async_trait;
use protocol::failure::Failure;
use protocol::id::{JobNo, Kind, StepNo, UnitId, WorkerId};
use protocol::media::asset::Asset;
use protocol::time::Timestamp;
use protocol::wire::report::{ScanPage, UnitResult};
use protocol::wire::step::TaskSpec;
use protocol::wire::step::scan::{ScanSource, ScanTask};
use protocol::wire::unit::Unit;
use protocol::workflow::compile::compile;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use worker::step::{Effect, Effects, StepContext};

#[derive(Default)]
struct Kept(Mutex<Vec<ScanPage>>);

#[async_trait]
impl Effects for Kept {
    async fn send(&self, effect: Effect) -> Result<(), Failure> {
        let Effect::Page { page, .. } = effect else {
            panic!("a listing sends pages only")
        };
        self.0
            .lock()
            .expect("no test panics while it holds it")
            .push(page);
        Ok(())
    }
}

fn scanned(dir: &Path) -> Vec<Asset> {
    let text = |path: &Path| path.to_str().expect("temporary paths are UTF-8").to_owned();
    let library = dir.join("library");
    let task = ScanTask {
        source: ScanSource::Manifest {
            path: text(&library.join("manifest.csv")),
        },
        root: text(&library),
        resume: None,
        page_assets: 100,
    };
    let unit = Unit {
        id: UnitId::new(JobNo(1), StepNo::SCAN, 0),
        epoch: 1,
        attempt: 0,
        kind: Kind::Scan,
        task: Arc::new(TaskSpec::Scan(task)),
        assets: Vec::new(),
        deadline: None,
    };
    let kept = Arc::new(Kept::default());
    let context = StepContext {
        cancel: tokio_util::sync::CancellationToken::new(),
        worker: WorkerId("w".into()),
        effects: kept.clone(),
        storage: Arc::default(),
        bytes: Arc::default(),
        tools: Arc::default(),
        rehearsal: Arc::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    let result = runtime.block_on(worker::step::run(&unit, &context));
    assert!(matches!(result, UnitResult::Listed { .. }), "{result:?}");
    let pages = std::mem::take(&mut *kept.0.lock().expect("no test panics while it holds it"));
    assert!(pages.iter().all(|page| page.errors.is_empty()), "{pages:?}");
    pages
        .into_iter()
        .flat_map(|page| page.assets)
        .map(|listed| listed.asset)
        .collect()
}

fn file(asset: &Asset) -> &Path {
    Path::new(
        asset
            .location
            .strip_prefix("file:")
            .expect("the library is local"),
    )
}

/// What ffprobe says of the container and its first picture stream.
fn probe(asset: &Asset, entries: &str) -> Vec<String> {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-of",
            "default=nw=1:nk=1",
            "-show_entries",
            entries,
        ])
        .arg(file(asset))
        .output()
        .expect("ffprobe runs");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// What ffmpeg's own detectors say about a file.
fn detect(asset: &Asset, filters: &[&str]) -> String {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-nostats", "-i"])
        .arg(file(asset))
        .args(filters)
        .args(["-f", "null", "-"])
        .output()
        .expect("ffmpeg runs");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const PICTURE: [&str; 2] = [
    "-vf",
    "blackdetect=d=0.3:pix_th=0.10,freezedetect=n=-60dB:d=1",
];
const SOUND: [&str; 2] = [
    "-af",
    "silencedetect=n=-60dB:d=1:mono=1,ebur128=framelog=verbose",
];

fn loudness(asset: &Asset) -> f64 {
    let said = detect(asset, &SOUND);
    let line = said
        .lines()
        .rev()
        .find_map(|line| line.trim().strip_prefix("I:"))
        .expect("ebur128 sums up");
    line.trim()
        .trim_end_matches(" LUFS")
        .parse()
        .expect("a number")
}

fn made() -> (TempDir, Planted, Vec<Asset>) {
    let dir = TempDir::new().expect("a directory");
    let planted = make(dir.path(), "ffmpeg").expect("the library is made");
    let assets = scanned(dir.path());
    (dir, planted, assets)
}

/// The job file is one the product takes, and it finds the spec and the library where they are.
fn compiles(dir: &Path) {
    let base = dir.to_str().expect("temporary paths are UTF-8");
    let source = std::fs::read_to_string(dir.join("job.yaml")).expect("it was written");
    let mut policies = |path: &str| {
        assert!(Path::new(path).is_file(), "{path}");
        Ok(protocol::wire::step::qc::QcTask {
            policy: "{}".into(),
            digest: "d".into(),
        })
    };
    let workflow = compile(
        "job.yaml",
        &source,
        base,
        "demo-1",
        Timestamp(0),
        &mut policies,
    )
    .expect("it is valid");
    let steps: Vec<&str> = workflow.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(steps[..3], ["land", "check", "title-complete"]);
    let scan = workflow.scan_task().expect("it lists a library");
    assert_eq!(
        scan.source,
        ScanSource::Manifest {
            path: format!("{base}/library/manifest.csv")
        }
    );
}

#[test]
fn the_library_holds_what_it_says() {
    let (dir, planted, assets) = made();
    assert_eq!(
        (assets.len(), planted.assets, planted.reused),
        (24, 24, false)
    );
    let titles: BTreeSet<&str> = assets.iter().map(|asset| asset.title.as_str()).collect();
    let faulty: BTreeSet<&str> = planted
        .faults
        .iter()
        .map(|fault| fault.title.as_str())
        .collect();
    assert_eq!(
        (
            titles.len(),
            planted.faults.len(),
            titles.difference(&faulty).count()
        ),
        (6, 9, 2)
    );
    for asset in &assets {
        let fault = planted.faults.iter().find(|fault| fault.asset == asset.id);
        let missing = fault.is_some_and(|fault| fault.step == Step::Land);
        assert_eq!(file(asset).exists(), !missing, "{}", asset.id);
        if !missing {
            assert_eq!(
                file(asset).metadata().expect("it exists").len(),
                asset.bytes.expect("declared"),
                "{}",
                asset.id
            );
        }
    }
    for name in ["job.yaml", "specs/demo.yaml"] {
        let text = std::fs::read_to_string(dir.path().join(name)).expect("it was written");
        protocol::yaml::read::<serde_json::Value>(name, &text).expect("it is YAML");
    }
    assert_eq!(planted.job, dir.path().join("job.yaml"));
    compiles(dir.path());

    let asset = |id: &str| {
        assets
            .iter()
            .find(|asset| asset.id == id)
            .expect("it is in the manifest")
    };
    let size = "stream=width,height";
    assert_eq!(
        probe(asset("night-ferry-s01e01-master"), size),
        ["480", "270"]
    );
    assert_eq!(probe(asset("harbour-lights-master"), size), ["640", "360"]);
    assert_eq!(
        asset("the-long-field-proxy")
            .declared
            .as_ref()
            .and_then(|d| d.duration),
        Some(13.0)
    );
    for clean in assets
        .iter()
        .filter(|asset| !faulty.contains(asset.title.as_str()) && asset.role.is_timed_media())
    {
        let seconds: f64 = probe(clean, "format=duration")[0]
            .parse()
            .expect("a number");
        assert!((seconds - 8.0).abs() < 0.1, "{}: {seconds} s", clean.id);
        assert!((loudness(clean) + 23.0).abs() < 0.3, "{}", clean.id);
        let said = detect(
            clean,
            if clean.role.has_picture() {
                &PICTURE
            } else {
                &SOUND
            },
        );
        for word in [
            "black_start",
            "freeze_start",
            "silence_start",
            "Error",
            "error",
        ] {
            assert!(!said.contains(word), "{}: {said}", clean.id);
        }
    }
    let black = detect(asset("the-long-field-master"), &PICTURE);
    assert!(
        black.contains("black_start:3 black_end:5") && !black.contains("freeze_start"),
        "{black}"
    );
    let freeze = detect(asset("glass-river-master"), &PICTURE);
    assert!(
        freeze.contains("freeze_start") && !freeze.contains("black_start"),
        "{freeze}"
    );
    let dead = detect(asset("the-long-field-audio-de"), &SOUND);
    assert!(
        dead.contains("channel: 1 | silence_start: 0") && !dead.contains("channel: 0"),
        "{dead}"
    );
    assert!((loudness(asset("the-long-field-audio-de")) + 23.0).abs() < 0.3);
    assert!((loudness(asset("glass-river-audio-de")) + 14.0).abs() < 0.3);
    let lengths = probe(asset("glass-river-proxy"), "stream=duration");
    let lengths: Vec<f64> = lengths
        .iter()
        .map(|text| text.parse().expect("a number"))
        .collect();
    assert!((lengths[0] - lengths[1] - 1.5).abs() < 0.1, "{lengths:?}");
    let broken = detect(asset("night-ferry-s01e01-proxy"), &PICTURE);
    assert!(
        broken.contains("rror") || broken.contains("partial file"),
        "{broken}"
    );
}

/// Replaces ffmpeg where only the files matter: writes twenty bytes to its last argument.
fn quick_ffmpeg(dir: &Path) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join("quick-ffmpeg");
    std::fs::write(
        &path,
        "#!/bin/sh\n[ \"$1\" = -version ] && exit 0\nfor last; do :; done\nprintf 12345678901234567890 > \"$last\"\n",
    )
    .expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    path.to_str().expect("temporary paths are UTF-8").to_owned()
}

#[test]
fn a_library_that_is_there_is_used_again_and_an_interrupted_one_completed() {
    let (tools, dir) = (
        TempDir::new().expect("a directory"),
        TempDir::new().expect("a directory"),
    );
    let program = quick_ffmpeg(tools.path());
    assert!(!make(dir.path(), &program).expect("it is made").reused);
    assert!(
        make(dir.path(), "no-such-program")
            .expect("nothing is to be made")
            .reused
    );
    let assets = scanned(dir.path());
    std::fs::remove_file(file(&assets[0])).expect("it exists");
    std::fs::write(file(&assets[1]), "kept").expect("it exists");
    assert!(!make(dir.path(), &program).expect("it is completed").reused);
    assert_eq!(
        std::fs::read(file(&assets[0])).expect("it is back").len(),
        20
    );
    assert_eq!(
        std::fs::read(file(&assets[1])).expect("it exists"),
        b"kept",
        "what was complete is not made again"
    );
    assert_eq!(
        scanned(dir.path())[1].bytes,
        Some(4),
        "the manifest says what is there"
    );
}

#[test]
fn a_failing_program_is_quoted_and_nothing_looks_complete() {
    let (tools, dir) = (
        TempDir::new().expect("a directory"),
        TempDir::new().expect("a directory"),
    );
    let program = quick_ffmpeg(tools.path());
    std::fs::write(
        &program,
        "#!/bin/sh\necho 'Unknown encoder libx264' >&2\nexit 1\n",
    )
    .expect("it is ours");
    let error = make(dir.path(), &program)
        .expect_err("it fails")
        .to_string();
    assert!(
        error.contains("could not make") && error.contains("Unknown encoder libx264"),
        "{error}"
    );
    assert!(!dir.path().join("job.yaml").exists());
    let program = quick_ffmpeg(tools.path());
    assert!(
        !make(dir.path(), &program)
            .expect("the next run completes it")
            .reused
    );
}

#[test]
fn other_peoples_directories_are_left_alone_and_a_missing_program_is_named() {
    let dir = TempDir::new().expect("a directory");
    std::fs::write(dir.path().join("job.yaml"), "job: mine\n").expect("a file");
    assert!(matches!(
        make(dir.path(), "ffmpeg"),
        Err(DemoError::NotOurs { .. })
    ));
    assert_eq!(
        std::fs::read_to_string(dir.path().join("job.yaml")).expect("it exists"),
        "job: mine\n"
    );
    let empty = dir.path().join("empty");
    let error = make(&empty, "no-such-program").expect_err("it cannot run");
    assert!(
        error
            .to_string()
            .contains("no-such-program cannot be run: install ffmpeg"),
        "{error}"
    );
    assert!(!empty.exists());
}
