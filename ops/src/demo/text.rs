//! The written part of the sample library: manifest, delivery spec, job.
use super::titles::{ITEMS, Item, Plant, TITLES};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The job over the library.
pub(super) const JOB: &str = r#"# Lands the sample library, checks it and waits until each title is complete.
job: demo
library:
  manifest: library/manifest.csv
steps:
  - id: land
    transfer: { to: "file:./landing/{title}/{file}", verify: xxh128, mhl: true }
  - id: check
    needs: [land]
    qc: { policy: specs/demo.yaml }
    on_failure: task
  - id: title-complete
    needs: [check]
    barrier: { scope: title, require: all }
"#;

/// The delivery spec it is checked by.
pub(super) const SPEC: &str = r#"# What a delivery of the sample library must be like; small pictures keep the demonstration quick.
spec: demo
components:
  - { role: master, video: { codec: [h264], width: 640, height: 360, frame_rate: 25, field_order: progressive, range: tv }, channels: 2, sample_rate: 48000 }
  - { role: proxy, video: { codec: [h264], width: 320, height: 180, frame_rate: 25 }, channels: 2, sample_rate: 48000 }
  - { role: audio, languages: [de], channels: 2, sample_rate: 48000 }
  - { role: subtitle, languages: [de] }
qc:
  container: { any: [mov, mp4, wav, srt] }
  decode:    {}
  duration:  { tolerance: 0.2s }
  av_length: { tolerance: 200ms }
  black:     { longest: 0.5s }
  freeze:    { longest: 1s, noise: -60dB }
  silence:   { longest: 1s, noise: -60dB, per_channel: true }
  loudness:  { target: -23LUFS, tolerance: 1LU }
  true_peak: { max: -1dBTP }
"#;

/// The manifest, with the sizes the files really have. The missing file claims the size of its kind.
pub(super) fn manifest(library: &Path) -> std::io::Result<String> {
    let mut text = String::from(
        "asset,title,title_name,series,season,episode,version,role,language,location,bytes,duration,frame_rate,width,height\n",
    );
    for item in &ITEMS {
        let title = &TITLES[item.title];
        let (series, season, episode) = title.series.unwrap_or_default();
        let bytes = fs::metadata(library.join(measured(item).path()))?.len();
        let seconds = item
            .declared_seconds()
            .map(|seconds| seconds.to_string())
            .unwrap_or_default();
        let (width, height) = item
            .declared_size()
            .map(|(w, h)| (w.to_string(), h.to_string()))
            .unwrap_or_default();
        let rate = if item.declared_size().is_some() {
            "25"
        } else {
            ""
        };
        let (id, role, language, path) = (
            item.id(),
            item.media.role(),
            item.media.language(),
            item.path(),
        );
        let row = writeln!(
            text,
            "{id},{},{},{series},{season},{episode},broadcast,{role},{language},{path},{bytes},{seconds},{rate},{width},{height}",
            title.id, title.name
        );
        row.map_err(std::io::Error::other)?;
    }
    Ok(text)
}

/// The item whose file gives the size of `item`.
fn measured(item: &Item) -> &Item {
    let same = |other: &&Item| other.plant.is_none() && other.media == item.media;
    match item.plant {
        Some(Plant::Missing) => ITEMS.iter().find(same).unwrap_or(item),
        _ => item,
    }
}

/// Whether the file of `item` is to be there.
pub(super) fn is_delivered(item: &Item) -> bool {
    item.plant != Some(Plant::Missing)
}
