//! MediaInfo and MediaConch, run only where a policy demands them.
use super::media::Media;
use super::references;
use super::scratch::Scratch;
use super::tool::Run;
use crate::Tools;
use protocol::failure::Failure;
use serde_json::Value;
use spec::facts::{MediaConch, MediaInfo};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Both read headers and indexes, not the essence.
const TIMEOUT: Duration = Duration::from_secs(300);
/// An answer longer than this is an attack, not media.
const STDOUT_MAX: usize = 4 << 20;
/// Name of the policy in the program's directory.
const POLICY: &str = "policy.xml";
/// Fields kept of an answer.
const FACTS_MAX: usize = 2_000;

/// Runs MediaInfo. An error means that the unit was cancelled; a missing program is trouble, since it proves nothing about
/// the media and is no reason to measure nothing else.
pub(super) async fn mediainfo(
    media: &Media,
    tools: &Tools,
    cancel: &CancellationToken,
) -> Result<MediaInfo, Failure> {
    let answer = ask(&tools.mediainfo, &["--Output=JSON"], None, media, cancel).await?;
    let facts = answer.and_then(|text| fields(&text));
    Ok(match facts {
        Ok(facts) => MediaInfo {
            trouble: None,
            facts,
        },
        Err(why) => MediaInfo {
            trouble: Some(why),
            facts: BTreeMap::new(),
        },
    })
}

/// Has MediaConch compare the file with a policy.
pub(super) async fn mediaconch(
    media: &Media,
    policy: &str,
    tools: &Tools,
    cancel: &CancellationToken,
) -> Result<MediaConch, Failure> {
    let answer = ask(
        &tools.mediaconch,
        &["-fx", "-p", POLICY],
        Some(policy),
        media,
        cancel,
    )
    .await?;
    let (trouble, failed) = match answer.and_then(|text| failed_rules(&text)) {
        Ok(failed) => (None, failed),
        Err(why) => (Some(why), Vec::new()),
    };
    Ok(MediaConch {
        trouble,
        policy: policy.to_owned(),
        failed,
    })
}

/// Runs a program over the media in a directory that holds nothing but the media's name, a link to the open file: both
/// programs look for neighbours of a file (numbered files, sidecars, camera folders) and report its extension.
async fn ask(
    program: &str,
    options: &[&str],
    policy: Option<&str>,
    media: &Media,
    cancel: &CancellationToken,
) -> Result<Result<String, String>, Failure> {
    // Neither program can be kept from opening what a file refers to.
    if let Some(why) = references::outside(media) {
        return Ok(Err(format!("{program} is not asked: {why}")));
    }
    let prepared = Scratch::new().and_then(|scratch| {
        if let Some(policy) = policy {
            std::fs::write(scratch.path(POLICY), policy)?;
        }
        let folder = scratch.path("media");
        std::fs::create_dir(&folder)?;
        std::os::unix::fs::symlink(super::media::PATH, folder.join(media.name()))?;
        Ok(scratch)
    });
    let scratch = match prepared {
        Ok(scratch) => scratch,
        Err(error) => return Ok(Err(format!("no directory for {program}: {error}"))),
    };
    // An absolute path starts with a slash: it is no option and no address.
    let link = scratch
        .path("media")
        .join(media.name())
        .to_string_lossy()
        .into_owned();
    let arguments = options
        .iter()
        .map(|option| (*option).to_owned())
        .chain([link])
        .collect();
    let run = Run {
        program,
        arguments,
        directory: Some(scratch.folder()),
        media: Some(media),
        stdout_max: STDOUT_MAX,
        timeout: TIMEOUT,
    };
    match run.finish(cancel, &mut |_| ()).await {
        Err(failure) if failure.reason == "cancelled" => Err(failure),
        Err(failure) => Ok(Err(failure.message)),
        Ok(ended) => Ok(match ended.trouble {
            Some(why) => Err(why),
            None => Ok(String::from_utf8_lossy(&ended.stdout).into_owned()),
        }),
    }
}

/// `General.Format`, `Audio[2].Channels`, `General.extra.IsTruncated`: a track's fields by its kind and number.
fn fields(json: &str) -> Result<BTreeMap<String, String>, String> {
    let document: Value = serde_json::from_str(json)
        .map_err(|error| format!("its answer cannot be read: {error}"))?;
    let Some(tracks) = document["media"]["track"].as_array() else {
        return Err("it found no media in the file".to_owned());
    };
    let mut facts = BTreeMap::new();
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for track in tracks {
        let Some(kind) = track["@type"].as_str() else {
            continue;
        };
        let number = seen.entry(kind).or_default();
        *number += 1;
        let name = if *number == 1 {
            kind.to_owned()
        } else {
            format!("{kind}[{number}]")
        };
        flatten(&name, track, &mut facts);
    }
    Ok(facts)
}

fn flatten(name: &str, value: &Value, facts: &mut BTreeMap<String, String>) {
    let Some(object) = value.as_object() else {
        return;
    };
    for (key, value) in object.iter().filter(|(key, _)| !key.starts_with('@')) {
        let name = format!("{name}.{key}");
        match value {
            Value::Object(_) => flatten(&name, value, facts),
            Value::String(text) if facts.len() < FACTS_MAX => {
                facts.insert(name, text.clone());
            }
            _ => {}
        }
    }
}

/// Rules that failed. That no policy was run at all is an error: it would look like a pass.
fn failed_rules(xml: &str) -> Result<Vec<String>, String> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(xml);
    let (mut failed, mut outcome) = (Vec::new(), None);
    loop {
        let event = reader
            .read_event()
            .map_err(|error| format!("its answer cannot be read: {error}"))?;
        let (Event::Start(tag) | Event::Empty(tag)) = &event else {
            if matches!(event, Event::Eof) {
                break;
            }
            continue;
        };
        let attribute = |key: &str| {
            let found = tag.try_get_attribute(key).ok().flatten()?;
            Some(found.value.into_owned())
        };
        match tag.local_name().as_ref() {
            "policy" if outcome.is_none() => outcome = attribute("outcome"),
            "rule" if attribute("outcome").as_deref() == Some("fail") => {
                let name = attribute("name").unwrap_or_default();
                let found = attribute("actual")
                    .map_or_else(|| "nothing".to_owned(), |actual| format!("{actual:?}"));
                failed.push(format!("{name} ({found} found)"));
            }
            _ => {}
        }
    }
    match outcome.as_deref() {
        Some("pass") => Ok(Vec::new()),
        Some("fail") if failed.is_empty() => Ok(vec!["the policy as a whole".to_owned()]),
        Some("fail") => Ok(failed),
        _ => Err("it ran no policy: is it one?".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_by_kind_and_number_of_their_track() {
        let json = r#"{"media":{"@ref":"x","track":[{"@type":"General","Format":"MXF","extra":{"IsTruncated":"Yes"}},
            {"@type":"Audio","Channels":"1"},{"@type":"Audio","Channels":"2"}]}}"#;
        let facts = fields(json).expect("readable");
        let get = |name: &str| facts.get(name).map(String::as_str);
        assert_eq!(
            (get("General.Format"), get("General.extra.IsTruncated")),
            (Some("MXF"), Some("Yes"))
        );
        assert_eq!(
            (get("Audio.Channels"), get("Audio[2].Channels")),
            (Some("1"), Some("2"))
        );
        assert!(fields("{}").is_err() && fields("").is_err());
    }

    #[test]
    fn a_policy_that_was_not_run_is_no_pass() {
        let rule = |outcome: &str| {
            format!(
                "<MediaConch><media ref='a'><policy name='p' outcome='{outcome}'><rule name='is mxf' actual='MPEG-4' outcome='{outcome}'/></policy></media></MediaConch>"
            )
        };
        assert_eq!(failed_rules(&rule("pass")), Ok(vec![]));
        assert_eq!(
            failed_rules(&rule("fail")),
            Ok(vec!["is mxf (\"MPEG-4\" found)".to_owned()])
        );
        assert!(failed_rules("<MediaConch><media ref='a'/></MediaConch>").is_err());
        assert!(failed_rules("Policy file not found.").is_err() && failed_rules("").is_err());
    }
}
