//! Inheritance: a child holds only what differs. Mappings merge key by key, everything else replaces.
use crate::delivery::DeliverySpec;
use protocol::yaml::{self, Problem};
use serde_json::{Map, Value};

/// Specs a chain may hold; more is a mistake, and each costs a read.
const DEPTH_MAX: usize = 16;

/// Reads a spec and everything it inherits. `load` returns the text of a file by its path relative to the directory of
/// `file`; errors name the file they are in.
pub fn resolve(
    file: &str,
    source: &str,
    load: &mut dyn FnMut(&str) -> Result<String, Problem>,
) -> Result<DeliverySpec, Problem> {
    let mut chain = vec![file.to_owned()];
    let mut merged = document(file, source)?;
    let mut child_source = source.to_owned();
    while let Some(Value::String(parent)) = merged.remove("inherits") {
        let inheriting = chain.last().map_or(file, String::as_str);
        let path = relative_to(inheriting, &parent);
        if chain.contains(&path) || chain.len() >= DEPTH_MAX {
            let path_of_chain = format!("{} → {path}", chain.join(" → "));
            let what = if chain.contains(&path) {
                "a spec inherits itself"
            } else {
                "too long a chain of specs"
            };
            return Err(Problem::new(inheriting, format!("{what}: {path_of_chain}"))
                .near(&child_source, &parent)
                .hint("take one `inherits:` away"));
        }
        child_source = load(&path).map_err(|problem| Problem {
            hint: problem
                .hint
                .or_else(|| Some(format!("{inheriting} inherits it"))),
            ..problem
        })?;
        let below = document(&path, &child_source)?;
        merged = merge(below, merged);
        chain.push(path);
    }
    let spec: DeliverySpec = serde_json::from_value(Value::Object(merged)).map_err(|error| {
        let chain = if chain.len() > 1 {
            format!(" (with what it inherits: {})", chain[1..].join(", "))
        } else {
            String::new()
        };
        Problem::new(file, format!("{error}{chain}"))
    })?;
    check_patterns(file, source, &spec)?;
    Ok(spec)
}

/// One file as a mapping. It is also read as a spec, since only that knows the place of a wrong key; a key that is missing
/// here may come from the parent and is left to the merged document.
fn document(file: &str, source: &str) -> Result<Map<String, Value>, Problem> {
    let value: Value = yaml::read(file, source)?;
    let Value::Object(map) = value else {
        return Err(Problem::new(file, "a spec is a mapping").hint("start with `spec: NAME`"));
    };
    match yaml::read::<DeliverySpec>(file, source) {
        Err(problem)
            if !(map.contains_key("inherits") && problem.message.starts_with("missing key")) =>
        {
            Err(problem)
        }
        _ => Ok(map),
    }
}

/// The path of `named`, which is relative to the directory of `file`.
fn relative_to(file: &str, named: &str) -> String {
    if named.starts_with('/') {
        return named.to_owned();
    }
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in named.split('/') {
        match part {
            "." | "" => {}
            ".." if parts
                .last()
                .is_some_and(|last| !matches!(*last, ".." | "" | ".")) =>
            {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// `child` over `parent`.
fn merge(parent: Map<String, Value>, child: Map<String, Value>) -> Map<String, Value> {
    let mut merged = parent;
    for (key, value) in child {
        let value = match (merged.remove(&key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => {
                Value::Object(merge(below, above))
            }
            // `freeze:` with nothing after it keeps the parent's limits.
            (Some(below), Value::Null) => below,
            (_, above) => above,
        };
        merged.insert(key, value);
    }
    merged
}

/// Regular expressions are checked when the spec is read, before any unit runs.
fn check_patterns(file: &str, source: &str, spec: &DeliverySpec) -> Result<(), Problem> {
    let Some(naming) = &spec.qc.naming else {
        return Ok(());
    };
    regex::Regex::new(&naming.pattern)
        .map(drop)
        .map_err(|error| {
            let reason = error.to_string();
            let reason = reason
                .lines()
                .last()
                .unwrap_or("not a regular expression")
                .trim()
                .to_owned();
            Problem::new(file, format!("naming.pattern: {reason}")).near(source, &naming.pattern)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn run(files: &[(&str, &str)]) -> Result<DeliverySpec, Problem> {
        let files: BTreeMap<&str, &str> = files.iter().copied().collect();
        let mut load = |name: &str| {
            files
                .get(name)
                .map(|text| (*text).to_owned())
                .ok_or_else(|| Problem::new(name, "no such file"))
        };
        resolve("specs/child.yaml", files["specs/child.yaml"], &mut load)
    }

    #[test]
    fn a_child_overrides_key_by_key_and_lists_replace() {
        let spec = run(&[
            ("specs/child.yaml", "spec: child\ninherits: base.yaml\nqc:\n  black: { longest: 2s }\n  container: { any: mxf }\n"),
            (
                "specs/base.yaml",
                "spec: base\nqc:\n  black: { longest: 1s, area: 90% }\n  container: { any: [mov, mp4] }\n  decode: {}\n",
            ),
        ])
        .expect("valid");
        let black = spec.qc.black.expect("inherited");
        assert_eq!(
            (black.longest.to_string().as_str(), black.area.0),
            ("2s", 0.9)
        );
        assert_eq!(spec.qc.container.expect("there").any.0, ["mxf"]);
        assert!(spec.qc.decode.is_some() && spec.spec == "child" && spec.inherits.is_none());
    }

    #[test]
    fn a_limit_may_come_from_the_grandparent() {
        let spec = run(&[
            (
                "specs/child.yaml",
                "spec: c\ninherits: a/b.yaml\nqc:\n  freeze: { noise: -50dB }\n",
            ),
            ("specs/a/b.yaml", "spec: b\ninherits: ../base.yaml\n"),
            (
                "specs/base.yaml",
                "spec: base\nqc: { freeze: { longest: 3s } }\n",
            ),
        ])
        .expect("valid");
        assert_eq!(
            spec.qc.freeze.map(|f| (f.longest.to_string(), f.noise.0)),
            Some(("3s".into(), -50.0))
        );
    }

    #[test]
    fn a_circle_is_told_as_a_path() {
        let text = run(&[
            ("specs/child.yaml", "spec: c\ninherits: b.yaml\n"),
            ("specs/b.yaml", "spec: b\ninherits: child.yaml\n"),
        ])
        .expect_err("circle")
        .to_string();
        assert!(text.starts_with("specs/b.yaml:2:"), "{text}");
        assert!(
            text.contains("specs/child.yaml → specs/b.yaml → specs/child.yaml"),
            "{text}"
        );
    }

    #[test]
    fn errors_are_placed_in_the_file_they_are_in() {
        let text = run(&[
            ("specs/child.yaml", "spec: c\ninherits: b.yaml\n"),
            ("specs/b.yaml", "spec: b\nqc:\n  blakc: { longest: 1s }\n"),
        ])
        .expect_err("wrong key")
        .to_string();
        assert!(
            text.starts_with("specs/b.yaml:3:3:") && text.contains("`black`"),
            "{text}"
        );
        let text = run(&[("specs/child.yaml", "spec: c\ninherits: gone.yaml\n")])
            .expect_err("missing")
            .to_string();
        assert!(
            text.contains("specs/gone.yaml") && text.contains("specs/child.yaml inherits it"),
            "{text}"
        );
        let text = run(&[
            (
                "specs/child.yaml",
                "spec: c\ninherits: b.yaml\nqc: { black: { area: 90% } }\n",
            ),
            ("specs/b.yaml", "spec: b\n"),
        ])
        .expect_err("no limit anywhere")
        .to_string();
        assert!(
            text.contains("longest") && text.contains("specs/b.yaml"),
            "{text}"
        );
    }

    #[test]
    fn a_broken_pattern_is_found_when_the_spec_is_read() {
        let text = run(&[(
            "specs/child.yaml",
            "spec: c\nqc:\n  naming: { pattern: '([a-z' }\n",
        )])
        .expect_err("regex")
        .to_string();
        assert!(text.starts_with("specs/child.yaml:3:"), "{text}");
    }
}
