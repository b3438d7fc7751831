//! The qc step: one unit, several assets.
use super::media::*;
use ::qc::Tools;
use async_trait::async_trait;
use protocol::failure::Failure;
use protocol::id::{JobNo, Kind, StepNo, UnitId, WorkerId};
use protocol::media::asset::{Asset, Role};
use protocol::wire::report::UnitResult;
use protocol::wire::step::TaskSpec;
use protocol::wire::step::qc::QcTask;
use protocol::wire::unit::Unit;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio_util::sync::CancellationToken;
use worker::step::{Effect, Effects, StepContext};

struct NoPages;

#[async_trait]
impl Effects for NoPages {
    async fn send(&self, _effect: Effect) -> Result<(), Failure> {
        unreachable!("a qc unit lists nothing")
    }
}

fn context(tools: Tools) -> StepContext {
    StepContext {
        cancel: CancellationToken::new(),
        worker: WorkerId("w-1".into()),
        effects: Arc::new(NoPages),
        storage: Arc::default(),
        bytes: Arc::default(),
        tools: Arc::new(tools),
        rehearsal: Arc::default(),
    }
}

fn asset(id: &str, path: &Path) -> Asset {
    Asset {
        id: id.into(),
        title: "t".into(),
        role: Role::Master,
        location: format!("file:{}", path.display()),
        path: id.into(),
        bytes: None,
        hash: None,
        declared: None,
    }
}

fn unit(assets: Vec<Asset>) -> Unit {
    let spec = spec(POLICY);
    let policy = serde_json::to_string(&spec).expect("writes");
    Unit {
        id: UnitId::new(JobNo(1), StepNo(0), 1),
        epoch: 1,
        attempt: 0,
        kind: Kind::Qc,
        task: Arc::new(TaskSpec::Qc(QcTask {
            policy,
            digest: spec.digest(),
        })),
        assets,
        deadline: None,
    }
}

#[tokio::test]
async fn each_asset_gets_its_verdict_and_failed_ones_a_failure_with_findings() {
    let studio = Studio::new();
    let clean = studio.clean("clean.mp4");
    let loud = studio.clip(
        "loud.mov",
        MOVING,
        &TONE.replace("0.0707946", "0.1995262"),
        &[H264, PCM],
    );
    let empty = studio.path("empty.mov");
    std::fs::write(&empty, b"").expect("written");
    let gone = studio.path("gone.mov");
    let unit = unit(vec![
        asset("clean", &clean),
        asset("loud", &loud),
        asset("empty", &empty),
        asset("gone", &gone),
    ]);
    let context = context(Tools::default());
    let UnitResult::Finished { facts, failures } = worker::step::run(&unit, &context).await else {
        panic!("not finished")
    };

    let verdicts: Vec<_> = facts
        .iter()
        .map(|f| (f.asset.as_str(), f.verdict.as_deref()))
        .collect();
    assert_eq!(
        verdicts,
        [
            ("clean", Some("pass")),
            ("loud", Some("fail")),
            ("empty", Some("tool_error"))
        ]
    );
    assert!(
        facts[..2]
            .iter()
            .all(|f| f.hash.is_some() && f.bytes > Some(0) && f.report.is_some())
    );
    assert!(context.bytes.load(Ordering::Relaxed) > 0);

    let reasons: Vec<_> = failures
        .iter()
        .map(|(id, f)| (id.as_str(), f.reason.as_str()))
        .collect();
    assert_eq!(
        reasons,
        [
            ("loud", "qc_failed"),
            ("empty", "qc_tool_error"),
            ("gone", "source_missing")
        ]
    );
    let failed = &failures[0].1;
    assert_eq!(
        (failed.checks.as_slice(), failed.class.retryable()),
        (&["loudness".to_owned()][..], false)
    );
    assert!(
        failed.message.contains("-14.0 LUFS") && failed.message.contains("-23 LUFS"),
        "{}",
        failed.message
    );
    let findings: serde_json::Value =
        serde_json::from_str(failed.findings.as_deref().expect("there")).expect("JSON");
    for key in [
        "check", "severity", "measured", "limit", "unit", "ranges", "message",
    ] {
        assert!(findings[0].get(key).is_some(), "{key}");
    }
}

#[tokio::test]
async fn a_missing_program_fails_the_unit_and_names_the_doctor() {
    let studio = Studio::new();
    let clean = studio.clean("clean.mp4");
    let context = context(Tools {
        ffmpeg: "no-such-ffmpeg".into(),
        ..Tools::default()
    });
    let UnitResult::Failed(failure) =
        worker::step::run(&unit(vec![asset("a", &clean)]), &context).await
    else {
        panic!("not failed")
    };
    assert!(
        failure.reason == "tool_missing" && failure.message.contains("showrunner doctor"),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_revoked_unit_stops() {
    let studio = Studio::new();
    let clean = studio.clean("clean.mp4");
    let context = context(Tools::default());
    context.cancel.cancel();
    assert_eq!(
        worker::step::run(&unit(vec![asset("a", &clean)]), &context).await,
        UnitResult::Cancelled
    );
}

#[tokio::test]
async fn a_program_that_hangs_or_prints_nonsense_is_never_a_pass() {
    use std::os::unix::fs::PermissionsExt;
    let studio = Studio::new();
    let clean = studio.clean("clean.mp4");
    for (name, body) in [
        ("hangs", "sleep 60"),
        ("silent", "exit 0"),
        ("noise", "head -c 100000 /dev/urandom >&2"),
        ("dies", "kill -9 $$"),
    ] {
        let program = studio.path(name);
        std::fs::write(&program, format!("#!/bin/sh\n{body}\n")).expect("written");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("set");
        let tools = Tools {
            ffmpeg: program.to_string_lossy().into_owned(),
            qc_timeout_min: std::time::Duration::from_millis(200),
            qc_timeout_factor: 0,
            ..Tools::default()
        };
        let UnitResult::Finished { facts, .. } =
            worker::step::run(&unit(vec![asset("a", &clean)]), &context(tools)).await
        else {
            panic!("{name}: not finished")
        };
        assert_ne!(facts[0].verdict.as_deref(), Some("pass"), "{name}");
        let report = facts[0].report.as_deref().expect("there");
        assert!(
            report.contains("\"not_measured\":[\"") || report.contains("decode"),
            "{name}: {report}"
        );
    }
}

#[tokio::test]
async fn directory_swapped_for_a_link_after_the_listing_is_not_judged() {
    let studio = Studio::new();
    std::fs::create_dir(studio.path("lib")).expect("created");
    std::fs::create_dir(studio.path("outside")).expect("created");
    std::fs::copy(studio.clean("clean.mp4"), studio.path("outside/a.mp4")).expect("copied");
    std::os::unix::fs::symlink(studio.path("outside"), studio.path("lib/d")).expect("linked");
    let mut listed = asset("d/a.mp4", &studio.path("lib/d/a.mp4"));
    std::fs::create_dir(studio.path("store")).expect("created");
    std::fs::rename(studio.path("clean.mp4"), studio.path("store/b.mp4")).expect("moved");
    std::os::unix::fs::symlink(studio.path("store"), studio.path("lib/s")).expect("linked");
    let named = asset("s/b.mp4", &studio.path("lib/s/b.mp4"));
    listed.note_listed(false);
    let context = context(Tools::default());
    let UnitResult::Finished { facts, failures } =
        worker::step::run(&unit(vec![listed]), &context).await
    else {
        panic!("not finished")
    };
    let reasons: Vec<_> = failures
        .iter()
        .map(|(id, failure)| (id.as_str(), failure.reason.as_str()))
        .collect();
    assert_eq!(
        (facts.len(), reasons),
        (0, vec![("d/a.mp4", "source_escapes")])
    );
    // What a manifest names may lie behind any link.
    let UnitResult::Finished { facts, .. } = worker::step::run(&unit(vec![named]), &context).await
    else {
        panic!("not finished")
    };
    assert_eq!(facts[0].verdict.as_deref(), Some("pass"));
}

#[tokio::test]
async fn file_replaced_during_qc_shows_in_no_verdict_and_no_picture() {
    use std::os::unix::fs::PermissionsExt;
    let studio = Studio::new();
    let black = studio.clip(
        "black.mp4",
        "color=black:s=320x180:r=25:d=4",
        TONE,
        &[H264, AAC],
    );
    // The other file has no picture: a still could not come from it.
    let other = studio.ffmpeg("other.mp4", &["-f", "lavfi", "-i", TONE, "-c:a", "aac"]);
    let (path, program) = (studio.path("a.mp4"), studio.path("swapping-ffprobe"));
    std::fs::copy(&black, &path).expect("copied");
    let script = format!(
        "#!/bin/sh\nmv '{}' '{}'\nexec ffprobe \"$@\"\n",
        other.display(),
        path.display()
    );
    std::fs::write(&program, script).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("set");
    let hash = ::storage::hash::hash_bytes(
        protocol::model::hash::HashAlgorithm::Xxh128,
        &std::fs::read(&black).expect("read"),
    );
    let tools = Tools {
        ffprobe: program.to_string_lossy().into_owned(),
        ..Tools::default()
    };
    let UnitResult::Finished { facts, failures } =
        worker::step::run(&unit(vec![asset("a", &path)]), &context(tools)).await
    else {
        panic!("not finished")
    };
    assert!(!other.exists(), "it took the place of the judged file");
    assert_eq!(
        (facts[0].hash.as_deref(), facts[0].verdict.as_deref()),
        (Some(hash.to_string().as_str()), Some("fail"))
    );
    assert!(
        failures[0].1.checks.contains(&"black".to_owned()),
        "{failures:?}"
    );
    let report = facts[0].report.as_deref().expect("there");
    let judgement = protocol::model::qc::Judgement::read(report).expect("reads");
    assert!(
        judgement
            .pictures
            .iter()
            .any(|picture| picture.kind == "still"),
        "{report}"
    );
}
