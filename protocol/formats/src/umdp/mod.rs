//! Delivery specs out of UMDP profiles (Universal Media Delivery Profile, JSON, schema 0.11 to 0.18).
//!
//! Nothing of a profile is dropped silently: [`import`] returns what it could not put into the spec, by name and with the
//! reason, and the text of the spec says it again. A list of which one word is not known here is not demanded at all, since
//! half of it would fail deliveries that are right.
mod picture;
mod reader;
mod sound;
mod text;
mod words;

pub use reader::Unmapped;

use protocol::yaml::{self, Problem};
use reader::Reader;
use serde_json::{Map, Value, json};
use spec::DeliverySpec;

/// A profile as delivery specs.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The profile's id, which is the name of its spec.
    pub id: String,
    /// The spec of the profile first, then one for each region that differs, which inherits it.
    pub files: Vec<SpecFile>,
    /// Values of the profile that are not in the specs, or in another form.
    pub unmapped: Vec<Unmapped>,
}

/// A delivery spec as a file.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SpecFile {
    /// The name it has to have, since others inherit it by name.
    pub name: String,
    /// The spec as YAML, with unmapped values as comments at its end.
    pub text: String,
}

/// What a spec will hold.
#[derive(Debug, Default)]
struct SpecDraft {
    video: Map<String, Value>,
    audio: Map<String, Value>,
    qc: Map<String, Value>,
}

/// Reads a profile. `inherits` is the spec that its own is to inherit: a profile says nothing of black, freezes or silence.
///
/// An error means that the text is no profile. Values of a profile that have no place in a spec are in `unmapped`.
pub fn import(file: &str, source: &str, inherits: Option<&str>) -> Result<Imported, Problem> {
    let mut document: Value = serde_json::from_str(source).map_err(|error| Problem {
        at: Some((error.line() as u64, error.column() as u64)),
        ..Problem::new(file, format!("not JSON: {error}"))
    })?;
    let id = document
        .get("id")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let described = ["assets", "constraints"]
        .iter()
        .any(|part| document.get(*part).is_some_and(Value::is_object));
    let (Some(id), true) = (id.filter(|id| is_id(id)), described) else {
        return Err(Problem::new(
            file,
            "not a UMDP profile: it has an `id` of small letters, digits and _, and `assets`",
        )
        .hint("a delivery spec of ours needs no import"));
    };
    let regions = document
        .as_object_mut()
        .and_then(|map| map.remove("regional_overrides"));
    let (spec, mut unmapped) = map(&document, &id);
    let mut base = spec.clone();
    if let Some(parent) = inherits {
        base.insert("inherits".into(), parent.into());
    }
    let mut files = vec![SpecFile {
        name: format!("{id}.yaml"),
        text: text::write(&head(&document), &base, &unmapped),
    }];
    for (n, region) in regions
        .as_ref()
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .enumerate()
    {
        let region_unmapped = |why: &str| Unmapped {
            path: format!("regional_overrides[{n}]"),
            value: region["region"].as_str().unwrap_or_default().to_owned(),
            why: why.to_owned(),
        };
        match (
            region["region"].as_str().map(words::plain),
            &region["overrides"],
        ) {
            (Some(name), overrides @ Value::Object(_)) if !name.is_empty() => {
                let (file, more) = regional(&document, &id, &spec, n, &name, overrides);
                unmapped.extend(more);
                files.push(file);
            }
            _ => unmapped.push(region_unmapped("no region with overrides")),
        }
    }
    for written in &files {
        // What is written is read: a spec that cannot be used is found here and not by a job.
        yaml::read::<DeliverySpec>(&written.name, &written.text)?;
    }
    Ok(Imported {
        id,
        files,
        unmapped,
    })
}

fn is_id(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn head(document: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let version = text(&document["governance"]["spec_version"])
        .map(|version| format!(" {version}"))
        .unwrap_or_default();
    let name = text(&document["name"]).unwrap_or_default();
    vec![format!(
        "{name}{version}: from a UMDP profile, by `showrunner policy import`."
    )]
}

/// The spec of a profile, and what is not in it.
fn map(document: &Value, id: &str) -> (Map<String, Value>, Vec<Unmapped>) {
    let reader = Reader::new(document);
    for named in [
        "id",
        "name",
        "governance.spec_version",
        "assets.video.representation",
    ] {
        reader.get(named);
    }
    let mut draft = SpecDraft::default();
    picture::map(&reader, &mut draft);
    sound::map(&reader, &mut draft);
    let mut component = Map::from_iter([("role".to_owned(), json!("master"))]);
    for (part, format) in [("video", draft.video), ("audio", draft.audio)] {
        if !format.is_empty() {
            component.insert(part.into(), format.into());
        }
    }
    let mut spec = Map::from_iter([("spec".to_owned(), json!(id))]);
    spec.insert("components".into(), json!([component]));
    // Whatever else is demanded: a file that does not decode is no delivery.
    draft.qc.entry("decode").or_insert(json!({}));
    spec.insert("qc".into(), draft.qc.into());
    (spec, reader.finish())
}

/// The spec of a region: what differs from the profile's own. Lists replace, so the component is said in full.
fn regional(
    document: &Value,
    id: &str,
    base: &Map<String, Value>,
    n: usize,
    region: &str,
    overrides: &Value,
) -> (SpecFile, Vec<Unmapped>) {
    let merged = overlaid(document.clone(), overrides);
    let (spec, _) = map(&merged, id);
    let (_, mut unmapped) = map(overrides, id);
    for entry in &mut unmapped {
        entry.path = format!("regional_overrides[{n}].overrides.{}", entry.path);
    }
    let mut child = Map::from_iter([("spec".to_owned(), json!(format!("{id}-{region}")))]);
    child.insert("inherits".into(), json!(format!("{id}.yaml")));
    if region.len() == 2 {
        child.insert(
            "applies".into(),
            json!({ "territory": [region.to_ascii_uppercase()] }),
        );
    }
    if spec["components"] != base["components"] {
        child.insert("components".into(), spec["components"].clone());
    }
    let (empty, mut differs) = (Map::new(), Map::new());
    let (ours, theirs) = (
        spec["qc"].as_object().unwrap_or(&empty),
        base["qc"].as_object().unwrap_or(&empty),
    );
    differs.extend(
        ours.iter()
            .filter(|(check, body)| theirs.get(*check) != Some(body))
            .map(|(k, v)| (k.clone(), v.clone())),
    );
    for check in theirs.keys().filter(|check| !ours.contains_key(*check)) {
        let why = "the region omits the check, but a spec cannot remove an inherited one: the base spec's applies";
        unmapped.push(Unmapped {
            path: format!("regional_overrides[{n}]"),
            value: check.clone(),
            why: why.to_owned(),
        });
    }
    if !differs.is_empty() {
        child.insert("qc".into(), differs.into());
    }
    let text = text::write(&head(&merged), &child, &unmapped);
    (
        SpecFile {
            name: format!("{id}-{region}.yaml"),
            text,
        },
        unmapped,
    )
}

/// `over` on top of `below`: mappings key by key, everything else as a whole.
fn overlaid(below: Value, over: &Value) -> Value {
    match (below, over) {
        (Value::Object(mut below), Value::Object(over)) => {
            for (key, value) in over {
                let under = below.remove(key).unwrap_or(Value::Null);
                below.insert(key.clone(), overlaid(under, value));
            }
            Value::Object(below)
        }
        (_, over) => over.clone(),
    }
}

#[cfg(test)]
mod tests;
