//! Pictures for the person who decides: a still at each finding, and the sound as a waveform.
use super::media::{self, Media};
use super::scratch::Scratch;
use super::still::still;
use super::tool::Run;
use crate::Tools;
use base64::Engine;
use protocol::model::qc::{Finding, Picture, Report, Severity};
use spec::{CHECKS, Scope};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Stills of one file at most.
const STILLS_MAX: usize = 4;
/// All pictures of a file together must not hold up its unit.
const TIMEOUT: Duration = Duration::from_secs(60);
/// A waveform is a few kilobytes.
const BYTES_MAX: usize = 256 << 10;

/// Pictures of what fails a file: a still from the middle of the first stretch of each check, and the waveform of the first
/// sound stream when its sound is to blame. Pictures that cannot be made in time are left out.
pub async fn pictures(
    media: &Media,
    report: &Report,
    tools: &Tools,
    cancel: &CancellationToken,
) -> Vec<Picture> {
    let mut made = Vec::new();
    let making = async {
        for (check, at) in moments(&report.findings) {
            if let Some(jpeg) = still(media, at, tools, cancel).await {
                made.push(picture("still", Some(check), Some(at), "image/jpeg", &jpeg));
            }
        }
        if report.findings.iter().any(is_of_sound)
            && let Some(png) = waveform(media, tools, cancel).await
        {
            made.push(picture("waveform", None, None, "image/png", &png));
        }
    };
    // What was made before the time was up is kept.
    tokio::time::timeout(TIMEOUT, making).await.ok();
    made
}

fn picture(
    kind: &str,
    check: Option<&str>,
    at: Option<f64>,
    media_type: &str,
    bytes: &[u8],
) -> Picture {
    let image = base64::engine::general_purpose::STANDARD.encode(bytes);
    Picture {
        kind: kind.to_owned(),
        check: check.map(str::to_owned),
        at,
        media_type: media_type.to_owned(),
        image,
    }
}

/// Whether a finding is about the sound: a still shows nothing of it.
fn is_of_sound(finding: &Finding) -> bool {
    CHECKS
        .iter()
        .any(|check| check.scope == Scope::Sound && check.id == finding.check)
}

/// Where to look: once a check, at what fails the file and has a time.
fn moments(findings: &[Finding]) -> Vec<(&str, f64)> {
    let mut moments: Vec<(&str, f64)> = Vec::new();
    for finding in findings
        .iter()
        .filter(|finding| finding.severity == Severity::Mandatory)
    {
        let sound = is_of_sound(finding);
        let known = moments.iter().any(|(check, _)| *check == finding.check);
        if let (Some([start, end]), false, false) = (finding.ranges.first(), known, sound) {
            moments.push((&finding.check, (start + end) / 2.0));
        }
    }
    moments.truncate(STILLS_MAX);
    moments
}

/// The first sound stream from start to end, a row for each channel. The filter holds all of its samples until it draws
/// them, so it gets few: 4,000 a second show the same shape.
async fn waveform(media: &Media, tools: &Tools, cancel: &CancellationToken) -> Option<Vec<u8>> {
    let scratch = Scratch::new().ok()?;
    let graph = "[0:a:0]aformat=sample_fmts=s16:sample_rates=4000,showwavespic=s=640x160:split_channels=1:colors=0x2457a6";
    let mut arguments =
        media::arguments(&["-nostdin", "-loglevel", "error", "-threads", "1", "-vn"]);
    let draw = [
        "-filter_complex",
        graph,
        "-frames:v",
        "1",
        "-c:v",
        "png",
        "-f",
        "image2",
        "waveform.png",
    ];
    arguments.extend(draw.map(str::to_owned));
    let run = Run {
        program: &tools.ffmpeg,
        arguments,
        directory: Some(scratch.folder()),
        media: Some(media),
        stdout_max: 1 << 10,
        timeout: TIMEOUT,
    };
    run.finish(cancel, &mut |_| ()).await.ok()?;
    std::fs::read(scratch.path("waveform.png"))
        .ok()
        .filter(|bytes| !bytes.is_empty() && bytes.len() <= BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(check: &str, severity: Severity, ranges: &[[f64; 2]]) -> Finding {
        Finding {
            check: check.into(),
            severity,
            measured: 1.into(),
            limit: 0.into(),
            unit: String::new(),
            ranges: ranges.to_vec(),
            message: String::new(),
            channel: None,
            stream: None,
        }
    }

    #[test]
    fn one_look_for_each_check_that_fails_and_has_a_time() {
        let findings = [
            finding("black", Severity::Mandatory, &[[1.0, 3.0], [7.0, 9.0]]),
            finding("black", Severity::Mandatory, &[[11.0, 13.0]]),
            finding("freeze", Severity::Warning, &[[1.0, 3.0]]),
            finding("codec", Severity::Mandatory, &[]),
            finding("silence", Severity::Mandatory, &[[4.0, 6.0]]),
            finding("decode", Severity::Mandatory, &[[4.0, 6.0]]),
        ];
        assert_eq!(moments(&findings), [("black", 2.0), ("decode", 5.0)]);
    }
}
