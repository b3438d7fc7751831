//! Gathers the facts of one file and has them judged.
use super::facts::{FactSheet, Structure};
use super::graph::Needs;
use super::probe::{Probe, Unprobed};
use super::report::Report;
use super::subject::{self, Subject};
use super::{checks, judge, pass, probe, structure, text};
use crate::hash::{HashError, hash_file};
use crate::task::Tools;
use protocol::failure::Failure;
use protocol::media::asset::Role;
use protocol::media::spec::DeliverySpec;
use protocol::wire::unit::{HashAlgorithm, parse_hash};
use std::io;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// Measures a file and judges it by a spec.
///
/// An error is about the machine or the unit (program missing, cancelled, file gone); anything about the media is in the
/// report, also when it cannot be read at all. Outside programs are stopped when `cancel` is set or the future is dropped.
pub async fn inspect(
    path: &Path,
    subject: &Subject,
    spec: &DeliverySpec,
    tools: &Tools,
    cancel: &CancellationToken,
) -> Result<Report, Failure> {
    let bytes = size(path, subject)?;
    // Called off with the unit, and also when nobody waits for it any more.
    let stop = cancel.child_token();
    let _called_off = stop.clone().drop_guard();
    let hashing = hash_beside(path, subject, spec, stop);
    let gathering = gather(path, subject, spec, tools, cancel);
    let (hashes, gathered) = tokio::join!(hashing, gathering);
    let (mut facts, role) = gathered?;
    facts.bytes = bytes;
    match hashes {
        Ok(hashes) => (facts.hash, facts.declared_hash) = (Some(hashes.content), hashes.declared),
        Err(HashError::Cancelled) => return Err(super::tool::cancelled()),
        Err(error) => facts.unreadable = Some(format!("reading failed: {error}")),
    }
    Ok(judge::judge(&facts, spec, subject, role))
}

/// Hashes of one reading.
struct Hashes {
    /// What the verdict is bound to.
    content: String,
    /// By the declared algorithm, when the policy asks for `checksum`.
    declared: Option<String>,
}

/// Hashes on a thread of its own, so that it shares the reading with the decode.
async fn hash_beside(
    path: &Path,
    subject: &Subject,
    spec: &DeliverySpec,
    stop: CancellationToken,
) -> Result<Hashes, HashError> {
    let declared = spec.qc.checksum.as_ref().and(subject.declared_hash.as_ref());
    // What is no hash is the check's to tell.
    let declared = declared.and_then(|text| parse_hash(text).ok()).map(|(algorithm, _)| algorithm);
    // A checksum that was asked for is computed, not believed.
    let known = subject.known_hash.clone().filter(|hash| hash.starts_with("xxh128:") && spec.qc.checksum.is_none());
    if let Some(content) = known {
        return Ok(Hashes { content, declared: None });
    }
    let mut algorithms = vec![HashAlgorithm::Xxh128];
    algorithms.extend(declared.filter(|algorithm| *algorithm != HashAlgorithm::Xxh128));
    let path = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || hash_file(&path, &algorithms, &stop));
    let (digests, _) = reading.await.map_err(|error| HashError::Read(io::Error::other(error)))??;
    let of = |wanted: HashAlgorithm| digests.iter().find(|d| d.algorithm == wanted).map(ToString::to_string);
    let content = of(HashAlgorithm::Xxh128).ok_or_else(|| HashError::Read(io::Error::other("no hash was computed")))?;
    Ok(Hashes { content, declared: declared.and_then(of) })
}

fn size(path: &Path, subject: &Subject) -> Result<u64, Failure> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => Ok(found.len()),
        Ok(_) => Err(Failure::permanent("source_missing", format!("{} is not a file", subject.file))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Failure::permanent("source_missing", format!("{} is not there: check its location", subject.file)))
        }
        Err(error) => Err(Failure::transient("source_unreadable", format!("{}: {error}", subject.file))),
    }
}

/// Everything but the hash. The role is the declared one, or the one the content gives away.
async fn gather(
    path: &Path,
    subject: &Subject,
    spec: &DeliverySpec,
    tools: &Tools,
    cancel: &CancellationToken,
) -> Result<(FactSheet, Role), Failure> {
    let mut facts = FactSheet::default();
    let guess = subject.role.unwrap_or(Role::Master);
    if std::fs::metadata(path).is_ok_and(|found| found.len() == 0) {
        facts.unreadable = Some("the file is empty".to_owned());
        return Ok((facts, guess));
    }
    match guess {
        Role::Subtitle | Role::Caption => {
            match blocking(path, text::read).await? {
                Ok(text) => facts.text = Some(text),
                Err(why) => facts.unreadable = Some(why),
            }
            return Ok((facts, guess));
        }
        // Paper is looked at by people; that it can be read and is not empty is all a machine can say.
        Role::Document => return Ok((facts, guess)),
        Role::Master | Role::Mezzanine | Role::Proxy | Role::Audio | Role::Artwork => {}
    }
    let probe = match probe::probe(path, tools, cancel).await {
        Ok(probe) => probe,
        Err(Unprobed::Failed(failure)) => return Err(failure),
        Err(Unprobed::Unreadable(why)) => {
            let structure = blocking(path, structure::inspect).await?;
            let cut = if let Structure::Cut(why) = structure { format!(" ({why})") } else { String::new() };
            facts.unreadable = Some(format!("not readable as media: {why}{cut}"));
            return Ok((facts, guess));
        }
    };
    let role = subject.role.unwrap_or_else(|| subject::role_of_streams(probe.video.is_some(), spec));
    if role == Role::Artwork && probe.video.as_ref().is_none_or(|still| still.width == 0 || still.height == 0) {
        // ffprobe goes by the name of a still; only a size shows that there is one.
        facts.unreadable = Some("not readable as a picture".to_owned());
    }
    if role.is_timed_media() {
        facts.structure = blocking(path, structure::inspect).await?;
        let needs = needs(spec, role, &probe);
        if probe.video.is_some() || !probe.audio.is_empty() {
            facts.pass = Some(pass::run(path, &probe, &needs, tools, cancel).await?);
        }
    }
    let ffmpeg = facts.pass.as_ref().and_then(|pass| pass.ffmpeg.clone());
    let versions = [("ffprobe", Some(probe.version.clone())), ("ffmpeg", ffmpeg)];
    facts.tools = versions.into_iter().filter_map(|(tool, version)| Some((tool.to_owned(), version?))).collect();
    facts.container = Some(probe.container);
    facts.video = probe.video;
    facts.audio = probe.audio;
    facts.subtitle_streams = probe.subtitle_streams;
    Ok((facts, role))
}

async fn blocking<T: Send + 'static>(path: &Path, work: fn(&Path) -> T) -> Result<T, Failure> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || work(&path))
        .await
        .map_err(|error| Failure::transient("tool_failed", format!("looking into the file stopped: {error}")))
}

/// What the decode must measure for this policy.
fn needs(spec: &DeliverySpec, role: Role, probe: &Probe) -> Needs {
    let qc = &spec.qc;
    let picture = role.has_picture() && probe.video.is_some();
    let seconds = |span: protocol::quantity::Span| span.0.as_secs_f64();
    let black = qc.black.as_ref().map(|check| (check.area.0, check.level.0));
    // Freezes are judged without the black ones, so black is looked for whenever freezes are.
    let black = black.or_else(|| qc.freeze.as_ref().map(|_| (0.98, 0.10)));
    Needs {
        black: black.filter(|_| picture),
        freeze: qc.freeze.as_ref().filter(|_| picture).map(|check| (check.noise.0, seconds(check.longest))),
        scan: checks::field_order::threshold(spec, role).filter(|_| picture),
        levels: picture && qc.levels.is_some(),
        silence: qc.silence.as_ref().map(|check| (check.noise.0, seconds(check.longest))),
        loudness: qc.loudness.is_some() || qc.true_peak.is_some(),
        phase: qc.phase.as_ref().map(|check| seconds(check.longest)),
    }
}
