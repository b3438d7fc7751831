//! Documents that must agree with the tree: decision records and their index.
use crate::fail_if_any;
use crate::source::root;
use protocol::invariant::Invariant;
use std::path::{Path, PathBuf};

/// Characters of a line of prose.
const LINE_MAX: usize = 120;

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Decision records in order of their numbers.
fn records() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("docs/decisions")).expect("the folder exists");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.retain(|path| path.file_name().is_some_and(|name| name != "README.md"));
    paths.sort();
    paths
}

/// The value of a header line such as `- Date: 2026-11-30`.
fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let head = text
        .lines()
        .take_while(|line| !line.starts_with("**") && !line.starts_with("## "));
    head.filter_map(|line| {
        line.strip_prefix("- ")?
            .strip_prefix(name)?
            .strip_prefix(": ")
    })
    .next()
}

fn is_date(text: &str) -> bool {
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    shape == "0000-00-00"
}

/// What is wrong with one record.
fn faults(file: &str, number: usize, text: &str, index: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !file.starts_with(&format!("{number:04}-")) {
        found.push(format!(
            "its number is not {number}: numbers follow each other without gaps"
        ));
    }
    let title = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix(&format!("# {number}. ")))
        .unwrap_or_default();
    let date = header(text, "Date").unwrap_or_default();
    let status = header(text, "Status").unwrap_or_default();
    if !status.starts_with("accepted") && !status.starts_with("superseded by [decision ") {
        found.push(
            "it has no line `- Status: accepted` or `- Status: superseded by [decision N](…)`"
                .to_owned(),
        );
    }
    if !is_date(date) {
        found.push("it has no line `- Date: YYYY-MM-DD`".to_owned());
    }
    if !index.contains(&format!("| {number} | [{title}]({file}) | {date} |\n")) {
        found.push(format!(
            "the index has no line | {number} | [{title}]({file}) | {date} |"
        ));
    }
    for part in ["Context", "Decision"] {
        if !text.contains(&format!("**{part}.**")) && !text.contains(&format!("## {part}\n")) {
            found.push(format!("it has no part **{part}.** or ## {part}"));
        }
    }
    // A link or a piece of code without a break may be longer.
    let breakable = |line: &str| {
        line.split('`')
            .step_by(2)
            .any(|prose| prose.trim().contains(' '))
    };
    let long = text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.chars().count() > LINE_MAX && breakable(line));
    found.extend(long.map(|(n, _)| format!("line {} is longer than {LINE_MAX} characters", n + 1)));
    found
}

#[test]
fn decision_records_have_a_header_and_an_index_line() {
    let index = read(&root().join("docs/decisions/README.md"));
    let mut found = Vec::new();
    for (path, number) in records().iter().zip(1..) {
        let file = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        found.extend(
            faults(&file, number, &read(path), &index)
                .into_iter()
                .map(|fault| format!("{file}: {fault}")),
        );
    }
    fail_if_any("decision records", found);
}

#[test]
fn record_without_header_is_found() {
    let faults = faults(
        "0002-x.md",
        2,
        "# 2. Title\n\n**Context.** c\n\n**Decision.** d\n",
        "",
    );
    assert_eq!(faults.len(), 3, "{faults:?}");
}

#[test]
fn table_of_invariants_has_the_sentences_of_the_code() {
    let text = read(&root().join("docs/architecture.md"));
    let rows: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("| number | promise |"))
        .skip(2)
        .collect();
    let rows = rows.into_iter().take_while(|line| line.starts_with("| "));
    let listed: Vec<(&str, &str)> = rows
        .filter_map(|line| {
            let mut cells = line.trim_matches('|').split(" | ");
            Some((cells.next()?.trim(), cells.next()?.trim()))
        })
        .collect();
    let known: Vec<(&str, &str)> = Invariant::ALL
        .iter()
        .map(|one| (one.number(), one.promise()))
        .collect();
    assert_eq!(
        listed, known,
        "docs/architecture.md and protocol::invariant disagree"
    );
}

/// Paths in backticks that a page names: they contain a slash and end in a file name.
fn named_files(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let is_file = |path: &&str| {
        path.contains('/')
            && !path.contains(' ')
            && path
                .rsplit_once('/')
                .is_some_and(|(_, name)| name.contains('.'))
    };
    quoted.filter(is_file).collect()
}

#[test]
fn files_named_in_the_extending_page_exist() {
    let text = read(&root().join("docs/extending.md"));
    let files = named_files(&text);
    assert!(files.len() > 20, "the page names {} files", files.len());
    let missing = files
        .iter()
        .filter(|file| !root().join(file).is_file())
        .map(|file| (*file).to_owned());
    fail_if_any(
        "docs/extending.md names files that do not exist",
        missing.collect(),
    );
}
