//! JSON lines: one object per line with the columns of a manifest as keys.
use super::location::Root;
use super::page::{Pager, RowPosition, Stop};
use super::row::ROW_MAX;
use super::row::{self, Cells, Column, quote};
use super::source::Source;
use protocol::media::asset::Asset;
use protocol::model::scan_cursor::ScanCursor;
use protocol::wire::report::RowError;
use protocol::yaml::nearest;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// Reads a manifest of JSON lines from the start or from `resume`.
pub(super) fn scan(
    mut source: Source,
    root: &Root,
    resume: Option<ScanCursor>,
    mut pager: Pager,
) -> Result<(), Stop> {
    let mut place = RowPosition {
        byte: source.byte(),
        line: 1,
    };
    if let Some(cursor) = resume.filter(|cursor| cursor.byte > place.byte) {
        source.seek(cursor.byte)?;
        place = RowPosition {
            byte: cursor.byte,
            line: cursor.line,
        };
    }
    let mut line = Vec::new();
    while let Some(whole) = next_line(&mut source, &mut line)? {
        if !whole {
            let message =
                format!("the line is longer than {ROW_MAX} bytes and was passed over: shorten it");
            let error = RowError {
                line: place.line,
                column: None,
                asset: None,
                message,
                title: None,
            };
            pager.row(Some(place), place.line, Err(error))?;
        } else if !line.trim_ascii().is_empty() {
            pager.row(Some(place), place.line, make(&line, place.line, root))?;
        }
        place = RowPosition {
            byte: source.byte(),
            line: place.line + 1,
        };
    }
    pager.finish(Some(place))
}

/// Reads one line into `line`, without its end. `Some(false)` when it was too long to keep, `None` at the end.
fn next_line(source: &mut Source, line: &mut Vec<u8>) -> Result<Option<bool>, Stop> {
    line.clear();
    let mut whole = true;
    let mut any = false;
    loop {
        let input = source.fill()?;
        if input.is_empty() {
            return Ok(any.then_some(whole));
        }
        any = true;
        let end = input.iter().position(|byte| *byte == b'\n');
        let part = &input[..end.unwrap_or(input.len())];
        if whole && line.len() + part.len() > ROW_MAX {
            whole = false;
            line.clear();
        }
        if whole {
            line.extend_from_slice(part);
        }
        let taken = part.len() + usize::from(end.is_some());
        source.consume(taken);
        if end.is_some() {
            return Ok(Some(whole));
        }
    }
}

/// The pairs of one object in order. A map would silently keep the last of two equal keys.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one object per line, such as {\"asset\": \"a1\", …}")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::with_capacity(8);
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A value of a line with its key, and the column that the key names.
struct Member<'a> {
    column: Option<Column>,
    key: &'a str,
    value: String,
}

/// Makes an asset of a line.
fn make(text: &[u8], line: u64, root: &Root) -> Result<Asset, RowError> {
    let fail = |column: Option<String>, cells: Option<&Cells<'_>>, message| {
        let (asset, title) = cells.map_or((None, None), |cells| (cells.id(), cells.title()));
        Err(RowError {
            line,
            column,
            asset,
            message,
            title,
        })
    };
    let text = match std::str::from_utf8(text) {
        Ok(text) => text,
        Err(e) => {
            let message = format!(
                "byte {} of the line is not UTF-8: save the file as UTF-8",
                e.valid_up_to() + 1
            );
            return fail(None, None, message);
        }
    };
    let Pairs(pairs) = match serde_json::from_str(text) {
        Ok(pairs) => pairs,
        Err(e) => {
            return fail(
                Some(e.column().to_string()),
                None,
                format!("not a JSON object: {}", syntax(&e)),
            );
        }
    };
    let (members, wrong) = members(&pairs);
    let mut cells = Cells::default();
    for Member { column, key, value } in &members {
        match column {
            Some(column) => cells.set(*column, value),
            None => cells.meta.push((key, value)),
        }
    }
    // A line that lacks a column may be of any file: nothing of it is quoted.
    if let Some(missing) = Column::REQUIRED
        .into_iter()
        .find(|column| !members.iter().any(|member| member.column == Some(*column)))
    {
        let name = missing.as_str();
        return fail(
            Some(name.to_owned()),
            Some(&cells),
            missing_key(name, &cells),
        );
    }
    if let Some((name, message)) = wrong {
        return fail(Some(cut(name)), Some(&cells), message);
    }
    row::asset(&cells, line, |written| root.resolve(written))
}

/// The members of an object as text, and the first problem of a key or value, with the key.
fn members(pairs: &[(String, Value)]) -> (Vec<Member<'_>>, Option<(&str, String)>) {
    let mut members: Vec<Member<'_>> = Vec::with_capacity(pairs.len());
    let mut wrong = None;
    for (index, (name, value)) in pairs.iter().enumerate() {
        let column = Column::parse(name.trim());
        let twice = pairs[..index]
            .iter()
            .any(|(earlier, _)| earlier.trim().eq_ignore_ascii_case(name.trim()));
        if twice {
            let message = format!("key {} occurs twice: remove one", quote(name));
            wrong = wrong.or(Some((name.as_str(), message)));
        }
        if name.chars().any(char::is_control) {
            let message = format!("key {} holds a control character", quote(name));
            wrong = wrong.or(Some((name.as_str(), message)));
        }
        let value = match value {
            Value::Null => String::new(),
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) if column.is_some() => {
                let found = quote(&value.to_string());
                let message = format!("{name} must be text or a number, not {found}");
                wrong = wrong.or(Some((name.as_str(), message)));
                String::new()
            }
            other => other.to_string(),
        };
        members.push(Member {
            column,
            key: name.trim(),
            value,
        });
    }
    (members, wrong)
}

/// Says that a key is missing, with the key that may be meant.
fn missing_key(name: &str, cells: &Cells<'_>) -> String {
    let unknown: Vec<&str> = cells
        .meta
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| name.len() <= 80)
        .take(50)
        .collect();
    let hint = match nearest(name, &unknown) {
        Some(similar) => format!("is {similar:?} meant?"),
        None => "every row needs one".to_owned(),
    };
    format!("the key {name:?} is missing; {hint}")
}

/// What is wrong with a line, without its text: a wrong path must not show what another file holds.
fn syntax(error: &serde_json::Error) -> String {
    if error.classify() == serde_json::error::Category::Data {
        return "expected one object per line, such as {\"asset\": \"a1\", …}".to_owned();
    }
    let message = error.to_string();
    // Its own " at line 1 column 9" counts lines inside this line.
    cut(message.split(" at line ").next().unwrap_or(&message))
}

/// Keeps a message short whatever the line holds.
fn cut(text: &str) -> String {
    text.chars().take(200).collect()
}
