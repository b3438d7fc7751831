//! Files made to hurt: each ends in bounded time with a finding or `tool_error`, never with a pass.
use super::media::*;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;
use worker::qc::{Subject, Verdict};
use worker::task::Tools;

/// Length and kind of the box at `at`.
fn head(bytes: &[u8], at: usize) -> Option<(usize, &[u8])> {
    let size = u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize;
    Some((size.max(8), bytes.get(at + 4..at + 8)?))
}

/// The first box of a kind among those that lie side by side in `bytes`.
fn find<'a>(bytes: &'a [u8], kind: &[u8]) -> &'a [u8] {
    let mut at = 0;
    while let Some((size, is)) = head(bytes, at) {
        if is == kind {
            return &bytes[at..at + size];
        }
        at += size;
    }
    panic!("no {kind:?}")
}

fn boxed(kind: &[u8], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len() + 8).expect("small enough");
    [&size.to_be_bytes()[..], kind, content].concat()
}

fn wav_in_mp4(studio: &Studio) -> Vec<u8> {
    let tone = "sine=d=0.1";
    let path = studio.ffmpeg("tone.mp4", &["-f", "lavfi", "-i", tone, "-c:a", "aac"]);
    std::fs::read(path).expect("read")
}

#[tokio::test]
async fn a_file_of_a_hundred_thousand_streams_is_not_believed() {
    let studio = Studio::new();
    let bytes = wav_in_mp4(&studio);
    let moov = &find(&bytes, b"moov")[8..];
    let tracks = find(moov, b"trak").repeat(100_000);
    let moov = boxed(b"moov", &[find(moov, b"mvhd"), &tracks].concat());
    let path = studio.path("many.mp4");
    std::fs::write(&path, [find(&bytes, b"ftyp"), find(&bytes, b"mdat"), &moov].concat()).expect("written");
    let report = inspect(&path, &spec("spec: s\nqc: { decode: {}, loudness: { target: -23LUFS } }\n")).await;
    assert_ne!(report.verdict, Verdict::Pass, "{report:?}");
}

#[tokio::test]
async fn more_streams_than_are_decoded_are_no_pass() {
    let studio = Studio::new();
    let tone = studio.ffmpeg("a.mka", &["-f", "lavfi", "-i", "sine=d=0.5", "-c:a", "pcm_s16le"]);
    let tone = tone.to_string_lossy().into_owned();
    let mut arguments = vec!["-i", tone.as_str()];
    arguments.extend(["-map", "0:a"].repeat(70));
    arguments.extend(["-c", "copy"]);
    let path = studio.ffmpeg("seventy.mka", &arguments);
    let subject = Subject::bare(&path);
    let report = inspect_as(&path, &subject, &spec("spec: s\nqc: { decode: {} }\n")).await;
    assert_eq!((report.verdict, report.findings.len()), (Verdict::ToolError, 0), "{report:?}");
    assert!(report.not_measured.contains(&"decode".to_owned()), "{report:?}");
}

#[tokio::test]
async fn a_header_that_claims_thirty_hours_costs_no_thirty_hours() {
    let studio = Studio::new();
    let mut bytes = std::fs::read(studio.clean("a.mp4")).expect("read");
    for kind in [b"mvhd", b"mdhd", b"tkhd"] {
        // Creation, modification, then a timescale and the duration; a track header has its number and a gap instead.
        let gap = if kind == b"tkhd" { 24 } else { 20 };
        let found: Vec<usize> = (0..bytes.len() - 40).filter(|at| bytes[*at..].starts_with(kind)).collect();
        for at in found {
            let duration = &mut bytes[at + gap..at + gap + 4];
            let is = u32::from_be_bytes((&*duration).try_into().expect("four"));
            duration.copy_from_slice(&is.saturating_mul(27_000).to_be_bytes());
        }
    }
    let path = studio.path("long.mp4");
    std::fs::write(&path, bytes).expect("written");
    let subject = Subject { duration: Some(SECONDS * 27_000.0), ..Subject::bare(&path) };
    let report = inspect_as(&path, &subject, &spec_with("decode: {}", "decode: {}\n  duration: {}")).await;
    // ffmpeg believes the samples and not the header, and so does the verdict: four seconds are there.
    let found = the(&report, "duration").measured.as_f64().expect("a number");
    assert!((found - SECONDS).abs() < 0.2, "{report:?}");
    // And without a word of its source: the file contradicts itself.
    let report = inspect(&path, &spec(POLICY)).await;
    assert_eq!((report.verdict, ids(&report)), (Verdict::Fail, vec!["truncated"]), "{report:?}");
    assert!(the(&report, "truncated").message.contains("108000.00 s"), "{report:?}");
}

#[tokio::test]
async fn an_endless_pipe_is_no_file() {
    let studio = Studio::new();
    let pipe = studio.path("pipe.mov");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("runs").success());
    for path in [pipe, PathBuf::from("/dev/zero")] {
        let (subject, spec, tools, cancel) =
            (Subject::bare(&path), spec(POLICY), Tools::default(), CancellationToken::new());
        let judged = worker::qc::inspect(&path, &subject, &spec, &tools, &cancel).await;
        assert_eq!(judged.expect_err("not a file").reason, "source_missing");
    }
}

#[tokio::test]
async fn fuzzed_files_end_and_never_pass() {
    let studio = Studio::new();
    let mut random = fastrand::Rng::with_seed(5);
    for (name, original) in
        [("f.mp4", studio.clean("a.mp4")), ("f.mxf", studio.clip("b.mxf", MOVING, TONE, &[MPEG2, PCM]))]
    {
        let whole = std::fs::read(&original).expect("read");
        let hash = worker::hash::hash_bytes(protocol::wire::unit::HashAlgorithm::Xxh128, &whole).to_string();
        for round in 0..8 {
            let mut bytes = whole.clone();
            // Headers first and last, the essence in between.
            let within = if round % 2 == 0 { bytes.len().min(4096) } else { bytes.len() };
            for _ in 0..64 {
                let at = random.usize(..within);
                bytes[if round % 4 == 2 { whole.len() - 1 - at } else { at }] = random.u8(..);
            }
            let path = studio.path(name);
            std::fs::write(&path, bytes).expect("written");
            let verdict = judged_by_hash(&path, &hash).await;
            assert_ne!(verdict, Verdict::Pass, "{name}, round {round}");
        }
    }
}

/// By a policy with a checksum: bytes that changed without harm are still not those that were declared.
async fn judged_by_hash(path: &Path, hash: &str) -> Verdict {
    let subject = Subject { declared_hash: Some(hash.to_owned()), ..Subject::bare(path) };
    inspect_as(path, &subject, &spec_with("decode: {}", "decode: {}\n  checksum: {}")).await.verdict
}
