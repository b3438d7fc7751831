//! MediaInfo and MediaConch as programs, from the policy that names them to the finding.
use super::media::*;
use ::qc::Tools;
use ::qc::{MediaUnderTest, Verdict};
use tokio_util::sync::CancellationToken;

/// A policy of MediaConch, as its own editor writes them.
const CONFORMANCE: &str = r#"<policy type="and" name="an MPEG-4 of this width">
  <rule name="the wrapper is MPEG-4" value="Format" tracktype="General" occurrence="*" operator="=">MPEG-4</rule>
  <rule name="the width is 320" value="Width" tracktype="Video" occurrence="*" operator="=">320</rule>
</policy>"#;

fn policy(conformance: &str) -> String {
    let text: String = conformance
        .lines()
        .map(|line| format!("      {line}\n"))
        .collect();
    format!("spec: s\nqc:\n  mediaconch:\n    policy: |\n{text}")
}

#[tokio::test]
async fn mediaconch_holds_its_policy_against_the_file() {
    let studio = Studio::new();
    let clean = studio.clean("a 'quoted' name.mp4");
    let report = inspect(&clean, &spec(&policy(CONFORMANCE))).await;
    assert_eq!(
        (report.verdict, ids(&report)),
        (Verdict::Pass, vec![]),
        "{report:?}"
    );

    let other = studio.clip("b.mkv", MOVING, TONE, &[H264, PCM]);
    let report = inspect(&other, &spec(&policy(CONFORMANCE))).await;
    assert_eq!(
        (report.verdict, ids(&report)),
        (Verdict::Fail, vec!["mediaconch"]),
        "{report:?}"
    );
    let told: Vec<&str> = report
        .findings
        .iter()
        .map(|finding| finding.message.as_str())
        .collect();
    assert!(
        told.iter()
            .any(|text| text.contains("the wrapper is MPEG-4") && text.contains("Matroska")),
        "{told:?}"
    );
    assert!(
        !told.iter().any(|text| text.contains("the width is 320")),
        "{told:?}"
    );
}

#[tokio::test]
async fn what_is_no_policy_or_no_program_is_no_pass() {
    let studio = Studio::new();
    let clean = studio.clean("a.mp4");
    let report = inspect(&clean, &spec(&policy("<nonsense/>"))).await;
    assert_eq!(
        (report.verdict, report.not_measured.as_slice()),
        (Verdict::ToolError, &["mediaconch".to_owned()][..])
    );
    let tools = Tools {
        mediaconch: "/nowhere/mediaconch".into(),
        ..Tools::default()
    };
    let spec = spec(&policy(CONFORMANCE));
    let report = ::qc::inspect(
        &clean,
        &MediaUnderTest::bare(&clean),
        &spec,
        &tools,
        &CancellationToken::new(),
    )
    .await;
    let report = report.expect("the file can be judged but for this");
    assert_eq!(report.not_measured, ["mediaconch"]);
    assert!(
        report.reasons["mediaconch"].contains("/nowhere/mediaconch"),
        "{report:?}"
    );
}

#[tokio::test]
async fn mediainfo_is_asked_for_the_fields_of_a_policy() {
    let studio = Studio::new();
    let clean = studio.clip("a.mxf", MOVING, TONE, &[MPEG2, PCM]);
    let of = |pattern: &str| {
        spec(&format!(
            "spec: s\nqc: {{ mediainfo: {{ facts: {{ General.Format_Profile: {pattern} }} }} }}\n"
        ))
    };
    let report = inspect(&clean, &of("OP-1a")).await;
    assert_eq!(
        (report.verdict, ids(&report)),
        (Verdict::Pass, vec![]),
        "{report:?}"
    );
    let report = inspect(&clean, &of("OP-2b")).await;
    assert_eq!(the(&report, "mediainfo").measured, "OP-1a");
}
