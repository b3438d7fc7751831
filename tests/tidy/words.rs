//! Discouraged words and empty doc lines, counted per crate. Each ceiling is the present count: lower it with every pass
//! (docs/style.md), never raise it. `--no-capture` prints the counts.
use crate::fail_if_any;
use crate::source::{Source, workspace};
use std::collections::BTreeMap;

/// Words that docs/style.md replaces.
const DISCOURAGED: [&str; 10] = [
    "whoever", "whomever", "nobody", "somebody", "anybody", "told", "stands", "goes on", "beside",
    "mended",
];

/// Crate, uses of discouraged words, doc comments of one or two words.
const CEILINGS: [(&str, usize, usize); 11] = [
    ("coordinator", 4, 3),
    ("coordinator/store", 4, 0),
    ("ops", 0, 0),
    ("protocol", 0, 0),
    ("protocol/formats", 0, 0),
    ("protocol/spec", 0, 0),
    ("transport", 0, 0),
    ("worker", 5, 0),
    ("worker/mhl", 0, 0),
    ("worker/qc", 0, 0),
    ("worker/storage", 0, 0),
];

/// The crate of a source file below `src/`.
fn crate_of(path: &str) -> Option<&str> {
    let (name, _) = path.split_once("/src/")?;
    (!name.starts_with("tests") && !name.starts_with("benches")).then_some(name)
}

fn uses(text: &str) -> usize {
    let text = text.to_lowercase();
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let whole = |at: usize, word: &str| {
        let before = text[..at].chars().next_back().is_none_or(|c| !is_word(c));
        before
            && text[at + word.len()..]
                .chars()
                .next()
                .is_none_or(|c| !is_word(c))
    };
    let hits = |word: &&str| {
        text.match_indices(*word)
            .filter(|(at, word)| whole(*at, word))
            .count()
    };
    DISCOURAGED.iter().map(hits).sum()
}

/// Doc comments of one or two words.
fn short_docs(text: &str) -> usize {
    let (mut found, mut words) = (0, None);
    for line in text.lines().map(str::trim_start).chain([""]) {
        match (line.strip_prefix("///"), words) {
            (Some(doc), known) => words = Some(known.unwrap_or(0) + doc.split_whitespace().count()),
            (None, Some(1 | 2)) => (found, words) = (found + 1, None),
            (None, _) => words = None,
        }
    }
    found
}

fn counts(sources: &[Source]) -> BTreeMap<&str, (usize, usize)> {
    let mut counts = BTreeMap::new();
    for source in sources {
        if let Some(name) = crate_of(&source.path) {
            let entry: &mut (usize, usize) = counts.entry(name).or_default();
            entry.0 += uses(&source.text);
            entry.1 += short_docs(&source.text);
        }
    }
    counts
}

#[test]
fn discouraged_words_and_short_docs_only_decrease() {
    let sources = workspace();
    let mut found = Vec::new();
    let (mut all_words, mut all_docs) = (0, 0);
    for (name, (words, docs)) in counts(&sources) {
        println!("{name}: {words} discouraged words, {docs} doc comments of one or two words");
        (all_words, all_docs) = (all_words + words, all_docs + docs);
        let ceiling = CEILINGS.iter().find(|(known, ..)| *known == name);
        let (_, words_max, docs_max) = ceiling.copied().unwrap_or((name, 0, 0));
        if words > words_max {
            found.push(format!(
                "{name}: {words} discouraged words ({}), {words_max} are allowed",
                DISCOURAGED.join(", ")
            ));
        }
        if docs > docs_max {
            found.push(format!(
                "{name}: {docs} doc comments of one or two words, {docs_max} are allowed"
            ));
        }
    }
    println!("in all: {all_words} discouraged words, {all_docs} short doc comments");
    fail_if_any("language (docs/style.md)", found);
}

#[test]
fn whole_words_and_doc_blocks_are_counted() {
    assert_eq!(
        uses("Whoever told nobody; retold, it goes on_ward, standstill. It goes on."),
        4
    );
    assert_eq!(
        short_docs(
            "/// Why.\npub a: u8,\n/// Two\n/// words\nb\n/// It has three words.\nc\n    /// Its size."
        ),
        3
    );
}
