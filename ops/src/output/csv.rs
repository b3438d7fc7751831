//! Comma-separated values (RFC 4180) out of the JSON of an entry, for spreadsheets.
use serde_json::Value;

/// First characters with which a spreadsheet takes a cell for a formula (OWASP, CSV injection). Such text gets an
/// apostrophe in front of it.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A line of cells with its line break.
pub(super) fn line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let mut line = String::new();
    for (n, cell) in cells.enumerate() {
        if n > 0 {
            line.push(',');
        }
        if cell.contains([',', '"', '\n', '\r']) || cell.starts_with(' ') || cell.ends_with(' ') {
            line.push('"');
            line.push_str(&cell.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(cell);
        }
    }
    line.push_str("\r\n");
    line
}

/// The cell of a member of an entry; `a.b` is the member `b` of the member `a`. A member that is not there is empty, and a
/// list is joined with semicolons.
pub(super) fn cell(entry: &Value, member: &str) -> String {
    let value = member
        .split('.')
        .filter(|name| !name.is_empty())
        .try_fold(entry, |value, name| value.get(name));
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => safe(text),
        Some(Value::Array(list)) => {
            let texts: Vec<String> = list.iter().map(plain).collect();
            safe(&texts.join("; "))
        }
        Some(other) => plain(other),
    }
}

/// One object as a header and a row: members with a single value, and those of objects inside it.
pub(super) fn document(object: &Value) -> String {
    let (mut names, mut cells) = (Vec::new(), Vec::new());
    add(object, "", &mut names, &mut cells);
    let header = line(names.iter().map(String::as_str));
    header + &line(cells.iter().map(String::as_str))
}

fn add(object: &Value, before: &str, names: &mut Vec<String>, cells: &mut Vec<String>) {
    for (name, value) in object.as_object().into_iter().flatten() {
        let name = format!("{before}{name}");
        match value {
            Value::Object(_) => add(value, &format!("{name}."), names, cells),
            Value::Array(list) if list.iter().any(Value::is_object) => {}
            _ => {
                cells.push(cell(value, ""));
                names.push(name);
            }
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn safe(text: &str) -> String {
    match text.starts_with(FORMULA) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn object_is_a_header_and_a_row() {
        let object = json!({"job": "j", "units": {"total": 3}, "checks": ["a", "b"], "steps": [{"id": "x"}]});
        assert_eq!(document(&object), "checks,job,units.total\r\na; b,j,3\r\n");
    }

    #[test]
    fn cells_are_quoted_and_formulas_disarmed() {
        let entry = json!({"a": "x, \"y\"", "b": {"c": 3}, "d": ["p", 2], "e": null, "f": "=1+1", "g": -2, "h": "two\nlines"});
        let cells: Vec<String> = ["a", "b.c", "d", "e", "f", "g", "h", "none", "a.none"]
            .iter()
            .map(|member| cell(&entry, member))
            .collect();
        assert_eq!(
            line(cells.iter().map(String::as_str)),
            "\"x, \"\"y\"\"\",3,p; 2,,'=1+1,-2,\"two\nlines\",,\r\n"
        );
    }
}
