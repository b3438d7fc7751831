//! Gathers the facts of one file and has them judged.
use super::fact_sheet::StoredSheet;
use super::media::Media;
use super::probe::{Probe, Unprobed};
use super::{external_tools, pass, probe, structure, timed_text};
use crate::Tools;
use protocol::failure::Failure;
use protocol::media::asset::Role;
use protocol::model::hash::{HashAlgorithm, parse_hash};
use protocol::model::qc::Report;
use protocol::wire::step::qc::Measured;
use spec::facts::{FactSheet, Structure};
use spec::needs::Needs;
use spec::plan::needs;
use spec::{ContentKind, DeliverySpec, MediaUnderTest, judge, role_of_content};
use std::io;
use std::path::Path;
use std::sync::Arc;
use storage::hash::{HashError, hash_open_file};
use tokio_util::sync::CancellationToken;

/// A file judged.
#[derive(Debug)]
pub struct Appraised {
    /// The verdict with its findings.
    pub report: Report,
    /// What was measured now, in its stored form; `None` when nothing was, or nothing that can be relied on.
    pub sheet: Option<String>,
    /// Whether media was decoded for it.
    pub decoded: bool,
}

/// Measures a file and judges it by a spec.
///
/// An error is about the machine or the unit (program missing, cancelled, file gone); anything about the media is in the
/// report, also when it cannot be read at all. Outside programs are stopped when `cancel` is set or the future is dropped.
pub async fn inspect(
    path: &Path,
    subject: &MediaUnderTest,
    spec: &DeliverySpec,
    tools: &Tools,
    cancel: &CancellationToken,
) -> Result<Report, Failure> {
    let media = Arc::new(Media::open(path, &subject.file)?);
    Ok(appraise(&media, subject, spec, tools, &[], cancel)
        .await?
        .report)
}

/// The same for an open file, with what has been measured before of bytes that the file may hold. When it does hold them, which reading
/// it shows, and everything that the spec asks was measured, nothing is decoded.
pub async fn appraise(
    media: &Arc<Media>,
    subject: &MediaUnderTest,
    spec: &DeliverySpec,
    tools: &Tools,
    known: &[&Measured],
    cancel: &CancellationToken,
) -> Result<Appraised, Failure> {
    // Cancelled with the unit, and when the caller drops the future.
    let stop = cancel.child_token();
    let _cancel_on_drop = stop.clone().drop_guard();
    let sheets: Vec<StoredSheet> = known
        .iter()
        .filter_map(|known| StoredSheet::read(&known.sheet))
        .collect();
    let hashing = hash_beside(media, subject, spec, stop);
    if sheets.is_empty() {
        let gathering = gather(media, subject, spec, tools, None, cancel);
        let (hashes, gathered) = tokio::join!(hashing, gathering);
        return measured(media.bytes(), hashes, gathered?, subject, spec);
    }
    // Only the bytes say whether the sheets are theirs: they are read first.
    let hashes = hashing.await;
    let found = hashes.as_ref().ok().and_then(|hashes| {
        sheets
            .into_iter()
            .find(|sheet| sheet.is_of(&hashes.content))
    });
    if let (Ok(hashes), Some(sheet)) = (&hashes, &found)
        && let Some(role) = sheet
            .role(subject, spec)
            .filter(|role| sheet.has_all(spec, *role))
    {
        let facts = FactSheet {
            declared_hash: hashes.declared.clone(),
            ..sheet.facts.clone()
        };
        let report = judge(&facts, spec, subject, role);
        return Ok(Appraised {
            report,
            sheet: None,
            decoded: false,
        });
    }
    let gathered = gather(media, subject, spec, tools, found.as_ref(), cancel).await?;
    measured(media.bytes(), hashes, gathered, subject, spec)
}

/// Judges what was measured just now.
fn measured(
    bytes: u64,
    hashes: Result<Hashes, HashError>,
    gathered: Gathered,
    subject: &MediaUnderTest,
    spec: &DeliverySpec,
) -> Result<Appraised, Failure> {
    let Gathered {
        mut facts,
        role,
        looked_for,
        decoded,
    } = gathered;
    facts.bytes = bytes;
    match hashes {
        Ok(hashes) => (facts.hash, facts.declared_hash) = (Some(hashes.content), hashes.declared),
        Err(HashError::Cancelled) => return Err(super::tool::cancelled()),
        Err(error) => facts.unreadable = Some(format!("reading failed: {error}")),
    }
    let sheet = StoredSheet::of(&facts, role, &looked_for).and_then(|sheet| sheet.write());
    Ok(Appraised {
        report: judge(&facts, spec, subject, role),
        sheet,
        decoded,
    })
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
    media: &Arc<Media>,
    subject: &MediaUnderTest,
    spec: &DeliverySpec,
    stop: CancellationToken,
) -> Result<Hashes, HashError> {
    let declared = spec
        .qc
        .checksum
        .as_ref()
        .and(subject.declared_hash.as_ref());
    // What is no hash is the check's to tell.
    let declared = declared
        .and_then(|text| parse_hash(text).ok())
        .map(|(algorithm, _)| algorithm);
    // A checksum that was asked for is computed, not believed.
    let known = subject
        .known_hash
        .clone()
        .filter(|hash| hash.starts_with("xxh128:") && spec.qc.checksum.is_none());
    if let Some(content) = known {
        return Ok(Hashes {
            content,
            declared: None,
        });
    }
    let mut algorithms = vec![HashAlgorithm::Xxh128];
    algorithms.extend(declared.filter(|algorithm| *algorithm != HashAlgorithm::Xxh128));
    let media = media.clone();
    let reading =
        tokio::task::spawn_blocking(move || hash_open_file(media.file(), &algorithms, &stop));
    let (digests, _) = reading
        .await
        .map_err(|error| HashError::Read(io::Error::other(error)))??;
    let of = |wanted: HashAlgorithm| {
        digests
            .iter()
            .find(|d| d.algorithm == wanted)
            .map(ToString::to_string)
    };
    let content = of(HashAlgorithm::Xxh128)
        .ok_or_else(|| HashError::Read(io::Error::other("no hash was computed")))?;
    Ok(Hashes {
        content,
        declared: declared.and_then(of),
    })
}

/// What was gathered about a file, but for its hash.
struct Gathered {
    facts: FactSheet,
    /// The declared role, or the one the content gives away.
    role: Role,
    looked_for: Needs,
    decoded: bool,
}

impl Gathered {
    /// Without a decode.
    fn plain(facts: FactSheet, role: Role) -> Gathered {
        Gathered {
            facts,
            role,
            looked_for: Needs::default(),
            decoded: false,
        }
    }
}

/// Everything but the hash. What `known` holds is measured again where it can be had in the same pass.
async fn gather(
    media: &Arc<Media>,
    subject: &MediaUnderTest,
    spec: &DeliverySpec,
    tools: &Tools,
    known: Option<&StoredSheet>,
    cancel: &CancellationToken,
) -> Result<Gathered, Failure> {
    let mut facts = FactSheet::default();
    let guess = subject.role.unwrap_or(Role::Master);
    if media.bytes() == 0 {
        facts.unreadable = Some("the file is empty".to_owned());
        return Ok(Gathered::plain(facts, guess));
    }
    let played = played_under_another_name(media, subject, tools, cancel).await?;
    let content = if played.is_some() {
        ContentKind::Media
    } else {
        ContentKind::of(guess)
    };
    match content {
        ContentKind::Text => {
            match blocking(media, timed_text::read).await? {
                Ok(text) => facts.text = Some(text),
                Err(why) => facts.unreadable = Some(why),
            }
            return Ok(Gathered::plain(facts, guess));
        }
        // Documents are reviewed by people; only readability and non-emptiness are checked.
        ContentKind::Paper => return Ok(Gathered::plain(facts, guess)),
        ContentKind::Media | ContentKind::Still => {}
    }
    let probed = match played {
        Some(probe) => Ok(probe),
        None => probed(media, guess, tools, cancel).await,
    };
    let probe = match probed {
        Ok(probe) => probe,
        Err(Unprobed::Failed(failure)) => return Err(failure),
        Err(Unprobed::Unreadable(why)) => {
            facts.unreadable = Some(why);
            return Ok(Gathered::plain(facts, guess));
        }
    };
    let role = role_of_content(subject, content, probe.video.is_some(), spec);
    if role == Role::Artwork
        && probe
            .video
            .as_ref()
            .is_none_or(|still| still.width == 0 || still.height == 0)
    {
        // ffprobe goes by the name of a still; only a size shows that there is one.
        facts.unreadable = Some("not readable as a picture".to_owned());
    }
    let (mut looked_for, mut decoded) = (Needs::default(), false);
    if role.is_timed_media() {
        looked_for = needs(spec, role, probe.video.is_some());
        if let Some(before) = known.and_then(|sheet| sheet.looked_for(role)) {
            looked_for = looked_for.with(before);
        }
        decoded = measure_timed(media, &probe, &looked_for, tools, &mut facts, cancel).await?;
    }
    note_probe(&mut facts, probe);
    Ok(Gathered {
        facts,
        role,
        looked_for,
        decoded,
    })
}

/// Measures the structure, the streams and the metadata of timed media. Returns whether streams were decoded.
async fn measure_timed(
    media: &Arc<Media>,
    probe: &Probe,
    looked_for: &Needs,
    tools: &Tools,
    facts: &mut FactSheet,
    cancel: &CancellationToken,
) -> Result<bool, Failure> {
    facts.structure = blocking(media, structure::inspect).await?;
    let decodes = probe.video.is_some() || !probe.audio.is_empty();
    if decodes {
        facts.pass = Some(pass::run(media, probe, looked_for, tools, cancel).await?);
    }
    if looked_for.mediainfo {
        facts.mediainfo = Some(external_tools::mediainfo(media, tools, cancel).await?);
    }
    if let Some(policy) = &looked_for.mediaconch {
        facts.mediaconch = Some(external_tools::mediaconch(media, policy, tools, cancel).await?);
    }
    Ok(decodes)
}

/// Adds what the probe knows, and the versions of the programs.
fn note_probe(facts: &mut FactSheet, probe: Probe) {
    let ffmpeg = facts.pass.as_ref().and_then(|pass| pass.ffmpeg.clone());
    let versions = [("ffprobe", Some(probe.version)), ("ffmpeg", ffmpeg)];
    facts.tools = versions
        .into_iter()
        .filter_map(|(tool, version)| Some((tool.to_owned(), version?)))
        .collect();
    facts.container = Some(probe.container);
    facts.video = probe.video;
    facts.other_video = probe.other_video;
    facts.audio = probe.audio;
    facts.subtitle_streams = probe.subtitle_streams;
}

/// The probe of media whose name claims a still, a text or a document, where no source declares that. `None` when the
/// file does not play: its content does not contradict its name.
async fn played_under_another_name(
    media: &Arc<Media>,
    subject: &MediaUnderTest,
    tools: &Tools,
    cancel: &CancellationToken,
) -> Result<Option<Probe>, Failure> {
    if !subject.role_is_guessed || subject.role.is_none_or(Role::is_timed_media) {
        return Ok(None);
    }
    match probe::probe_packets(media, tools, cancel).await {
        Ok(sampled) => Ok(sampled.plays().then_some(sampled.probe)),
        Err(Unprobed::Unreadable(_)) => Ok(None),
        Err(Unprobed::Failed(failure)) => Err(failure),
    }
}

/// What ffprobe knows of a file that holds picture or sound.
async fn probed(
    media: &Arc<Media>,
    guess: Role,
    tools: &Tools,
    cancel: &CancellationToken,
) -> Result<Probe, Unprobed> {
    match probe::probe(media, tools, cancel).await {
        Ok(probe) if probe.video.is_none() && probe.audio.is_empty() && guess != Role::Artwork => {
            Err(Unprobed::Unreadable(
                "there is neither picture nor sound in it".to_owned(),
            ))
        }
        Err(Unprobed::Unreadable(why)) => {
            let structure = blocking(media, structure::inspect)
                .await
                .map_err(Unprobed::Failed)?;
            let cut = if let Structure::Truncated(why) = structure {
                format!(" ({why})")
            } else {
                String::new()
            };
            Err(Unprobed::Unreadable(format!(
                "not readable as media: {why}{cut}"
            )))
        }
        probed => probed,
    }
}

async fn blocking<T: Send + 'static>(
    media: &Arc<Media>,
    work: fn(&Media) -> T,
) -> Result<T, Failure> {
    let media = media.clone();
    tokio::task::spawn_blocking(move || work(&media))
        .await
        .map_err(|error| {
            Failure::transient(
                "tool_failed",
                format!("looking into the file stopped: {error}"),
            )
        })
}
