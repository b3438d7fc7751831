//! Reads a profile so that every value of it is either used or reported as unmapped.
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Longest piece of a value in a report, in characters.
const SHOWN_MAX: usize = 120;

/// A demand of the profile that the spec does not carry, or carries in another form.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Unmapped {
    /// Path of the value in the profile, such as `assets.video.gop.max_length`.
    pub path: String,
    /// The value as written, shortened to 120 characters.
    pub value: String,
    /// Why it is not in the spec, or what became of it.
    pub why: String,
}

/// Why whole parts of a profile have no place in a delivery spec of ours. The longest that fits counts.
const REASONS: [(&str, &str); 27] = [
    (
        "governance",
        "about the profile itself: say in `applies` which deliveries it is for",
    ),
    (
        "delivery_paradigm",
        "about the delivery, not about the bytes of one file",
    ),
    (
        "content_type",
        "about the delivery, not about the bytes of one file",
    ),
    ("inputs", "a file does not show how its material was made"),
    (
        "variants",
        "the objects of a delivery are listed in `components`",
    ),
    ("workflow", "belongs in the job and in `approvals`"),
    ("compliance", "belongs in the job and in `ratings`"),
    ("delivery", "belongs in the steps of the job"),
    ("exhibition", "not about the bytes of one file"),
    ("security", "not about the bytes of one file"),
    ("ad_tech", "not about the bytes of one file"),
    ("economics", "not about the bytes of one file"),
    (
        "packaging",
        "not about the bytes of one file: `naming` takes a regular expression for its name",
    ),
    (
        "segmentation",
        "files are judged as a whole: their segments are not distinguished",
    ),
    ("test_signal", "bars, tone and clocks are not measured"),
    (
        "structure",
        "time code and the course of a programme are not measured",
    ),
    (
        "assets.timed_text",
        "subtitles are judged in files of their own, by `captions`",
    ),
    (
        "assets.metadata",
        "metadata in the container is not read: `mediainfo` can check single fields",
    ),
    (
        "assets.ancillary",
        "the objects of a delivery are listed in `components`",
    ),
    ("assets.video.quality", "not measured"),
    (
        "assets.video.bitrate",
        "the bit rate is not measured: `mediainfo` can check it",
    ),
    (
        "assets.video.gop",
        "groups of pictures are not measured: `mediainfo` can check them",
    ),
    (
        "assets.video.captions",
        "captions inside a picture stream are not detected",
    ),
    ("assets.audio.sync", "lip-sync is not measured"),
    ("assets.audio.quality", "not measured"),
    (
        "constraints.content.slate",
        "`slate` only demands a visual check by a person",
    ),
    (
        "constraints.video.pse_standard",
        "a certificate for any standard is recorded",
    ),
];

/// Reads values by their path and remembers which.
pub(super) struct Reader<'a> {
    root: &'a Value,
    used: RefCell<BTreeSet<String>>,
    unmapped: RefCell<BTreeMap<String, Unmapped>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(root: &'a Value) -> Reader<'a> {
        Reader {
            root,
            used: RefCell::default(),
            unmapped: RefCell::default(),
        }
    }

    /// The value at a path of keys, `a.b[0].c`; `null` is no value.
    pub(super) fn get(&self, path: &str) -> Option<&'a Value> {
        let mut at = self.root;
        for step in path.split('.') {
            let (key, index) = match step.split_once('[') {
                Some((key, index)) => (key, Some(index.strip_suffix(']')?.parse::<usize>().ok()?)),
                None => (step, None),
            };
            at = at.get(key)?;
            if let Some(index) = index {
                at = at.get(index)?;
            }
        }
        let leaf = !at.is_object() && !is_list_of_objects(at);
        if leaf {
            self.used.borrow_mut().insert(path.to_owned());
        }
        (!at.is_null()).then_some(at)
    }

    /// Words, from a list of them or a single one. A value that is neither is reported as unmapped.
    pub(super) fn words(&self, path: &str) -> Option<Vec<String>> {
        let value = self.get(path)?;
        let word = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let words: Option<Vec<String>> = match value {
            Value::Array(list) => list.iter().map(word).collect(),
            single => word(single).map(|word| vec![word]),
        };
        match words {
            Some(words) if words.is_empty() => None,
            Some(words) => Some(words),
            None => {
                self.tell(path, "neither a word nor a list of words");
                None
            }
        }
    }

    /// A finite number. Any other value is reported as unmapped.
    pub(super) fn number(&self, path: &str) -> Option<f64> {
        let value = self.get(path)?;
        let number = value.as_f64().filter(|number| number.is_finite());
        if number.is_none() {
            self.tell(path, "not a number");
        }
        number
    }

    /// A number of things, up to 32 bits. Any other value is reported as unmapped.
    pub(super) fn count(&self, path: &str) -> Option<u32> {
        let value = self.get(path)?;
        let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
        if count.is_none() {
            self.tell(path, "not a number of things");
        }
        count
    }

    /// Whether something is asked for; absent means no. A value that is not a boolean is reported as unmapped.
    pub(super) fn flag(&self, path: &str) -> bool {
        let Some(value) = self.get(path) else {
            return false;
        };
        value.as_bool().unwrap_or_else(|| {
            self.tell(path, "neither true nor false");
            false
        })
    }

    /// Reports a value as unmapped: it is not in the spec, or in another form. Several reasons for one value are joined.
    pub(super) fn tell(&self, path: &str, why: impl Into<String>) {
        let (value, why) = (self.get(path).map(shown).unwrap_or_default(), why.into());
        let mut unmapped = self.unmapped.borrow_mut();
        match unmapped.get_mut(path) {
            Some(known) if known.why == why => {}
            Some(known) => known.why = format!("{}; {why}", known.why),
            None => {
                unmapped.insert(
                    path.to_owned(),
                    Unmapped {
                        path: path.to_owned(),
                        value,
                        why,
                    },
                );
            }
        }
    }

    /// All unmapped values: those reported while reading, and those that were never read.
    pub(super) fn finish(self) -> Vec<Unmapped> {
        let mut leaves = Vec::new();
        gather(self.root, "", &mut leaves);
        let (used, mut unmapped) = (self.used.into_inner(), self.unmapped.into_inner());
        for (path, value) in leaves {
            if !used.contains(&path) {
                let unread = Unmapped {
                    path: path.clone(),
                    value: shown(value),
                    why: reason(&path).to_owned(),
                };
                unmapped.entry(path).or_insert(unread);
            }
        }
        unmapped.into_values().collect()
    }
}

fn is_list_of_objects(value: &Value) -> bool {
    value
        .as_array()
        .is_some_and(|list| list.iter().any(|item| item.is_object() || item.is_array()))
}

/// Every value with its path. A list of words is one value; a key that is no plain word is quoted, so that no path means two
/// places.
fn gather<'a>(value: &'a Value, path: &str, leaves: &mut Vec<(String, &'a Value)>) {
    match value {
        Value::Object(map) => {
            for (key, below) in map {
                let plain = key
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
                let key = if plain && !key.is_empty() {
                    key.clone()
                } else {
                    format!("{key:?}")
                };
                let path = if path.is_empty() {
                    key
                } else {
                    format!("{path}.{key}")
                };
                gather(below, &path, leaves);
            }
        }
        Value::Array(list) if is_list_of_objects(value) => {
            for (n, below) in list.iter().enumerate() {
                gather(below, &format!("{path}[{n}]"), leaves);
            }
        }
        Value::Null => {}
        Value::Array(list) if list.is_empty() => {}
        leaf => leaves.push((path.to_owned(), leaf)),
    }
}

fn reason(path: &str) -> &'static str {
    let last = path.rsplit('.').next().unwrap_or(path);
    if matches!(last, "notes" | "tolerance_note") || last.starts_with("\"$") {
        return "prose: a person has to read it";
    }
    let under = |part: &str| {
        path.strip_prefix(part)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let fitting = REASONS
        .iter()
        .filter(|(part, _)| under(part))
        .max_by_key(|(part, _)| part.len());
    fitting.map_or("no check covers it", |(_, why)| why)
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut short: String = text
        .chars()
        .take(SHOWN_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
