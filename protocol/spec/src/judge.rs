//! From facts to a verdict: pure, so that a stored sheet can be judged again by another policy.
use crate::CHECKS;
use crate::case::{Case, CheckOutcome};
use crate::check::photosensitivity;
use crate::delivery::DeliverySpec;
use crate::facts::FactSheet;
use crate::media_under_test::MediaUnderTest;
use crate::policy::CheckEntry;
use crate::role::is_role_by_name_alone;
use protocol::media::asset::Role;
use protocol::model::qc::{Finding, Report, Severity, Verdict};
use std::collections::BTreeMap;

/// Id of the check of the streams that a file has.
const STREAMS: &str = "streams";

/// Judges a sheet by a spec.
///
/// QC-1: what the spec demands and the sheet does not hold goes to `not_measured`, and then the verdict is never a pass; it
/// is `tool_error` unless something mandatory failed anyway. Warnings alone fail nothing.
pub fn judge(facts: &FactSheet, spec: &DeliverySpec, media: &MediaUnderTest, role: Role) -> Report {
    let mut outcomes = Outcomes::default();
    if let Some(why) = &facts.unreadable {
        outcomes.reasons.insert("file".to_owned(), why.clone());
    }
    judge_file(facts, spec, media, role, &mut outcomes);
    judge_other_pictures(facts, spec, media, role, &mut outcomes);
    outcomes.drop_broken();
    let verdict = outcomes.verdict(facts);
    if verdict == Verdict::NotJudged {
        let why = format!("no check of the spec applies to a file of role {role}");
        outcomes.reasons.insert("file".to_owned(), why);
    }
    let not_applicable = outcomes.not_applicable(&demanded(spec));
    outcomes
        .findings
        .sort_by_key(|finding| finding.severity != Severity::Mandatory);
    Report {
        file: media.file.clone(),
        hash: facts.hash.clone().unwrap_or_default(),
        policy: spec.spec.clone(),
        policy_digest: spec.digest(),
        verdict,
        judged: outcomes.judged,
        not_applicable,
        notes: notes(spec, role),
        findings: outcomes.findings,
        not_measured: outcomes.not_measured,
        reasons: outcomes.reasons,
        recorded: recorded(spec, media, role),
        essence: facts
            .pass
            .as_ref()
            .map(|pass| pass.essence.clone())
            .unwrap_or_default(),
        bytes: facts.bytes,
        tools: facts.tools.clone(),
    }
}

/// Outcomes of the checks of one file.
#[derive(Default)]
struct Outcomes {
    findings: Vec<Finding>,
    /// Checks that are demanded and could not be judged.
    not_measured: Vec<String>,
    /// Checks that were made.
    judged: Vec<String>,
    /// Why, by check.
    reasons: BTreeMap<String, String>,
}

impl Outcomes {
    fn note_unmeasured(&mut self, check: &str, why: String) {
        self.judged.retain(|judged| judged != check);
        self.not_measured.push(check.to_owned());
        self.reasons.insert(check.to_owned(), why);
    }

    /// Demanded checks that were neither made nor missed.
    fn not_applicable(&self, demanded: &[&str]) -> Vec<String> {
        let has = |list: &[String], check: &str| list.iter().any(|known| known == check);
        let left = demanded
            .iter()
            .filter(|check| !has(&self.judged, check) && !has(&self.not_measured, check));
        left.map(|check| (*check).to_owned()).collect()
    }

    /// Drops findings with NaN or infinity: the measurement is worthless, and so would be a verdict.
    fn drop_broken(&mut self) {
        let is_broken = |finding: &Finding| {
            let mut edges = finding.ranges.iter().flatten();
            finding.measured.is_null() || edges.any(|edge| !edge.is_finite())
        };
        let (broken, sound): (Vec<Finding>, Vec<Finding>) = std::mem::take(&mut self.findings)
            .into_iter()
            .partition(is_broken);
        self.findings = sound;
        for finding in broken {
            self.note_unmeasured(&finding.check, "the measurement is not a number".to_owned());
        }
    }

    fn verdict(&self, facts: &FactSheet) -> Verdict {
        let failed = self
            .findings
            .iter()
            .any(|finding| finding.severity == Severity::Mandatory);
        let unknown = facts.unreadable.is_some() || !self.not_measured.is_empty();
        match (failed, unknown) {
            (true, _) => Verdict::Fail,
            (false, true) => Verdict::ToolError,
            (false, false) if self.judged.is_empty() => Verdict::NotJudged,
            (false, false) => Verdict::Pass,
        }
    }
}

/// Runs every check on the file and its first picture.
fn judge_file(
    facts: &FactSheet,
    spec: &DeliverySpec,
    media: &MediaUnderTest,
    role: Role,
    outcomes: &mut Outcomes,
) {
    let all = case(facts, spec, media, role);
    // QC-1: a name is no measurement, so it cannot make a demanded check inapplicable.
    let by_name = is_role_by_name_alone(media, role, facts);
    let unmeasured = if by_name { demanded(spec) } else { Vec::new() };
    for check in &CHECKS {
        match (check.judge)(&of_check(&all, check, spec)) {
            CheckOutcome::NotApplicable if unmeasured.contains(&check.id) => {
                let why = format!(
                    "only its name says that it is of role {role}: declare the role, or exclude the file"
                );
                outcomes.note_unmeasured(check.id, why);
            }
            CheckOutcome::NotApplicable => {}
            // The outcome of a check on an unreadable file is not about the media.
            CheckOutcome::Judged(_) | CheckOutcome::NotMeasured(_)
                if facts.unreadable.is_some() =>
            {
                outcomes.not_measured.push(check.id.to_owned());
            }
            CheckOutcome::Judged(found) => {
                outcomes.judged.push(check.id.to_owned());
                outcomes.findings.extend(found);
            }
            CheckOutcome::NotMeasured(why) => outcomes.note_unmeasured(check.id, why),
        }
    }
}

/// What a verdict on a file of this role does not cover.
fn notes(spec: &DeliverySpec, role: Role) -> Vec<String> {
    let uncovered = !spec.components.is_empty() && spec.component(role).is_none();
    let note = uncovered.then(|| {
        format!(
            "the spec has no component of role {role}: picture and sound format are not checked"
        )
    });
    note.into_iter().collect()
}

/// Ids of the checks that a spec demands of some file. A component demands its streams.
fn demanded(spec: &DeliverySpec) -> Vec<&'static str> {
    let mut demanded = spec.qc.demanded();
    let streams = spec
        .components
        .iter()
        .any(|component| component.video.is_some() || component.wants_sound());
    if streams && !demanded.contains(&STREAMS) {
        demanded.push(STREAMS);
    }
    demanded
}

/// Every picture stream of a file is judged as the first one is; a finding names the stream.
fn judge_other_pictures(
    facts: &FactSheet,
    spec: &DeliverySpec,
    media: &MediaUnderTest,
    role: Role,
    outcomes: &mut Outcomes,
) {
    if facts.unreadable.is_some() || !role.has_picture() {
        return;
    }
    for n in 0..facts.other_video.len() {
        let Some(sheet) = facts.of_other_picture(n) else {
            continue;
        };
        let stream = sheet.video.as_ref().map(|video| video.index);
        let all = case(&sheet, spec, media, role);
        for check in CHECKS.iter().filter(|check| check.is_of_each_picture()) {
            match (check.judge)(&of_check(&all, check, spec)) {
                CheckOutcome::NotApplicable => {}
                CheckOutcome::NotMeasured(why) => {
                    if !outcomes.not_measured.iter().any(|known| known == check.id) {
                        outcomes.note_unmeasured(check.id, why);
                    }
                }
                CheckOutcome::Judged(found) => outcomes.findings.extend(
                    found
                        .into_iter()
                        .map(|finding| Finding { stream, ..finding }),
                ),
            }
        }
    }
}

/// What the source declares about checks that cannot be measured.
fn recorded(spec: &DeliverySpec, media: &MediaUnderTest, role: Role) -> BTreeMap<String, String> {
    let asked = spec.qc.photosensitivity.is_some() && role.has_picture();
    let certificate = photosensitivity::certificate(media).filter(|_| asked);
    let recorded = certificate.map(|number| {
        format!("certificate {number}, as declared by the source; not measured here")
    });
    recorded
        .map(|text| ("photosensitivity".to_owned(), text))
        .into_iter()
        .collect()
}

/// The input of every check of these facts.
fn case<'a>(
    facts: &'a FactSheet,
    spec: &'a DeliverySpec,
    media: &'a MediaUnderTest,
    role: Role,
) -> Case<'a> {
    let component = spec.component(role);
    let others_bring_it = role != Role::Audio && spec.component(Role::Audio).is_some();
    let separate_sound = others_bring_it && component.is_some_and(|c| !c.wants_sound());
    Case {
        facts,
        demands: &spec.qc,
        component,
        media,
        role,
        separate_sound,
        check: "",
        severity: Severity::default(),
    }
}

/// The same for one check, whose findings have its id and severity.
fn of_check<'a>(case: &Case<'a>, check: &CheckEntry, spec: &DeliverySpec) -> Case<'a> {
    Case {
        check: check.id,
        severity: spec.qc.severity(check.id),
        ..*case
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{
        AudioPass, AudioStream, Container, MediaConch, MediaInfo, Pass, Structure, TimedText,
        VideoPass, VideoStream,
    };
    use crate::measure::levels::Levels;
    use crate::measure::loudness_curve::{Curve, Peak};
    use crate::measure::scan::Scan;
    use crate::stretch::Stretch;
    use crate::value::{FieldOrder, FrameRate, Ratio};

    const SPEC: &str = "
spec: s
components:
  - role: master
    video: { codec: h264, profile: High, width: 1920, height: 1080, frame_rate: 25, field_order: progressive, range: tv,
             matrix: bt709, aspect: 16:9, sar: 1:1, pix_fmt: yuv420p, bit_depth: 8 }
    audio: { codec: aac, channels: 2, sample_rate: 48000 }
qc:
  container: { any: mp4 }
  decode: {}
  duration: {}
  av_length: {}
  black: { longest: 0.5s }
  freeze: { longest: 1s }
  silence: { longest: 1s, per_channel: true }
  loudness: { target: -23LUFS }
  true_peak: { max: -1dBTP }
  phase: {}
  levels: { illegal_pixels_max: 1% }
  naming: { pattern: '[a-z]+\\.mp4' }
  checksum: {}
  gamut: { illegal_pixels_max: 1% }
  loudness_range: { max: 20LU }
  short_term: { max: -18LUFS }
  momentary: { max: -15LUFS }
  dc_offset: { max: 0.1% }
  layout: { any: stereo }
  streams: { audio: 1 }
  mediainfo: { facts: { General.Format: MPEG-4 } }
  mediaconch: { policy: <policy/> }
  photosensitivity: {}
";

    fn spec() -> DeliverySpec {
        protocol::yaml::read("s.yaml", SPEC).unwrap_or_else(|problem| panic!("{problem}"))
    }

    fn spec_with(from: &str, to: &str) -> DeliverySpec {
        assert!(SPEC.contains(from), "{from}");
        protocol::yaml::read("s.yaml", &SPEC.replace(from, to))
            .unwrap_or_else(|problem| panic!("{problem}"))
    }

    fn subject() -> MediaUnderTest {
        let declared_hash = Some(format!("xxh128:{}", "0".repeat(32)));
        let meta = [("pse_certificate".to_owned(), "H-1".to_owned())].into();
        MediaUnderTest {
            file: "dir/clip.mp4".into(),
            duration: Some(10.0),
            declared_hash,
            meta,
            ..MediaUnderTest::default()
        }
    }

    /// A sheet that satisfies the spec.
    fn clean() -> FactSheet {
        let rate = FrameRate::reduced(25, 1);
        let one = |text: &str| Some(text.to_owned());
        let video = VideoStream {
            codec: "h264".into(),
            profile: one("High"),
            width: 1920,
            height: 1080,
            sar: Some(Ratio { num: 1, den: 1 }),
            pix_fmt: one("yuv420p"),
            range: one("tv"),
            matrix: one("bt709"),
            field_order: Some(FieldOrder::Progressive),
            base_rate: rate,
            average_rate: rate,
            ..VideoStream::default()
        };
        let seen = VideoPass {
            frames: 250,
            end: 10.0,
            scan: Some(Scan {
                progressive: 250,
                decided: 250,
                ..Scan::default()
            }),
            black: Some(vec![]),
            freeze: Some(vec![]),
            levels: Some(Levels::default()),
            gamut: Some(Levels::default()),
            ..VideoPass::default()
        };
        let heard = AudioPass {
            streams: vec![1],
            first_channel: 1,
            channels: 2,
            end: 10.0,
            seconds: 10.0,
            silence: Some(vec![vec![], vec![]]),
            rms: Some(vec![Some(-26.0), Some(-26.0)]),
            dc_offset: Some(vec![Some(0.0), Some(0.0)]),
            loudness: Some(-23.0),
            loudness_range: Some(5.0),
            short_term: Some(Peak {
                at: 4.0,
                value: -20.0,
            }),
            momentary: Some(Peak {
                at: 4.0,
                value: -18.0,
            }),
            curve: Curve::default(),
            true_peak: Some(-20.0),
            out_of_phase: Some(vec![]),
        };
        FactSheet {
            bytes: 1,
            hash: Some(format!("xxh128:{}", "0".repeat(32))),
            declared_hash: Some(format!("xxh128:{}", "0".repeat(32))),
            container: Some(Container {
                names: vec!["mp4".into()],
                duration: Some(10.0),
                ..Container::default()
            }),
            video: Some(video),
            audio: vec![AudioStream {
                index: 1,
                codec: "aac".into(),
                channels: 2,
                layout: one("stereo"),
                sample_rate: 48_000,
                ..Default::default()
            }],
            structure: Structure::Whole,
            pass: Some(Pass {
                video: Some(seen),
                audio: vec![heard],
                ..Pass::default()
            }),
            mediainfo: Some(MediaInfo {
                trouble: None,
                facts: [("General.Format".to_owned(), "MPEG-4".to_owned())].into(),
            }),
            mediaconch: Some(MediaConch {
                policy: "<policy/>".into(),
                ..MediaConch::default()
            }),
            ..FactSheet::default()
        }
    }

    fn video(facts: &mut FactSheet) -> &mut VideoStream {
        facts.video.as_mut().expect("there")
    }

    fn seen(facts: &mut FactSheet) -> &mut VideoPass {
        facts
            .pass
            .as_mut()
            .and_then(|pass| pass.video.as_mut())
            .expect("there")
    }

    fn heard(facts: &mut FactSheet) -> &mut AudioPass {
        facts
            .pass
            .as_mut()
            .and_then(|pass| pass.audio.first_mut())
            .expect("there")
    }

    /// A second picture stream like the first one, changed.
    fn other(facts: &mut FactSheet, change: fn(&mut VideoStream)) {
        let mut stream = VideoStream {
            index: 7,
            ..facts.video.clone().expect("there")
        };
        change(&mut stream);
        facts.other_video.push(stream);
        let pass = facts.pass.as_mut().expect("there");
        pass.other_video.push(pass.video.clone());
    }

    fn other_seen(facts: &mut FactSheet, change: fn(VideoPass) -> Option<VideoPass>) {
        other(facts, |_| ());
        let pass = facts.pass.as_mut().expect("there");
        pass.other_video = vec![change(pass.video.clone().expect("there"))];
    }

    fn stretch(start: f64, end: f64) -> Option<Vec<Stretch>> {
        Some(vec![Stretch { start, end }])
    }

    /// A change to a clean sheet that one check must find.
    type Fault = (&'static str, fn(&mut FactSheet));

    const FAULTS: [Fault; 35] = [
        ("container", |f| {
            f.container.as_mut().expect("there").names = vec!["mxf".into()]
        }),
        ("codec", |f| video(f).codec = "mpeg4".into()),
        ("codec", |f| video(f).profile = Some("Main".into())),
        ("codec", |f| f.audio[0].codec = "mp3".into()),
        ("resolution", |f| {
            (video(f).width, video(f).height) = (1280, 720)
        }),
        ("aspect", |f| video(f).sar = Some(Ratio { num: 4, den: 3 })),
        ("frame_rate", |f| {
            (video(f).base_rate, video(f).average_rate) = (FrameRate::reduced(24, 1), None)
        }),
        ("frame_rate", |f| {
            (seen(f).odd_frames, seen(f).jitter) = (9, 0.4)
        }),
        ("field_order", |f| {
            video(f).field_order = Some(FieldOrder::Tff)
        }),
        ("field_order", |f| {
            seen(f).scan = Some(Scan {
                tff: 250,
                decided: 250,
                ..Scan::default()
            })
        }),
        ("color", |f| video(f).range = Some("pc".into())),
        ("color", |f| video(f).matrix = Some("smpte170m".into())),
        ("color", |f| video(f).pix_fmt = Some("yuv422p10le".into())),
        ("levels", |f| {
            seen(f).levels = Some(Levels {
                share: 0.02,
                pictures: vec![(1.0, 0.02)],
            })
        }),
        ("duration", |f| (seen(f).end, heard(f).end) = (9.9, 9.9)),
        ("av_length", |f| heard(f).end = 8.0),
        ("decode", |f| f.pass.as_mut().expect("there").errors = 1),
        ("truncated", |f| {
            f.structure = Structure::Truncated("no footer".into())
        }),
        ("black", |f| seen(f).black = stretch(1.0, 1.6)),
        ("freeze", |f| seen(f).freeze = stretch(1.0, 2.2)),
        ("silence", |f| {
            heard(f).silence = Some(vec![
                vec![Stretch {
                    start: 1.0,
                    end: 2.5
                }];
                2
            ])
        }),
        ("dead_channel", |f| {
            heard(f).rms = Some(vec![Some(-26.0), None])
        }),
        ("loudness", |f| heard(f).loudness = Some(-24.1)),
        ("true_peak", |f| heard(f).true_peak = Some(-0.9)),
        ("phase", |f| heard(f).out_of_phase = stretch(0.0, 2.1)),
        ("checksum", |f| {
            f.declared_hash = Some(format!("xxh128:{}", "1".repeat(32)))
        }),
        ("gamut", |f| {
            seen(f).gamut = Some(Levels {
                share: 0.02,
                pictures: vec![(1.0, 0.02)],
            })
        }),
        ("loudness_range", |f| heard(f).loudness_range = Some(20.1)),
        ("short_term", |f| {
            heard(f).short_term = Some(Peak {
                at: 5.0,
                value: -17.9,
            })
        }),
        ("momentary", |f| {
            heard(f).momentary = Some(Peak {
                at: 5.0,
                value: -14.9,
            })
        }),
        ("dc_offset", |f| {
            heard(f).dc_offset = Some(vec![Some(0.0), Some(-0.002)])
        }),
        ("layout", |f| f.audio[0].layout = Some("5.1".into())),
        ("streams", |f| other(f, |_| ())),
        ("mediainfo", |f| {
            f.mediainfo.as_mut().expect("there").facts.clear()
        }),
        ("mediaconch", |f| {
            f.mediaconch.as_mut().expect("there").failed = vec!["a rule".into()]
        }),
    ];

    #[test]
    fn each_fault_is_found_by_its_check_and_by_no_other() {
        let spec = spec();
        let clean_report = judge(&clean(), &spec, &subject(), Role::Master);
        assert_eq!(
            (clean_report.verdict, clean_report.findings.len()),
            (Verdict::Pass, 0),
            "{clean_report:?}"
        );
        for (check, spoil) in FAULTS {
            let mut facts = clean();
            spoil(&mut facts);
            let report = judge(&facts, &spec, &subject(), Role::Master);
            assert_eq!(report.verdict, Verdict::Fail, "{check}: {report:?}");
            assert!(
                report.findings.iter().all(|f| f.check == check),
                "{check}: {report:?}"
            );
        }
        let named = MediaUnderTest {
            file: "dir/Clip 1.mp4".into(),
            ..subject()
        };
        assert_eq!(
            judge(&clean(), &spec, &named, Role::Master).failed_checks(),
            ["naming"]
        );
    }

    /// Measurements taken away one by one: QC-1 says that none of them may leave a pass behind.
    const GAPS: [Fault; 23] = [
        ("container", |f| f.container = None),
        ("frame_rate", |f| {
            (video(f).base_rate, video(f).average_rate) = (None, None)
        }),
        ("field_order", |f| {
            (video(f).field_order, seen(f).scan) = (None, None)
        }),
        ("color", |f| video(f).matrix = None),
        ("levels", |f| seen(f).levels = None),
        ("black", |f| seen(f).black = None),
        ("freeze", |f| seen(f).freeze = None),
        ("silence", |f| heard(f).silence = None),
        ("dead_channel", |f| heard(f).rms = None),
        ("loudness", |f| heard(f).loudness = None),
        ("true_peak", |f| heard(f).true_peak = None),
        ("phase", |f| heard(f).out_of_phase = None),
        ("checksum", |f| f.declared_hash = None),
        ("decode", |f| f.pass = None),
        ("gamut", |f| seen(f).gamut = None),
        ("loudness_range", |f| heard(f).loudness_range = None),
        ("short_term", |f| heard(f).short_term = None),
        ("momentary", |f| heard(f).seconds = 0.3),
        ("dc_offset", |f| {
            heard(f).dc_offset = Some(vec![Some(0.0), None])
        }),
        ("layout", |f| f.audio[0].layout = None),
        ("mediainfo", |f| {
            f.mediainfo.as_mut().expect("there").trouble = Some("no such program".into())
        }),
        ("mediaconch", |f| {
            f.mediaconch.as_mut().expect("there").policy = "<another/>".into()
        }),
        ("mediaconch", |f| f.mediaconch = None),
    ];

    #[test]
    fn what_was_not_measured_is_never_a_pass() {
        for (check, lose) in GAPS {
            let mut facts = clean();
            lose(&mut facts);
            let report = judge(&facts, &spec(), &subject(), Role::Master);
            assert_eq!(report.verdict, Verdict::ToolError, "{check}: {report:?}");
            assert!(
                report.not_measured.iter().any(|id| id == check)
                    && report.reasons.contains_key(check),
                "{report:?}"
            );
        }
        let mut facts = clean();
        facts.pass.as_mut().expect("there").broken = Some("a filter failed".into());
        let report = judge(&facts, &spec(), &subject(), Role::Master);
        assert_eq!(report.verdict, Verdict::ToolError, "{report:?}");
    }

    #[test]
    fn a_number_that_is_none_is_a_tool_error() {
        for value in [f64::NAN, f64::INFINITY] {
            let mut facts = clean();
            heard(&mut facts).true_peak = Some(value);
            heard(&mut facts).loudness = Some(-value);
            let report = judge(&facts, &spec(), &subject(), Role::Master);
            assert_eq!(
                (report.verdict, report.findings.len()),
                (Verdict::ToolError, 0),
                "{report:?}"
            );
        }
    }

    #[test]
    fn every_picture_stream_is_judged() {
        let spec = spec_with("streams: { audio: 1 }", "streams: { video: 2 }");
        let mut facts = clean();
        other(&mut facts, |_| ());
        assert_eq!(
            judge(&facts, &spec, &subject(), Role::Master).verdict,
            Verdict::Pass
        );
        other_seen(&mut facts, |seen| {
            Some(VideoPass {
                black: stretch(1.0, 3.0),
                ..seen
            })
        });
        facts.other_video.truncate(1);
        facts.other_video[0].codec = "mpeg4".into();
        let report = judge(&facts, &spec, &subject(), Role::Master);
        let found: Vec<_> = report
            .findings
            .iter()
            .map(|f| (f.check.as_str(), f.stream))
            .collect();
        assert_eq!(
            found,
            [("codec", Some(7)), ("black", Some(7))],
            "{report:?}"
        );
        facts.pass.as_mut().expect("there").other_video = vec![None];
        let report = judge(&facts, &spec, &subject(), Role::Master);
        assert!(
            report.not_measured.contains(&"black".to_owned()),
            "{report:?}"
        );
        assert!(
            report.failed_checks().contains(&"decode".to_owned()),
            "{report:?}"
        );
    }

    #[test]
    fn what_no_machine_here_can_measure_says_so_and_is_never_a_pass() {
        let gated = spec_with("target: -23LUFS", "target: -27LUFS, gate: dialogue");
        let report = judge(&clean(), &gated, &subject(), Role::Master);
        assert_eq!(report.verdict, Verdict::ToolError);
        assert!(
            report.reasons["loudness"].starts_with("not_measurable"),
            "{report:?}"
        );
        let report = judge(
            &clean(),
            &spec_with("photosensitivity: {}", "slate: {}"),
            &subject(),
            Role::Master,
        );
        assert_eq!(
            (report.verdict, report.recorded.len()),
            (Verdict::ToolError, 0)
        );
        let report = judge(&clean(), &spec(), &subject(), Role::Master);
        assert!(
            report.recorded["photosensitivity"].contains("H-1"),
            "{report:?}"
        );
        let undeclared = MediaUnderTest {
            meta: BTreeMap::new(),
            ..subject()
        };
        let report = judge(&clean(), &spec(), &undeclared, Role::Master);
        assert_eq!(
            (report.verdict, report.not_measured.as_slice()),
            (Verdict::ToolError, &["photosensitivity".to_owned()][..])
        );
    }

    #[test]
    fn master_without_picture_fails_whatever_is_asked() {
        let silent = |facts: &mut FactSheet| {
            facts.video = None;
            facts.pass.as_mut().expect("there").video = None;
        };
        let mut facts = clean();
        silent(&mut facts);
        for qc in [
            "decode: {}",
            "container: { any: mp4 }, black: { longest: 1s }",
            "streams: {}",
            "",
        ] {
            let spec: DeliverySpec =
                protocol::yaml::read("s", &format!("spec: s\nqc: {{ {qc} }}\n"))
                    .unwrap_or_else(|e| panic!("{e}"));
            for role in [Role::Master, Role::Mezzanine, Role::Proxy] {
                let report = judge(&facts, &spec, &subject(), role);
                assert_eq!(
                    (report.verdict, report.failed_checks()),
                    (Verdict::Fail, vec!["streams".to_owned()]),
                    "{qc}"
                );
            }
            assert!(
                !judge(&facts, &spec, &subject(), Role::Audio)
                    .failed_checks()
                    .contains(&"streams".to_owned())
            );
        }
        let radio: DeliverySpec =
            protocol::yaml::read("s", "spec: s\nqc: { streams: { video: 0 } }\n").expect("valid");
        assert_eq!(
            judge(&facts, &radio, &subject(), Role::Master).verdict,
            Verdict::Pass
        );
    }

    #[test]
    fn guessed_document_is_no_pass_where_checks_are_demanded() {
        let facts = FactSheet {
            bytes: 3,
            hash: clean().hash,
            ..FactSheet::default()
        };
        let guessed = MediaUnderTest {
            role_is_guessed: true,
            ..subject()
        };
        let spec: DeliverySpec =
            protocol::yaml::read("s", "spec: s\nqc: { decode: {}, captions: {} }\n")
                .expect("valid");
        let report = judge(&facts, &spec, &guessed, Role::Document);
        let demanded = ["decode".to_owned(), "captions".to_owned()];
        assert_eq!(
            (report.verdict, report.not_measured.as_slice()),
            (Verdict::ToolError, &demanded[..])
        );
        // A document that the source declares is reviewed by people.
        assert_eq!(
            judge(&facts, &spec, &subject(), Role::Document).verdict,
            Verdict::NotJudged
        );
    }

    #[test]
    fn role_by_name_alone_turns_no_demanded_check_into_a_pass() {
        let guessed = MediaUnderTest {
            role_is_guessed: true,
            ..subject()
        };
        let bare = FactSheet {
            bytes: 3,
            hash: clean().hash,
            ..FactSheet::default()
        };
        let text = |cues| FactSheet {
            text: Some(TimedText {
                cues,
                ..TimedText::default()
            }),
            ..bare.clone()
        };
        let still = FactSheet {
            video: Some(VideoStream {
                width: 64,
                height: 36,
                ..VideoStream::default()
            }),
            ..bare.clone()
        };
        let read = |text: &str| -> DeliverySpec { protocol::yaml::read("s", text).expect("valid") };
        let by_check =
            read("spec: s\nqc: { black: { longest: 1s }, captions: { severity: warning } }\n");
        let by_component =
            read("spec: s\ncomponents: [{ role: master, video: { codec: h264 } }]\n");
        for spec in [by_check, by_component] {
            for (role, facts) in [
                (Role::Document, &bare),
                (Role::Artwork, &bare),
                (Role::Subtitle, &text(0)),
            ] {
                let report = judge(facts, &spec, &guessed, role);
                assert_eq!(report.verdict, Verdict::ToolError, "{role}: {report:?}");
                assert!(report.summary().contains("declare the role"), "{report:?}");
                // A role that the source declares is the source's responsibility.
                assert_ne!(
                    judge(facts, &spec, &subject(), role).verdict,
                    Verdict::ToolError,
                    "{role}"
                );
            }
            // The content shows that these are what their names say.
            for (role, facts) in [(Role::Artwork, &still), (Role::Subtitle, &text(2))] {
                let report = judge(facts, &spec, &guessed, role);
                let expected = match report.judged.is_empty() {
                    true => Verdict::NotJudged,
                    false => Verdict::Pass,
                };
                assert_eq!(report.verdict, expected, "{role}: {report:?}");
            }
        }
        assert_eq!(
            judge(&bare, &read("spec: s\n"), &guessed, Role::Document).verdict,
            Verdict::NotJudged
        );
    }

    #[test]
    fn report_names_the_checks_made_those_that_do_not_apply_and_what_is_not_covered() {
        let report = judge(&clean(), &spec(), &subject(), Role::Master);
        assert!(report.judged.contains(&"black".to_owned()), "{report:?}");
        assert!(
            report.not_applicable.is_empty() && report.notes.is_empty(),
            "{report:?}"
        );
        let report = judge(&clean(), &spec(), &subject(), Role::Mezzanine);
        assert!(
            report
                .notes
                .iter()
                .any(|note| note.contains("no component of role mezzanine")),
            "{report:?}"
        );
        let paper = FactSheet {
            bytes: 3,
            hash: clean().hash,
            ..FactSheet::default()
        };
        let black: DeliverySpec =
            protocol::yaml::read("s", "spec: s\nqc: { black: { longest: 1s } }\n").expect("valid");
        let report = judge(&paper, &black, &subject(), Role::Document);
        assert_eq!(
            (
                report.verdict,
                report.not_applicable.as_slice(),
                report.judged.len()
            ),
            (Verdict::NotJudged, &["black".to_owned()][..], 0)
        );
        assert!(
            report.reasons["file"].contains("role document"),
            "{report:?}"
        );
    }

    #[test]
    fn a_freeze_is_judged_without_its_black_part() {
        let mut facts = clean();
        seen(&mut facts).freeze = stretch(1.0, 5.0);
        seen(&mut facts).black = stretch(1.04, 2.96);
        let report = judge(&facts, &spec(), &subject(), Role::Master);
        let freeze = report
            .findings
            .iter()
            .find(|f| f.check == "freeze")
            .expect("the rest is still too long");
        assert!(freeze.ranges[0][0] > 2.9 && report.findings.iter().any(|f| f.check == "black"));
    }

    #[test]
    fn the_json_has_the_published_shape() {
        let mut facts = clean();
        seen(&mut facts).black = stretch(3.0, 4.99);
        let json =
            serde_json::to_value(judge(&facts, &spec(), &subject(), Role::Master)).expect("writes");
        for key in [
            "file",
            "hash",
            "policy",
            "verdict",
            "findings",
            "not_measured",
        ] {
            assert!(json.get(key).is_some(), "{key}");
        }
        let finding = &json["findings"][0];
        assert_eq!(
            (&finding["check"], &finding["severity"], &finding["unit"]),
            (&"black".into(), &"mandatory".into(), &"s".into())
        );
        assert_eq!(
            (&finding["measured"], &finding["limit"]),
            (&1.99.into(), &0.5.into())
        );
        assert_eq!(finding["ranges"], serde_json::json!([[3.0, 4.99]]));
    }
}
