//! Writes a spec as YAML, in a form that a person can edit.
use super::reader::Unmapped;
use serde_json::{Map, Value};
use std::fmt::Write;

/// Keys in the order people expect.
const ORDER: [&str; 5] = ["spec", "inherits", "applies", "components", "qc"];

/// Writes a spec with what is not in it as comments at its end.
pub(super) fn write(head: &[String], spec: &Map<String, Value>, unmapped: &[Unmapped]) -> String {
    let mut text = String::new();
    for line in head {
        comment(&mut text, line);
    }
    for key in ORDER {
        match spec.get(key) {
            Some(Value::Object(map)) => {
                text += &format!("{key}:\n");
                for (key, value) in map {
                    text += &format!("  {}: {}\n", word(key), flow(value));
                }
            }
            Some(Value::Array(list)) => {
                text += &format!("{key}:\n");
                for value in list {
                    text += &format!("  - {}\n", flow(value));
                }
            }
            Some(value) => text += &format!("{key}: {}\n", flow(value)),
            None => {}
        }
    }
    if !unmapped.is_empty() {
        text += "\n# Not in this spec, or in another form:\n";
    }
    for Unmapped { path, value, why } in unmapped {
        comment(&mut text, &format!("  {path}: {value}"));
        comment(&mut text, &format!("    {why}"));
    }
    text
}

fn comment(text: &mut String, line: &str) {
    let line: String = line
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    writeln!(text, "# {}", line.trim_end()).expect("writing to a String cannot fail");
}

fn flow(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let parts: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{}: {}", word(key), flow(value)))
                .collect();
            if parts.is_empty() {
                "{}".to_owned()
            } else {
                format!("{{ {} }}", parts.join(", "))
            }
        }
        Value::Array(list) => format!("[{}]", list.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(text) => word(text),
        other => other.to_string(),
    }
}

/// A word as it is where YAML cannot take it for anything else, quoted otherwise.
fn word(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let special = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let level = text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        && text.ends_with(|c: char| c.is_ascii_alphabetic() || c == '%')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '%'))
        && !text.contains(['e', 'E', 'x', 'o', 'b']);
    if (plain && !special.contains(&text.to_ascii_lowercase().as_str())) || level {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}
