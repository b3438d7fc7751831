//! Source files with their tests and comments told apart.
use std::path::{Path, PathBuf};

/// One Rust file.
pub(crate) struct Source {
    /// Path from the workspace root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Where the workspace stands.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests is a member of the workspace")
        .to_owned()
}

/// Every Rust file of the members.
pub(crate) fn workspace() -> Vec<Source> {
    let mut found = Vec::new();
    for member in [
        "protocol",
        "transport",
        "coordinator",
        "worker",
        "ops",
        "benches",
        "tests",
    ] {
        walk(&root().join(member), &mut found);
    }
    assert!(found.len() > 50, "the walk has lost its way");
    found
}

fn walk(dir: &Path, found: &mut Vec<Source>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir)
        .expect("readable")
        .map(|e| e.expect("readable").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() && !path.ends_with("target") {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let relative = path
                .strip_prefix(root())
                .expect("below the root")
                .display()
                .to_string();
            let text = std::fs::read_to_string(&path).expect("Rust files are UTF-8");
            found.push(Source {
                path: relative,
                text,
            });
        }
    }
}

impl Source {
    /// Neither tests nor their kit.
    pub(crate) fn is_production(&self) -> bool {
        let test = self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.ends_with("tests.rs");
        !test && !self.path.ends_with("conformance.rs")
    }

    /// Lines before the first test module.
    fn production(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let inline = lines.windows(2).position(|w| {
            w[0].trim() == "#[cfg(test)]"
                && w[1].trim_start().starts_with("mod ")
                && w[1].ends_with('{')
        });
        let end = inline.unwrap_or(lines.len());
        lines
            .into_iter()
            .take(end)
            .enumerate()
            .map(|(i, line)| (i + 1, line))
    }

    /// The text before the first test module.
    pub(crate) fn production_text(&self) -> String {
        let lines: Vec<&str> = self.production().map(|(_, line)| line).collect();
        lines.join("\n")
    }

    /// Number of production lines.
    pub(crate) fn production_lines(&self) -> usize {
        self.production().count()
    }

    /// Production lines, without comments, that hold one of `words`.
    pub(crate) fn production_mentions(&self, words: &[&str]) -> Vec<(usize, String)> {
        if !self.is_production() {
            return Vec::new();
        }
        let code = self
            .production()
            .filter(|(_, line)| !line.trim_start().starts_with("//"));
        code.flat_map(|(n, line)| {
            words
                .iter()
                .filter(|w| mentions(line, w))
                .map(move |w| (n, (*w).to_owned()))
        })
        .collect()
    }

    /// Functions with the line they start on and their length.
    pub(crate) fn functions(&self) -> Vec<(String, usize, usize)> {
        let lines: Vec<(usize, &str)> = self.production().collect();
        let mut found = Vec::new();
        for (at, (n, line)) in lines.iter().enumerate() {
            let Some(name) = function_name(line) else {
                continue;
            };
            let indent = line.len() - line.trim_start().len();
            let close = format!("{}}}", " ".repeat(indent));
            // A declaration in a trait has no body.
            let signature_end = lines[at..]
                .iter()
                .find(|(_, l)| l.trim_end().ends_with(['{', ';']));
            if signature_end.is_none_or(|(_, l)| l.trim_end().ends_with(';')) {
                continue;
            }
            // Formatted code closes a function on a line of its own, as deep as it began.
            if let Some(end) = lines[at..].iter().position(|(_, l)| *l == close) {
                found.push((name, *n, end + 1));
            }
        }
        found
    }
}

/// A word that starts in the middle of another is not a mention: `coworker::` does not name the crate `worker::`, and neither
/// does the module `rules::worker::`.
fn mentions(line: &str, word: &str) -> bool {
    let is_crate = word.ends_with("::");
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || (is_crate && c == ':'))
    })
}

fn function_name(line: &str) -> Option<String> {
    let trimmed = line.trim_start();
    let rest = ["pub(crate) ", "pub(super) ", "pub "]
        .iter()
        .find_map(|p| trimmed.strip_prefix(p))
        .unwrap_or(trimmed);
    let rest = rest.strip_prefix("async ").unwrap_or(rest);
    let rest = rest.strip_prefix("const ").unwrap_or(rest);
    let name = rest.strip_prefix("fn ")?.split(['(', '<']).next()?;
    line.trim_end()
        .ends_with(['{', '(', ')', ',', '>'])
        .then(|| name.to_owned())
}

#[test]
fn mentions_are_whole_words() {
    assert!(mentions("use worker::step;", "worker::"));
    assert!(!mentions("use coworker::task;", "worker::"));
    assert!(!mentions(
        "use protocol::rules::worker::poison;",
        "worker::"
    ));
}
