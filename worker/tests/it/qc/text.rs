//! Text, stills and paper: judged by what they are, never by picture and sound.
use super::media::*;
use ::qc::{MediaUnderTest, Verdict};
use protocol::media::asset::Role;

const SRT: &str = "1\n00:00:01,000 --> 00:00:02,500\nHallo\n\n2\n00:00:03,000 --> 00:00:04,000\nWelt\n";

#[tokio::test]
async fn picture_and_sound_checks_do_not_apply_to_subtitles() {
    let studio = Studio::new();
    let path = studio.path("a.srt");
    std::fs::write(&path, SRT).expect("written");
    let report = inspect_as(&path, &MediaUnderTest::bare(&path), &spec(POLICY)).await;
    assert_eq!((report.verdict, report.not_measured.len(), ids(&report)), (Verdict::Pass, 0, vec![]), "{report:?}");
}

#[tokio::test]
async fn subtitles_are_parsed_and_may_not_outlast_the_programme() {
    let studio = Studio::new();
    let path = studio.path("a.srt");
    std::fs::write(&path, SRT.replace("03,000 -->", "3 ->")).expect("written");
    std::fs::write(studio.path("b.srt"), SRT.replace("00:00:04,000", "00:00:00,500")).expect("written");
    let report = inspect_as(&studio.path("b.srt"), &MediaUnderTest::bare(&path), &spec(POLICY)).await;
    assert_eq!((report.verdict, ids(&report)), (Verdict::Fail, vec!["captions"]), "{report:?}");
    std::fs::write(&path, SRT).expect("written");
    let subject = MediaUnderTest { role: Some(Role::Caption), duration: Some(2.0), ..MediaUnderTest::bare(&path) };
    let report = inspect_as(&path, &subject, &spec(POLICY)).await;
    assert!(is_at(the(&report, "captions"), 2.0, 4.0), "{report:?}");
}

#[tokio::test]
async fn stills_and_paper_have_to_be_readable_and_not_empty() {
    let studio = Studio::new();
    let still = studio.ffmpeg("a.png", &["-f", "lavfi", "-i", "testsrc2=s=64x36:d=1", "-frames:v", "1"]);
    assert_eq!(inspect_as(&still, &MediaUnderTest::bare(&still), &spec(POLICY)).await.verdict, Verdict::Pass);
    let (broken, paper, empty) = (studio.path("b.png"), studio.path("c.pdf"), studio.path("d.pdf"));
    std::fs::write(&broken, b"not a picture").expect("written");
    std::fs::write(&paper, b"%PDF-1.4").expect("written");
    std::fs::write(&empty, b"").expect("written");
    for path in [&broken, &paper, &empty] {
        // What is paper by its name alone was not looked at.
        let report = inspect_as(path, &MediaUnderTest::bare(path), &spec(POLICY)).await;
        assert_eq!(report.verdict, Verdict::ToolError, "{report:?}");
    }
    for (path, verdict) in [(paper, Verdict::Pass), (empty, Verdict::ToolError)] {
        let declared =
            MediaUnderTest { role: Some(Role::Document), role_is_guessed: false, ..MediaUnderTest::bare(&path) };
        let report = inspect_as(&path, &declared, &spec(POLICY)).await;
        assert_eq!(report.verdict, verdict, "{report:?}");
    }
}
