//! Text, stills and paper: judged by what they are, never by picture and sound.
use super::media::*;
use ::qc::{MediaUnderTest, Verdict};
use protocol::media::asset::Role;

const SRT: &str =
    "1\n00:00:01,000 --> 00:00:02,500\nHallo\n\n2\n00:00:03,000 --> 00:00:04,000\nWelt\n";

#[tokio::test]
async fn picture_and_sound_checks_do_not_apply_to_subtitles() {
    let studio = Studio::new();
    let path = studio.path("a.srt");
    std::fs::write(&path, SRT).expect("written");
    let report = inspect_as(&path, &MediaUnderTest::bare(&path), &spec(POLICY)).await;
    assert_eq!(
        (report.verdict, report.not_measured.len(), ids(&report)),
        (Verdict::Pass, 0, vec![]),
        "{report:?}"
    );
}

#[tokio::test]
async fn subtitles_are_parsed_and_may_not_outlast_the_programme() {
    let studio = Studio::new();
    let path = studio.path("a.srt");
    std::fs::write(&path, SRT.replace("03,000 -->", "3 ->")).expect("written");
    std::fs::write(
        studio.path("b.srt"),
        SRT.replace("00:00:04,000", "00:00:00,500"),
    )
    .expect("written");
    let report = inspect_as(
        &studio.path("b.srt"),
        &MediaUnderTest::bare(&path),
        &spec(POLICY),
    )
    .await;
    assert_eq!(
        (report.verdict, ids(&report)),
        (Verdict::Fail, vec!["captions"]),
        "{report:?}"
    );
    std::fs::write(&path, SRT).expect("written");
    let subject = MediaUnderTest {
        role: Some(Role::Caption),
        duration: Some(2.0),
        ..MediaUnderTest::bare(&path)
    };
    let report = inspect_as(&path, &subject, &spec(POLICY)).await;
    assert!(is_at(the(&report, "captions"), 2.0, 4.0), "{report:?}");
}

#[tokio::test]
async fn stills_and_paper_have_to_be_readable_and_not_empty() {
    let studio = Studio::new();
    let still = studio.ffmpeg(
        "a.png",
        &[
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=64x36:d=1",
            "-frames:v",
            "1",
        ],
    );
    assert_eq!(
        inspect_as(&still, &MediaUnderTest::bare(&still), &spec(POLICY))
            .await
            .verdict,
        Verdict::NotJudged,
        "it can be read, and no check applies to it"
    );
    let (broken, paper, empty) = (
        studio.path("b.png"),
        studio.path("c.pdf"),
        studio.path("d.pdf"),
    );
    std::fs::write(&broken, b"not a picture").expect("written");
    std::fs::write(&paper, b"%PDF-1.4").expect("written");
    std::fs::write(&empty, b"").expect("written");
    for path in [&broken, &paper, &empty] {
        // What is paper by its name alone was not looked at.
        let report = inspect_as(path, &MediaUnderTest::bare(path), &spec(POLICY)).await;
        assert_eq!(report.verdict, Verdict::ToolError, "{report:?}");
    }
    for (path, verdict) in [(paper, Verdict::NotJudged), (empty, Verdict::ToolError)] {
        let declared = MediaUnderTest {
            role: Some(Role::Document),
            role_is_guessed: false,
            ..MediaUnderTest::bare(&path)
        };
        let report = inspect_as(&path, &declared, &spec(POLICY)).await;
        assert_eq!(report.verdict, verdict, "{report:?}");
    }
}

/// Names that claim that there is neither picture nor sound.
const OTHER_NAMES: [&str; 6] = [
    "movie.jpg",
    "movie.pdf",
    "movie.txt",
    "movie.srt",
    "movie.unknown",
    "movie",
];

/// A role by a file's name, as a listing infers it.
fn inferred(path: &std::path::Path, role: Role) -> MediaUnderTest {
    MediaUnderTest {
        role: Some(role),
        role_is_guessed: true,
        ..MediaUnderTest::bare(path)
    }
}

#[tokio::test]
async fn media_under_another_name_is_judged_as_media() {
    let studio = Studio::new();
    let black = studio.clip(
        "black.mp4",
        "color=black:s=320x180:r=25:d=3",
        TONE,
        &[H264, AAC],
    );
    let clean = studio.clean("clean.mp4");
    let spec = spec(
        "spec: s\nqc: { black: { longest: 0.5s }, decode: {}, truncated: {}, captions: { severity: warning } }\n",
    );
    for name in OTHER_NAMES {
        let path = studio.path(name);
        for (media, verdict) in [(&black, Verdict::Fail), (&clean, Verdict::Pass)] {
            std::fs::copy(media, &path).expect("copied");
            let mut roles = vec![MediaUnderTest::bare(&path)];
            roles.extend(
                [Role::Artwork, Role::Document, Role::Subtitle, Role::Audio]
                    .map(|role| inferred(&path, role)),
            );
            for subject in roles {
                let report = inspect_as(&path, &subject, &spec).await;
                assert_eq!(
                    report.verdict, verdict,
                    "{name} as {:?}: {report:?}",
                    subject.role
                );
                assert!(report.not_measured.is_empty(), "{report:?}");
            }
        }
        // A source that declares paper answers for it.
        let declared = MediaUnderTest {
            role: Some(Role::Document),
            role_is_guessed: false,
            ..MediaUnderTest::bare(&path)
        };
        assert_eq!(
            inspect_as(&path, &declared, &spec).await.verdict,
            Verdict::NotJudged
        );
    }
}

#[tokio::test]
async fn pictures_that_play_are_no_stills_by_their_name() {
    let studio = Studio::new();
    let spec = spec("spec: s\nqc: { black: { longest: 0.1s } }\n");
    let black = "color=black:s=64x36:r=5:d=2";
    for (made, options) in [
        ("a.gif", &[][..]),
        ("b.mjpeg", &["-f", "mjpeg"]),
        ("c.apng", &["-f", "apng"]),
    ] {
        let path = studio.ffmpeg(made, &[&["-f", "lavfi", "-i", black][..], options].concat());
        let report = inspect_as(&path, &inferred(&path, Role::Artwork), &spec).await;
        assert_eq!(
            (report.verdict, ids(&report)),
            (Verdict::Fail, vec!["black"]),
            "{made}: {report:?}"
        );
        let still = studio.ffmpeg(
            &format!("one-{made}"),
            &[&["-f", "lavfi", "-i", black, "-frames:v", "1"][..], options].concat(),
        );
        let report = inspect_as(&still, &inferred(&still, Role::Artwork), &spec).await;
        assert_eq!(report.verdict, Verdict::NotJudged, "{made}: {report:?}");
    }
    // A still under the name of paper confirms nothing.
    let still = studio.ffmpeg("d.png", &["-f", "lavfi", "-i", black, "-frames:v", "1"]);
    let paper = studio.path("d.doc");
    std::fs::copy(still, &paper).expect("copied");
    let report = inspect_as(&paper, &inferred(&paper, Role::Document), &spec).await;
    assert_eq!(
        (report.verdict, report.not_measured),
        (Verdict::ToolError, vec!["black".to_owned()])
    );
}
