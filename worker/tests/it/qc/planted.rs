//! One planted fault, one finding: at its place and with its measure. Every known trap of the tools is here.
use super::media::*;
use ::qc::{MediaUnderTest, Report, Verdict};
use protocol::media::asset::Role;

/// Makes a clip from sources and judges it by the policy of clean clips.
async fn judged(name: &str, picture: &str, sound: &str) -> Report {
    let studio = Studio::new();
    let path = studio.clip(name, picture, sound, &[H264, PCM]);
    inspect(&path, &spec(POLICY)).await
}

fn with(filter: &str) -> String {
    format!("{MOVING},{filter}")
}

#[tokio::test]
async fn clean_clips_pass_in_every_wrapper() {
    let studio = Studio::new();
    let clips = [
        studio.clean("a.mp4"),
        studio.clip("b.mov", MOVING, TONE, &[H264, PCM]),
        // PCM in MXF has no channel layout.
        studio.clip("c.mxf", MOVING, TONE, &[MPEG2, PCM]),
        studio.clip("d.mkv", MOVING, TONE, &[H264, PCM]),
        // A flash and a breath are shorter than the limits; the marks of the detectors ignore their own minimum length.
        studio.clip(
            "e.mov",
            &with("drawbox=c=black:t=fill:enable='between(t,2,2.19)'"),
            &format!("{TONE},volume=0:enable='between(t,1,1.3)'"),
            &[H264, PCM],
        ),
    ];
    for path in clips {
        let report = inspect(&path, &spec(POLICY)).await;
        assert_eq!(
            (report.verdict, ids(&report)),
            (Verdict::Pass, vec![]),
            "{report:?}"
        );
        assert!(
            report.hash.starts_with("xxh128:") && report.not_measured.is_empty(),
            "{report:?}"
        );
    }
}

#[tokio::test]
async fn black_is_found_to_the_frame_and_is_not_a_freeze_as_well() {
    let report = judged(
        "a.mov",
        &with("drawbox=c=black:t=fill:enable='between(t,1,2.99)'"),
        TONE,
    )
    .await;
    assert_eq!(ids(&report), ["black"], "{report:?}");
    assert!(is_at(the(&report, "black"), 1.0, 3.0), "{report:?}");
    assert_eq!(report.verdict, Verdict::Fail);
}

#[tokio::test]
async fn black_at_the_end_has_no_end_mark_and_ends_with_the_media() {
    let report = judged(
        "a.mov",
        &with("drawbox=c=black:t=fill:enable='gte(t,2)'"),
        TONE,
    )
    .await;
    assert_eq!(ids(&report), ["black"], "{report:?}");
    assert!(is_at(the(&report, "black"), 2.0, SECONDS), "{report:?}");
}

#[tokio::test]
async fn a_freeze_in_the_middle_and_one_at_the_end() {
    let frozen = with("split[a][b];[a][b]freezeframes=first=25:last=74:replace=25");
    // Every frame on its own: an encoder that keeps refining a still picture moves it.
    let studio = Studio::new();
    let path = studio.clip("a.mov", &frozen, TONE, &[H264, PCM, &["-g", "1"]]);
    let report = inspect(&path, &spec(POLICY)).await;
    assert_eq!(ids(&report), ["freeze"], "{report:?}");
    assert!(is_at(the(&report, "freeze"), 1.0, 3.0), "{report:?}");
    let report = judged(
        "b.mov",
        "testsrc2=s=320x180:r=25:d=2,gblur=sigma=2.5,tpad=stop_mode=clone:stop_duration=2",
        TONE,
    )
    .await;
    assert!(is_at(the(&report, "freeze"), 2.0, SECONDS), "{report:?}");
}

#[tokio::test]
async fn silence_in_the_middle_and_at_the_end() {
    let report = judged(
        "a.mov",
        MOVING,
        &format!("{TONE},volume=0:enable='between(t,1,2.5)'"),
    )
    .await;
    assert_eq!(ids(&report), ["silence"], "{report:?}");
    assert!(is_at(the(&report, "silence"), 1.0, 2.5), "{report:?}");
    let report = judged(
        "b.mov",
        MOVING,
        &format!("{TONE},volume=0:enable='gte(t,2.5)'"),
    )
    .await;
    assert!(is_at(the(&report, "silence"), 2.5, SECONDS), "{report:?}");
}

#[tokio::test]
async fn one_dead_channel_is_named_and_is_not_silence() {
    let sound = "aevalsrc='0.1*sin(2*PI*1000*t)|0':s=48000:d=4:c=stereo";
    let report = judged("a.mov", MOVING, sound).await;
    assert_eq!(ids(&report), ["dead_channel"], "{report:?}");
    assert_eq!(the(&report, "dead_channel").channel, Some(2));
}

#[tokio::test]
async fn sound_that_is_silent_throughout_is_silence_and_not_dead_channels() {
    let report = judged("a.mov", MOVING, "anullsrc=r=48000:cl=stereo:d=4").await;
    assert!(is_at(the(&report, "silence"), 0.0, SECONDS), "{report:?}");
    assert!(!ids(&report).contains(&"dead_channel"), "{report:?}");
    // Digital silence has no true peak: that is unknown, not fine.
    assert!(
        report.not_measured.contains(&"true_peak".to_owned()),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_channel_that_drops_out_for_a_while_is_named() {
    let sound = "aevalsrc='0.0707*sin(2*PI*1000*t)|0.0707*sin(2*PI*1000*t)*not(between(t,1,3))':s=48000:d=4:c=stereo";
    let report = judged("a.mov", MOVING, sound).await;
    let finding = the(&report, "silence");
    assert_eq!(finding.channel, Some(2));
    assert!(is_at(finding, 1.0, 3.0), "{report:?}");
}

#[tokio::test]
async fn loudness_is_measured_in_lufs_and_peaks_in_decibels() {
    let report = judged("a.mov", MOVING, &TONE.replace("0.0707946", "0.1995262")).await;
    let measured = the(&report, "loudness")
        .measured
        .as_f64()
        .expect("a number");
    assert!(
        (measured + 14.0).abs() < 0.3 && ids(&report) == ["loudness"],
        "{report:?}"
    );
    // A sine sampled at 45 degrees has a sample peak 3 dB under its true peak; read as linear it would be 1.1 and pass.
    let peak = "aevalsrc='0.0707946*sin(2*PI*1000*t)+between(t,2,2.001)*0.99*sin(2*PI*12000*t+PI/4)|0.0707946*sin(2*PI*1000*t)':s=48000:d=4:c=stereo";
    let report = judged("b.mov", MOVING, peak).await;
    let measured = the(&report, "true_peak")
        .measured
        .as_f64()
        .expect("a number");
    assert!((-0.5..=1.5).contains(&measured), "{report:?}");
}

#[tokio::test]
async fn a_loudness_meter_that_saw_nothing_is_a_tool_error() {
    let studio = Studio::new();
    let short = "aevalsrc='0.07*sin(2*PI*1000*t)|0.07*sin(2*PI*1000*t)':s=48000:d=0.1:c=stereo";
    let path = studio.clip(
        "a.mov",
        "testsrc2=s=320x180:r=25:d=0.12",
        short,
        &[H264, PCM],
    );
    let report = inspect(
        &path,
        &spec("spec: s\nqc: { loudness: { target: -23LUFS } }\n"),
    )
    .await;
    assert_eq!(report.verdict, Verdict::ToolError, "{report:?}");
    assert_eq!(report.not_measured, ["loudness"]);
}

#[tokio::test]
async fn phase_level_and_format_faults() {
    let inverted = TONE.replace("|0.07", "|-0.07");
    assert_eq!(ids(&judged("a.mov", MOVING, &inverted).await), ["phase"]);
    let loud = with("lutyuv=y='clip((val-126)*2.2+126,0,255)':u=val:v=val");
    assert_eq!(ids(&judged("b.mov", &loud, TONE).await), ["levels"]);
    assert_eq!(
        ids(&judged("c.mov", "testsrc2=s=160x90:r=25:d=4", TONE).await),
        ["resolution"]
    );
    let report = judged("d.mov", "testsrc2=s=320x180:r=30000/1001:d=4", TONE).await;
    assert_eq!(the(&report, "frame_rate").measured, "30000/1001");
    let mono = "aevalsrc='0.1*sin(2*PI*1000*t)':s=44100:d=4:c=mono";
    assert_eq!(
        ids(&judged("e.mov", MOVING, mono).await),
        ["channels", "sample_rate"]
    );
}

#[tokio::test]
async fn a_variable_rate_is_seen_in_the_frames() {
    let studio = Studio::new();
    let path = studio.clip(
        "a.mp4",
        &with("select='not(between(mod(n,50),30,39))'"),
        TONE,
        &[H264, AAC, &["-vsync", "vfr"]],
    );
    let report = inspect(&path, &spec(POLICY)).await;
    assert_eq!(
        the(&report, "frame_rate").measured,
        "variable",
        "{report:?}"
    );
}

#[tokio::test]
async fn the_scan_in_the_picture_overrules_its_flag() {
    let studio = Studio::new();
    let fields =
        "testsrc2=s=320x180:r=50:d=4,gblur=sigma=2.5,tinterlace=interleave_top,setfield=prog";
    let path = studio.clip("a.mp4", fields, TONE, &[H264, AAC]);
    let report = inspect(&path, &spec(POLICY)).await;
    assert_eq!(
        the(&report, "field_order").measured,
        "interlaced tff",
        "{report:?}"
    );
    // A still picture shows no fields: only the flag can be judged, and it is right.
    let path = studio.clip(
        "b.mp4",
        "color=c=gray:s=320x180:r=25:d=4",
        TONE,
        &[H264, AAC],
    );
    let report = inspect(&path, &spec(POLICY)).await;
    assert_eq!(ids(&report), ["freeze"], "{report:?}");
    assert!(report.not_measured.is_empty(), "{report:?}");
}

#[tokio::test]
async fn sound_shorter_than_the_picture() {
    let report = judged("a.mov", MOVING, &TONE.replace("d=4", "d=3")).await;
    let finding = the(&report, "av_length");
    assert!(
        is_at(finding, 3.0, SECONDS)
            && (finding.measured.as_f64().expect("a number") - 1.0).abs() < 0.05,
        "{report:?}"
    );
}

#[tokio::test]
async fn damage_is_found_although_ffmpeg_exits_with_0() {
    let studio = Studio::new();
    let noisy = with("noise=alls=20:allf=t");
    for (name, video) in [("a.mp4", H264), ("a.mxf", MPEG2)] {
        let whole = studio.clip(
            name,
            &noisy,
            TONE,
            &[video, if name == "a.mp4" { AAC } else { PCM }],
        );
        let report = inspect(
            &studio.spoil(&whole, &format!("spoiled-{name}")),
            &spec(POLICY),
        )
        .await;
        assert!(ids(&report).contains(&"decode"), "{report:?}");
        assert_eq!(report.verdict, Verdict::Fail);
    }
}

#[tokio::test]
async fn files_that_end_early() {
    let studio = Studio::new();
    let mp4 = studio.clip(
        "a.mp4",
        &with("noise=alls=20:allf=t"),
        TONE,
        &[H264, AAC, &["-movflags", "+faststart"]],
    );
    let report = inspect(&studio.cut(&mp4, "cut.mp4", 0.6), &spec(POLICY)).await;
    // One cause, one finding: the decoder tells what the index lists and the file has not.
    assert!(
        ids(&report).contains(&"decode") && !ids(&report).contains(&"truncated"),
        "{report:?}"
    );
    let mxf = studio.clip("a.mxf", MOVING, TONE, &[MPEG2, PCM]);
    let report = inspect(&studio.cut(&mxf, "cut.mxf", 0.6), &spec(POLICY)).await;
    assert!(ids(&report).contains(&"truncated"), "{report:?}");
    let only = spec("spec: s\nqc: { truncated: {} }\n");
    let report = inspect(&studio.cut(&mp4, "cut2.mp4", 0.6), &only).await;
    assert_eq!(
        (ids(&report), report.verdict),
        (vec!["truncated"], Verdict::Fail),
        "{report:?}"
    );
}

#[tokio::test]
async fn what_cannot_be_opened_is_a_tool_error_that_says_why() {
    let studio = Studio::new();
    let slow = studio.clean("a.mp4");
    let no_index = studio.cut(&slow, "no-index.mp4", 0.9);
    let (empty, text) = (studio.path("empty.mov"), studio.path("text.mp4"));
    std::fs::write(&empty, b"").expect("written");
    std::fs::write(&text, vec![b'x'; 200_000]).expect("written");
    for (path, word) in [(no_index, "moov"), (empty, "empty"), (text, "not readable")] {
        let report = inspect(&path, &spec(POLICY)).await;
        assert_eq!(
            (report.verdict, ids(&report)),
            (Verdict::ToolError, vec![]),
            "{report:?}"
        );
        assert!(report.summary().contains(word), "{}", report.summary());
        assert!(
            report.not_measured.contains(&"codec".to_owned()),
            "{report:?}"
        );
    }
}

#[tokio::test]
async fn no_sound_fails_the_count_and_leaves_its_measures_unknown() {
    let studio = Studio::new();
    let picture = ["-f", "lavfi", "-i", MOVING];
    let path = studio.ffmpeg("a.mp4", &[&picture, H264].concat());
    let report = inspect(&path, &spec_with(", range: tv", "")).await;
    assert_eq!(
        (report.verdict, ids(&report)),
        (Verdict::Fail, vec!["channels"]),
        "{report:?}"
    );
    assert!(report.not_measured.contains(&"loudness".to_owned()));
    // Where the delivery brings its sound in files of its own, a picture without sound is complete.
    let apart = spec(
        "spec: s\ncomponents: [ { role: master, video: { width: 320 } }, { role: audio, channels: 2 } ]\n\
         qc: { loudness: { target: -23LUFS }, black: { longest: 1s } }\n",
    );
    let report = inspect(&path, &apart).await;
    assert_eq!(
        (report.verdict, report.not_measured.len()),
        (Verdict::Pass, 0),
        "{report:?}"
    );
    // Where nobody brings it, loudness is demanded and was not measured.
    let report = inspect(
        &path,
        &spec("spec: s\nqc: { loudness: { target: -23LUFS } }\n"),
    )
    .await;
    assert_eq!(
        (report.verdict, report.not_measured.as_slice()),
        (Verdict::ToolError, &["loudness".to_owned()][..])
    );
}

#[tokio::test]
async fn warnings_alone_pass() {
    let studio = Studio::new();
    let path = studio.clip(
        "a.mov",
        MOVING,
        &TONE.replace("0.0707946", "0.1995262"),
        &[H264, PCM],
    );
    let report = inspect(
        &path,
        &spec_with("target: -23LUFS", "target: -23LUFS, severity: warning"),
    )
    .await;
    assert_eq!(
        (report.verdict, ids(&report)),
        (Verdict::Pass, vec!["loudness"]),
        "{report:?}"
    );
}

#[tokio::test]
async fn declared_columns_are_compared_even_without_a_component() {
    let studio = Studio::new();
    let path = studio.clip("a.mov", MOVING, TONE, &[H264, PCM]);
    let subject = MediaUnderTest {
        role: Some(Role::Proxy),
        duration: Some(5.0),
        frame_rate: Some("24".into()),
        width: Some(640),
        channels: Some(6),
        ..MediaUnderTest::bare(&path)
    };
    let policy = spec("spec: s\nqc: { duration: { tolerance: 40ms } }\n");
    let report = inspect_as(&path, &subject, &policy).await;
    assert_eq!(
        ids(&report),
        ["resolution", "frame_rate", "duration", "channels"],
        "{report:?}"
    );
    let right = MediaUnderTest {
        role: Some(Role::Proxy),
        duration: Some(4.0),
        frame_rate: Some("25".into()),
        width: Some(320),
        height: Some(180),
        channels: Some(2),
        ..MediaUnderTest::bare(&path)
    };
    assert_eq!(
        inspect_as(&path, &right, &policy).await.verdict,
        Verdict::Pass
    );
}

#[tokio::test]
async fn several_sound_streams_are_judged_each_and_mono_ones_in_pairs() {
    let studio = Studio::new();
    let quiet = TONE.replace("0.0707946", "0.01");
    let picture = format!("{MOVING},setparams=range=tv");
    let two = [
        "-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", TONE, "-f", "lavfi", "-i", &quiet,
    ];
    let maps = [
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-map",
        "2:a",
        "-color_range",
        "tv",
    ];
    let path = studio.ffmpeg("a.mov", &[&two[..], &maps, H264, PCM].concat());
    let report = inspect(&path, &spec(POLICY)).await;
    assert_eq!(the(&report, "loudness").stream, Some(2), "{report:?}");
    let split = "[1:a]channelsplit=channel_layout=stereo[l][r]";
    let maps = [
        "-filter_complex",
        split,
        "-map",
        "0:v",
        "-map",
        "[l]",
        "-map",
        "[r]",
        "-color_range",
        "tv",
    ];
    let path = studio.ffmpeg("b.mxf", &[&two[..8], &maps, MPEG2, PCM].concat());
    let report = inspect(&path, &spec(POLICY)).await;
    assert_eq!(
        (report.verdict, ids(&report)),
        (Verdict::Pass, vec![]),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_format_change_on_the_way_is_a_finding_and_no_pass() {
    let studio = Studio::new();
    let small = studio.ffmpeg(
        "s.ts",
        &[&["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=2"], H264].concat(),
    );
    let large = studio.ffmpeg(
        "l.ts",
        &[&["-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=2"], H264].concat(),
    );
    let joined = studio.path("joined.ts");
    let bytes = [
        std::fs::read(small).expect("read"),
        std::fs::read(large).expect("read"),
    ]
    .concat();
    std::fs::write(&joined, bytes).expect("written");
    let report = inspect(
        &joined,
        &spec("spec: s\nqc: { decode: {}, black: { longest: 1s } }\n"),
    )
    .await;
    assert_eq!(
        (report.verdict, ids(&report)),
        (Verdict::Fail, vec!["decode"]),
        "{report:?}"
    );
    assert!(
        report.not_measured.contains(&"black".to_owned()),
        "{report:?}"
    );
}

#[tokio::test]
async fn odd_file_names_are_only_names() {
    let studio = Studio::new();
    let clean = studio.clean("a.mp4");
    for name in ["-i http:x,[a];b'\\.mp4", "ünï %d \n.mp4", "concat:a|b.mp4"] {
        let path = studio.path(name);
        std::fs::copy(&clean, &path).expect("copied");
        assert_eq!(
            inspect(&path, &spec(POLICY)).await.verdict,
            Verdict::Pass,
            "{name:?}"
        );
    }
}

#[tokio::test]
async fn an_empty_policy_demands_nothing_and_the_hash_still_binds() {
    let studio = Studio::new();
    let path = studio.clean("a.mp4");
    let report = inspect(&path, &spec("spec: nothing\n")).await;
    assert_eq!(report.verdict, Verdict::NotJudged);
    let hash = format!(
        "xxh128:{:032x}",
        xxhash_rust::xxh3::xxh3_128(&std::fs::read(&path).expect("read"))
    );
    assert_eq!(
        (report.hash.as_str(), report.policy_digest.len()),
        (hash.as_str(), 64)
    );
    // Another byte, another hash: a verdict never moves to other content.
    let other = studio.path("b.mp4");
    std::fs::write(
        &other,
        [std::fs::read(&path).expect("read"), vec![0]].concat(),
    )
    .expect("written");
    assert_ne!(inspect(&other, &spec("spec: nothing\n")).await.hash, hash);
    let subject = MediaUnderTest {
        declared_hash: Some(hash.clone()),
        ..MediaUnderTest::bare(&other)
    };
    let report = inspect_as(&other, &subject, &spec("spec: s\nqc: { checksum: {} }\n")).await;
    assert_eq!(ids(&report), ["checksum"]);
    // A source may have declared another algorithm than the one verdicts are bound by.
    let bytes = std::fs::read(&other).expect("read");
    let md5 =
        ::storage::hash::hash_bytes(protocol::model::hash::HashAlgorithm::Md5, &bytes).to_string();
    let subject = MediaUnderTest {
        declared_hash: Some(md5),
        ..MediaUnderTest::bare(&other)
    };
    assert_eq!(
        inspect_as(&other, &subject, &spec("spec: s\nqc: { checksum: {} }\n"))
            .await
            .verdict,
        Verdict::Pass
    );
}

#[tokio::test]
async fn the_published_spec_passes_a_clean_programme_and_fails_a_loud_one() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/hd-broadcast.yaml");
    let source = std::fs::read_to_string(file).expect("read");
    let mut load = |_: &str| -> Result<String, protocol::yaml::Problem> {
        unreachable!("it inherits nothing")
    };
    let spec =
        spec::resolve("hd-broadcast.yaml", &source, &mut load).unwrap_or_else(|p| panic!("{p}"));
    let studio = Studio::new();
    let picture = "testsrc2=s=1920x1080:r=25:d=2";
    for (name, level, verdict) in [
        ("a.mp4", "0.0707946", Verdict::Pass),
        ("b.mp4", "0.1995262", Verdict::Fail),
    ] {
        let sound = TONE.replace("0.0707946", level).replace("d=4", "d=2");
        let path = studio.clip(name, picture, &sound, &[H264, AAC]);
        let report = inspect(&path, &spec).await;
        assert_eq!(report.verdict, verdict, "{report:?}");
    }
}

#[tokio::test]
async fn offsets_gamut_and_layouts() {
    let studio = Studio::new();
    let offset = TONE.replace("'0.07", "'0.01+0.07");
    let path = studio.clip("a.mov", MOVING, &offset, &[H264, PCM]);
    let report = inspect(
        &path,
        &spec("spec: s\nqc: { dc_offset: { max: 0.5% }, layout: { any: stereo } }\n"),
    )
    .await;
    assert_eq!(
        (ids(&report), the(&report, "dc_offset").channel),
        (vec!["dc_offset"], Some(1)),
        "{report:?}"
    );
    let report = inspect(&path, &spec("spec: s\nqc: { layout: { any: ['5.1'] } }\n")).await;
    assert_eq!(ids(&report), ["layout"], "{report:?}");
    let gamut = spec("spec: s\nqc: { gamut: { illegal_pixels_max: 1% } }\n");
    // Converted by the matrix that the clip is flagged with: the source's own would be another.
    let fine = "testsrc2=s=320x180:r=25:d=4,format=gbrp,gblur=sigma=4,scale=out_color_matrix=bt709:out_range=tv,format=yuv420p";
    // A quarter of the picture is redder than any red within range.
    let red = "color=c=gray:s=320x180:r=25:d=4,format=yuv420p,drawbox=w=160:h=90:t=fill:c=red,lutyuv=y='if(lt(val,100),150,val)'";
    for (name, picture, found) in [("b.mov", fine, 0.0), ("c.mov", red, 25.0)] {
        let path = studio.clip(name, picture, TONE, &[H264, PCM]);
        let report = inspect(&path, &gamut).await;
        let share = report
            .findings
            .first()
            .map_or(0.0, |finding| finding.measured.as_f64().expect("a number"));
        assert!(
            (share - found).abs() < 4.0 && report.not_measured.is_empty(),
            "{name}: {report:?}"
        );
    }
}

#[tokio::test]
async fn a_second_picture_is_judged_and_named() {
    let studio = Studio::new();
    let (first, second) = (studio.clean("a.mp4"), studio.path("b.mp4"));
    let black = with("drawbox=c=black:t=fill:enable='between(t,1,2.99)'");
    let black = studio.clip("c.mov", &black, TONE, &[H264, PCM]);
    for (other, found) in [
        (&first, vec!["streams"]),
        (&black, vec!["streams", "black"]),
    ] {
        let (a, b) = (first.to_string_lossy(), other.to_string_lossy());
        studio.ffmpeg(
            "b.mp4",
            &[
                "-i", &a, "-i", &b, "-map", "0:v", "-map", "0:a", "-map", "1:v", "-c", "copy",
            ],
        );
        let report = inspect(&second, &spec_with("qc:\n", "qc:\n  streams: {}\n")).await;
        assert_eq!(ids(&report), found, "{report:?}");
        assert!(
            report
                .findings
                .iter()
                .filter(|f| f.check == "black")
                .all(|f| f.stream == Some(2)),
            "{report:?}"
        );
    }
}

#[tokio::test]
async fn essence_survives_another_wrapper() {
    let studio = Studio::new();
    let first = studio.clean("a.mp4");
    let again = studio.ffmpeg("b.mov", &["-i", &first.to_string_lossy(), "-c", "copy"]);
    let (a, b) = (
        inspect(&first, &spec(POLICY)).await,
        inspect(&again, &spec(POLICY)).await,
    );
    assert_ne!(a.hash, b.hash);
    assert_eq!((a.essence.len(), &a.essence), (2, &b.essence));
    let other = studio.clip("c.mov", MOVING, TONE, &[H264, PCM]);
    assert_ne!(inspect(&other, &spec(POLICY)).await.essence, a.essence);
}

#[tokio::test]
async fn mediainfo_is_asked_by_field_and_its_absence_is_no_pass() {
    let studio = Studio::new();
    let path = studio.clean("a.mp4");
    let asked = |format: &str| {
        spec(&format!(
            "spec: s\nqc: {{ mediainfo: {{ facts: {{ General.Format: {format} }} }} }}\n"
        ))
    };
    assert_eq!(
        inspect(&path, &asked("MPEG-4")).await.verdict,
        Verdict::Pass
    );
    let report = inspect(&path, &asked("[MXF, QuickTime]")).await;
    assert_eq!(
        (ids(&report), the(&report, "mediainfo").measured.as_str()),
        (vec!["mediainfo"], Some("MPEG-4"))
    );
    let tools = ::qc::Tools {
        mediainfo: "no-such-mediainfo".into(),
        ..::qc::Tools::default()
    };
    let subject = MediaUnderTest {
        role: Some(Role::Master),
        ..MediaUnderTest::bare(&path)
    };
    let (spec, cancel) = (asked("MPEG-4"), tokio_util::sync::CancellationToken::new());
    let report = ::qc::inspect(&path, &subject, &spec, &tools, &cancel)
        .await
        .expect("judged");
    assert_eq!(
        (report.verdict, report.not_measured.as_slice()),
        (Verdict::ToolError, &["mediainfo".to_owned()][..])
    );
}

#[tokio::test]
async fn timecode_of_quicktime_and_mxf_is_compared_with_the_spec() {
    let studio = Studio::new();
    let clip =
        |name: &str, picture: &str, options: &[&[&str]]| studio.clip(name, picture, TONE, options);
    let ntsc = MOVING.replace("r=25", "r=30000/1001");
    let mov = clip("a.mov", MOVING, &[H264, PCM, &["-timecode", "10:00:00:00"]]);
    let mxf = clip(
        "b.mxf",
        MOVING,
        &[MPEG2, PCM, &["-timecode", "09:59:30:00"]],
    );
    let dropped = clip("c.mov", &ntsc, &[H264, PCM, &["-timecode", "01:00:00;00"]]);
    let without = clip("d.mkv", MOVING, &[H264, PCM]);
    for (path, limits, verdict) in [
        (&mov, "start: '10:00:00:00'", Verdict::Pass),
        (&mov, "start: '10:00:00:01'", Verdict::Fail),
        (&mov, "drop_frame: true", Verdict::Fail),
        (
            &mxf,
            "start: '09:59:30:00', drop_frame: false",
            Verdict::Pass,
        ),
        (&mxf, "start: '10:00:00:00'", Verdict::Fail),
        (&dropped, "start: '01:00:00;00'", Verdict::Pass),
        (&dropped, "drop_frame: false", Verdict::Fail),
        (&without, "", Verdict::ToolError),
    ] {
        let report = inspect(
            path,
            &spec(&format!("spec: s\nqc: {{ timecode: {{ {limits} }} }}\n")),
        )
        .await;
        assert_eq!(
            report.verdict,
            verdict,
            "{} {limits}: {report:?}",
            path.display()
        );
        assert!(
            ids(&report).iter().all(|id| *id == "timecode"),
            "{report:?}"
        );
    }
}

#[tokio::test]
async fn letterbox_and_pillarbox_are_blanking_and_a_black_scene_is_not() {
    let studio = Studio::new();
    let boxed =
        |size: &str, pad: &str| MOVING.replace("320x180", size) + &format!(",pad=320:180:{pad}");
    let (letterbox, pillarbox) = (boxed("320x140", "0:20"), boxed("240x180", "40:0"));
    let scene = with("drawbox=c=black:t=fill:enable='between(t,1,2.99)'");
    let night = "color=c=black:s=320x180:r=25:d=4";
    for (name, picture, limits, found, verdict) in [
        ("a.mov", MOVING, "", &[][..], Verdict::Pass),
        ("b.mov", &letterbox, "", &[(20, "lines")], Verdict::Fail),
        ("c.mov", &letterbox, "lines_max: 20", &[], Verdict::Pass),
        (
            "d.mov",
            &pillarbox,
            "lines_max: 20",
            &[(40, "columns")],
            Verdict::Fail,
        ),
        ("e.mov", &scene, "", &[], Verdict::Pass),
        ("f.mov", night, "", &[], Verdict::ToolError),
    ] {
        let path = studio.clip(name, picture, TONE, &[H264, PCM]);
        let report = inspect(
            &path,
            &spec(&format!("spec: s\nqc: {{ blanking: {{ {limits} }} }}\n")),
        )
        .await;
        let measured: Vec<_> = report
            .findings
            .iter()
            .map(|f| (f.measured.as_u64(), f.unit.as_str()))
            .collect();
        let found: Vec<_> = found.iter().map(|(n, unit)| (Some(*n), *unit)).collect();
        assert_eq!(
            (report.verdict, measured),
            (verdict, found),
            "{name}: {report:?}"
        );
    }
}
