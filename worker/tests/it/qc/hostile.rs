//! Files made to hurt: each ends in bounded time with a finding or `tool_error`, never with a pass.
use super::media::*;
use ::qc::Tools;
use ::qc::{MediaUnderTest, Verdict};
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

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
    std::fs::write(
        &path,
        [find(&bytes, b"ftyp"), find(&bytes, b"mdat"), &moov].concat(),
    )
    .expect("written");
    let report = inspect(
        &path,
        &spec("spec: s\nqc: { decode: {}, loudness: { target: -23LUFS } }\n"),
    )
    .await;
    assert_ne!(report.verdict, Verdict::Pass, "{report:?}");
}

#[tokio::test]
async fn more_streams_than_are_decoded_are_no_pass() {
    let studio = Studio::new();
    let tone = studio.ffmpeg(
        "a.mka",
        &["-f", "lavfi", "-i", "sine=d=0.5", "-c:a", "pcm_s16le"],
    );
    let tone = tone.to_string_lossy().into_owned();
    let mut arguments = vec!["-i", tone.as_str()];
    arguments.extend(["-map", "0:a"].repeat(70));
    arguments.extend(["-c", "copy"]);
    let path = studio.ffmpeg("seventy.mka", &arguments);
    let subject = MediaUnderTest::bare(&path);
    let report = inspect_as(&path, &subject, &spec("spec: s\nqc: { decode: {} }\n")).await;
    assert_eq!(
        (report.verdict, report.findings.len()),
        (Verdict::ToolError, 0),
        "{report:?}"
    );
    assert!(
        report.not_measured.contains(&"decode".to_owned()),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_header_that_claims_thirty_hours_costs_no_thirty_hours() {
    let studio = Studio::new();
    let mut bytes = std::fs::read(studio.clean("a.mp4")).expect("read");
    for kind in [b"mvhd", b"mdhd", b"tkhd"] {
        // Creation, modification, then a timescale and the duration; a track header has its number and a gap instead.
        let gap = if kind == b"tkhd" { 24 } else { 20 };
        let found: Vec<usize> = (0..bytes.len() - 40)
            .filter(|at| bytes[*at..].starts_with(kind))
            .collect();
        for at in found {
            let duration = &mut bytes[at + gap..at + gap + 4];
            let is = u32::from_be_bytes((&*duration).try_into().expect("four"));
            duration.copy_from_slice(&is.saturating_mul(27_000).to_be_bytes());
        }
    }
    let path = studio.path("long.mp4");
    std::fs::write(&path, bytes).expect("written");
    let subject = MediaUnderTest {
        duration: Some(SECONDS * 27_000.0),
        ..MediaUnderTest::bare(&path)
    };
    let report = inspect_as(
        &path,
        &subject,
        &spec_with("decode: {}", "decode: {}\n  duration: {}"),
    )
    .await;
    // ffmpeg believes the samples and not the header, and so does the verdict: four seconds are there.
    let found = the(&report, "duration")
        .measured
        .as_f64()
        .expect("a number");
    assert!((found - SECONDS).abs() < 0.2, "{report:?}");
    // And without a word of its source: the file contradicts itself.
    let report = inspect(&path, &spec(POLICY)).await;
    assert_eq!(
        (report.verdict, ids(&report)),
        (Verdict::Fail, vec!["truncated"]),
        "{report:?}"
    );
    assert!(
        the(&report, "truncated").message.contains("108000.00 s"),
        "{report:?}"
    );
}

#[tokio::test]
async fn an_endless_pipe_is_no_file() {
    let studio = Studio::new();
    let pipe = studio.path("pipe.mov");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .expect("runs")
            .success()
    );
    for path in [pipe, PathBuf::from("/dev/zero")] {
        let (subject, spec, tools, cancel) = (
            MediaUnderTest::bare(&path),
            spec(POLICY),
            Tools::default(),
            CancellationToken::new(),
        );
        let judged = ::qc::inspect(&path, &subject, &spec, &tools, &cancel).await;
        assert_eq!(judged.expect_err("not a file").reason, "source_missing");
    }
}

#[tokio::test]
async fn fuzzed_files_end_and_never_pass() {
    let studio = Studio::new();
    let mut random = fastrand::Rng::with_seed(5);
    for (name, original) in [
        ("f.mp4", studio.clean("a.mp4")),
        ("f.mxf", studio.clip("b.mxf", MOVING, TONE, &[MPEG2, PCM])),
    ] {
        let whole = std::fs::read(&original).expect("read");
        let hash =
            ::storage::hash::hash_bytes(protocol::model::hash::HashAlgorithm::Xxh128, &whole)
                .to_string();
        for round in 0..8 {
            let mut bytes = whole.clone();
            // Headers first and last, the essence in between.
            let within = if round % 2 == 0 {
                bytes.len().min(4096)
            } else {
                bytes.len()
            };
            for _ in 0..64 {
                let at = random.usize(..within);
                bytes[if round % 4 == 2 {
                    whole.len() - 1 - at
                } else {
                    at
                }] = random.u8(..);
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
    let subject = MediaUnderTest {
        declared_hash: Some(hash.to_owned()),
        ..MediaUnderTest::bare(path)
    };
    inspect_as(
        path,
        &subject,
        &spec_with("decode: {}", "decode: {}\n  checksum: {}"),
    )
    .await
    .verdict
}

/// Texts that lead a player to other media. `MEDIA` is the path of a whole clip beside them.
const LISTS: [(&str, &str); 8] = [
    (
        "hls.mp4",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:4.0,\nfile:MEDIA\n#EXT-X-ENDLIST\n",
    ),
    (
        "neighbour.mp4",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:4.0,\nsegment.ts\n#EXT-X-ENDLIST\n",
    ),
    (
        "live.mp4",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\nfile:MEDIA\n",
    ),
    (
        "dash.mp4",
        "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" \
         mediaPresentationDuration=\"PT4S\"><Period><AdaptationSet mimeType=\"video/mp4\"><Representation id=\"1\" \
         bandwidth=\"1\"><BaseURL>MEDIA</BaseURL></Representation></AdaptationSet></Period></MPD>",
    ),
    ("concat.mp4", "ffconcat version 1.0\nfile segment.ts\n"),
    ("concat.ffconcat", "ffconcat version 1.0\nfile segment.ts\n"),
    (
        "session.mov",
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 5004 RTP/AVP 96\r\n",
    ),
    ("words.mp4", "This is no media at all.\n"),
];

/// Checks that other media would satisfy, if it were looked at.
const LENIENT: &str = "spec: s\nqc:\n  decode: {}\n  truncated: {}\n  black: { longest: 2s }\n  \
                       mediainfo: { facts: { General.Format: MPEG-TS } }\n";

/// The picture at one second of a file.
async fn still_of(path: &Path, tools: &Tools) -> Option<Vec<u8>> {
    let media = ::qc::Media::open(path, "").expect("opens");
    ::qc::still(&media, 1.0, tools, &CancellationToken::new()).await
}

#[tokio::test]
async fn text_that_names_other_media_is_refused_at_once() {
    let studio = Studio::new();
    let media = studio.clip("segment.ts", MOVING, TONE, &[MPEG2, &["-c:a", "mp2"]]);
    assert_eq!(inspect(&media, &spec(LENIENT)).await.verdict, Verdict::Pass);
    // A playlist without an end would be read until the time is up: one that is refused is not waited for.
    let tools = Tools {
        qc_timeout_min: std::time::Duration::from_secs(1000),
        ..Tools::default()
    };
    for (name, text) in LISTS {
        let path = studio.path(name);
        std::fs::write(&path, text.replace("MEDIA", &media.to_string_lossy())).expect("written");
        for role in [None, Some(protocol::media::asset::Role::Master)] {
            let subject = MediaUnderTest {
                role,
                ..MediaUnderTest::bare(&path)
            };
            let judged = ::qc::inspect(
                &path,
                &subject,
                &spec(LENIENT),
                &tools,
                &CancellationToken::new(),
            )
            .await;
            let report = judged.expect("judged");
            assert_eq!(
                (report.verdict, report.findings.len()),
                (Verdict::ToolError, 0),
                "{report:?}"
            );
            assert!(
                report.essence.is_empty()
                    && report.reasons["file"].starts_with("not readable as media"),
                "{report:?}"
            );
        }
        assert_eq!(still_of(&path, &tools).await, None, "{name}");
    }
}

#[tokio::test]
async fn pattern_in_the_name_of_a_still_is_a_name() {
    let studio = Studio::new();
    for n in 1..4 {
        studio.ffmpeg(
            &format!("f{n:03}.png"),
            &[
                "-f",
                "lavfi",
                "-i",
                "testsrc2=s=64x36:d=1",
                "-frames:v",
                "1",
            ],
        );
    }
    let pattern = studio.path("f%03d.png");
    std::fs::write(&pattern, "not a picture").expect("written");
    let report = inspect_as(&pattern, &MediaUnderTest::bare(&pattern), &spec(POLICY)).await;
    assert_eq!(report.verdict, Verdict::ToolError, "{report:?}");
    std::fs::copy(studio.path("f001.png"), &pattern).expect("copied");
    let report = inspect_as(&pattern, &MediaUnderTest::bare(&pattern), &spec(POLICY)).await;
    assert_eq!(report.verdict, Verdict::NotJudged, "{report:?}");
}

#[tokio::test]
async fn text_without_a_role_is_never_a_pass() {
    let studio = Studio::new();
    for (name, bytes) in [
        ("a.stl", &b"\xff\x00\xfe random"[..]),
        (
            "a.scc",
            b"Scenarist_SCC V1.0\n\n00:00:05:00\t9420 94ZZ nonsense\n",
        ),
        ("a.ass", b"[Script Info]\n"),
        ("renamed.srt", b"Scenarist_SCC V1.0\n"),
        ("a.txt", b"words"),
        ("a.unknown", b"1\n00:00:01,000 --> 00:00:02,000\nx\n"),
        ("a.mp4", b"1\n00:00:01,000 --> 00:00:02,000\nx\n"),
    ] {
        let path = studio.path(name);
        std::fs::write(&path, bytes).expect("written");
        for policy in ["captions: {}", "decode: {}, captions: {}"] {
            let spec = spec(&format!("spec: s\nqc: {{ {policy} }}\n"));
            let report = inspect_as(&path, &MediaUnderTest::bare(&path), &spec).await;
            assert_ne!(report.verdict, Verdict::Pass, "{report:?}");
            assert!(
                report.not_measured.contains(&"captions".to_owned())
                    || report.reasons.contains_key("file"),
                "{report:?}"
            );
        }
    }
}

#[tokio::test]
async fn sound_where_a_master_is_described_fails() {
    let studio = Studio::new();
    let sound = studio.ffmpeg("a.mov", &["-f", "lavfi", "-i", TONE, "-c:a", "pcm_s16le"]);
    let master =
        "spec: s\ncomponents: [{ role: master, video: { codec: prores } }]\nqc: { decode: {} }\n";
    let report = inspect_as(&sound, &MediaUnderTest::bare(&sound), &spec(master)).await;
    assert_eq!(report.verdict, Verdict::Fail, "{report:?}");
    assert!(ids(&report).contains(&"streams"), "{report:?}");
    let alone = "spec: s\nqc: { decode: {}, loudness: { target: -23LUFS } }\n";
    assert_eq!(
        inspect_as(&sound, &MediaUnderTest::bare(&sound), &spec(alone))
            .await
            .verdict,
        Verdict::Pass
    );
}

/// A program behind another one that notes which files it opens.
fn traced(studio: &Studio, program: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let (script, log) = (
        studio.path(&format!("traced-{program}")),
        studio.path(&format!("{program}.trace")),
    );
    let text = format!(
        "#!/bin/sh\nexec strace -f -A -e trace=open,openat,openat2,connect -o '{}' {program} \"$@\"\n",
        log.display()
    );
    std::fs::write(&script, text).expect("written");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("set");
    script.to_string_lossy().into_owned()
}

/// Paths that were opened, and addresses that were connected to, outside of what programs bring with them.
fn opened(studio: &Studio, program: &str) -> Vec<String> {
    let own = [
        "/usr/",
        "/lib",
        "/etc/",
        "/proc/",
        "/sys/",
        "/opt/",
        "/nix/",
        "/dev/null",
        "/dev/urandom",
        "/dev/shm",
    ];
    let text = std::fs::read_to_string(studio.path(&format!("{program}.trace"))).expect("a trace");
    let done = text.lines().filter(|line| {
        !line.contains("ENOENT") && (line.contains("open") || line.contains("connect("))
    });
    let path = |line: &str| Some(line.split_once('"')?.1.split_once('"')?.0.to_owned());
    let mut paths: Vec<String> = done
        .map(|line| path(line).unwrap_or_else(|| line.to_owned()))
        .collect();
    paths.retain(|path| !own.iter().any(|own| path.starts_with(own)));
    paths.sort_unstable();
    paths.dedup();
    paths
}

#[tokio::test]
async fn programs_open_the_file_and_nothing_else() {
    let runs = |program: &str| {
        std::process::Command::new(program)
            .arg("--version")
            .output()
            .is_ok()
    };
    if !runs("strace") || !runs("mediaconch") {
        println!("SKIPPED: strace or mediaconch is not installed");
        return;
    }
    let studio = Studio::new();
    let tools = Tools {
        ffmpeg: traced(&studio, "ffmpeg"),
        ffprobe: traced(&studio, "ffprobe"),
        mediainfo: traced(&studio, "mediainfo"),
        mediaconch: traced(&studio, "mediaconch"),
        ..Tools::default()
    };
    let media = studio.clip("segment.ts", MOVING, TONE, &[MPEG2, &["-c:a", "mp2"]]);
    studio.clean("clip001.mp4");
    studio.clean("clip002.mp4");
    let list = studio.path("hls.mp4");
    std::fs::write(&list, LISTS[0].1.replace("MEDIA", &media.to_string_lossy())).expect("written");
    let policy = format!(
        "{LENIENT}  freeze: {{ longest: 1s }}\n  loudness: {{ target: -23LUFS }}\n  mediaconch: {{ policy: <policy/> }}\n"
    );
    for file in ["clip001.mp4", "segment.ts", "hls.mp4"] {
        let (path, cancel) = (studio.path(file), CancellationToken::new());
        let report = ::qc::inspect(
            &path,
            &MediaUnderTest::bare(&path),
            &spec(&policy),
            &tools,
            &cancel,
        )
        .await
        .expect("judged");
        let still = still_of(&path, &tools).await;
        assert_eq!(still.is_some(), file != "hls.mp4", "{report:?}");
    }
    let scratch = std::env::temp_dir()
        .join("showrunner-qc-")
        .to_string_lossy()
        .into_owned();
    for program in ["ffprobe", "ffmpeg", "mediainfo", "mediaconch"] {
        let mut paths = opened(&studio, program);
        assert!(
            paths
                .iter()
                .any(|path| path == "/dev/stdin" || path.contains("/media/")),
            "{program}: {paths:?}"
        );
        // What a program writes in its own directory, by a name without one or with its path.
        paths.retain(|path| {
            path != "/dev/stdin" && path.starts_with('/') && !path.starts_with(&scratch)
        });
        assert_eq!(paths, Vec::<String>::new(), "{program}");
    }
}
