//! Every mistake of a YAML file in one pass. A reader stops at its first error: the entry with the error is taken out and
//! the rest is read again, until nothing is wrong any more.
use super::{Problem, read};
use granit_parser::{Event, Parser, Span};
use serde::de::DeserializeOwned;

/// Mistakes reported of one file at most.
const MISTAKES_MAX: usize = 50;

/// A file with mistakes.
#[derive(Debug)]
pub struct Mistakes<T> {
    /// The mistakes in the order of their discovery.
    pub problems: Vec<Problem>,
    /// What the file says without the entries with mistakes; absent when it cannot be read even so.
    pub rest: Option<T>,
    /// First and last line of each item or top-level entry that had a mistake: nothing further is known about it.
    pub spoiled: Vec<(u64, u64)>,
}

impl<T> Mistakes<T> {
    /// Adds problems of the rest of a file, or of other files, but none that follows from a mistake.
    pub fn with(mut self, file: &str, more: Vec<Problem>) -> Vec<Problem> {
        let follows = |problem: &Problem| {
            let is_spoiled = |line: u64| {
                let mut spoiled = self.spoiled.iter();
                spoiled.any(|(first, last)| (*first..=*last).contains(&line))
            };
            problem.file == file && problem.at.is_none_or(|(line, _)| is_spoiled(line))
        };
        let independent = more.into_iter().filter(|problem| !follows(problem));
        self.problems.extend(independent.collect::<Vec<_>>());
        self.problems
    }
}

/// Reads one document of type `T`; an error has every mistake.
pub fn read_all<T: DeserializeOwned>(file: &str, source: &str) -> Result<T, Mistakes<T>> {
    let mut problem = match read(file, source) {
        Ok(read) => return Ok(read),
        Err(problem) => problem,
    };
    let mut text: Vec<char> = source.chars().collect();
    let mut mistakes = Mistakes {
        problems: Vec::new(),
        rest: None,
        spoiled: Vec::new(),
    };
    let mut removed: Vec<Removed> = Vec::new();
    while mistakes.problems.len() < MISTAKES_MAX {
        let entries = Entries::of(&text.iter().collect::<String>());
        let Some(entry) = problem.at.and_then(|at| entries.wrong(at, &problem)) else {
            mistakes.problems.push(problem);
            break;
        };
        // An entry that lost a part is incomplete by that: its mistake is known.
        if !entries.has_lost(entry, &removed, &text) {
            mistakes.problems.push(problem);
        }
        mistakes.spoiled.push(entries.around(entry));
        removed.push(Removed {
            start: entry.range.start,
            depth: entry.depth,
        });
        entries.remove(entry, &mut text);
        match read(file, &text.iter().collect::<String>()) {
            Ok(rest) => {
                mistakes.rest = Some(rest);
                break;
            }
            Err(next) => problem = next,
        }
    }
    Err(mistakes)
}

/// An entry that was taken out.
struct Removed {
    start: usize,
    depth: usize,
}

/// Characters of the file, from the first up to one behind the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    start: usize,
    end: usize,
}

/// An entry of a mapping with its key, or an item of a list.
#[derive(Debug, Clone, Copy)]
struct Entry {
    range: Range,
    /// Line and column of the first character, counted from 1.
    at: (u64, u64),
    last_line: u64,
    depth: usize,
    is_item: bool,
    /// Number of the mapping or list that it is in, and whether that is a flow collection.
    collection: (usize, bool),
}

impl Entry {
    /// Where the territory of the entry begins: an item includes its dash.
    fn begin(&self, text: &[char]) -> usize {
        self.with_separator(text).start.min(self.range.start)
    }

    /// The entry with the dash of a list, or with one comma of a flow collection.
    fn with_separator(&self, text: &[char]) -> Range {
        let Range { start, end } = self.range;
        let before = (0..start).rev().find(|place| !text[*place].is_whitespace());
        let after = (end..text.len()).find(|place| !text[*place].is_whitespace());
        let is = |place: Option<usize>, c: char| place.filter(|place| text[*place] == c);
        let is_dashed = self.is_item && !self.collection.1;
        if let (true, Some(dash)) = (is_dashed, is(before, '-')) {
            return Range { start: dash, end };
        }
        match (is(after, ','), is(before, ',')) {
            _ if !self.collection.1 => self.range,
            (Some(comma), _) => Range {
                start,
                end: comma + 1,
            },
            (None, Some(comma)) => Range { start: comma, end },
            (None, None) => self.range,
        }
    }
}

/// The entries of a file, each before those in it.
struct Entries(Vec<Entry>);

impl Entries {
    fn of(source: &str) -> Entries {
        let mut reader = Reader::default();
        for event in Parser::new_from_str(source) {
            match event {
                Ok((event, span)) => reader.take(&event, &span),
                Err(_) => break,
            }
        }
        let mut entries = reader.entries;
        entries.sort_by_key(|entry| (entry.range.start, entry.depth));
        Entries(entries)
    }

    /// Whether a part of an entry was taken out before.
    fn has_lost(&self, entry: &Entry, removed: &[Removed], text: &[char]) -> bool {
        let start = entry.begin(text);
        let next = self
            .0
            .iter()
            .find(|next| next.range.start > entry.range.start && next.depth <= entry.depth);
        let end = next.map_or(text.len(), |next| next.begin(text));
        removed
            .iter()
            .any(|part| part.depth > entry.depth && (start..end).contains(&part.start))
    }

    /// Takes an entry out of the text; all others keep their places.
    fn remove(&self, entry: &Entry, text: &mut [char]) {
        let range = entry.with_separator(text);
        let end = range.end.min(text.len());
        for character in &mut text[range.start..end] {
            if *character != '\n' {
                *character = ' ';
            }
        }
        let siblings = self
            .0
            .iter()
            .filter(|sibling| sibling.collection == entry.collection);
        // A block collection without entries would be null.
        if siblings.count() == 1 && !entry.collection.1 && end > range.start + 1 {
            let empty = if entry.is_item {
                ['[', ']']
            } else {
                ['{', '}']
            };
            text[range.start..range.start + 2].copy_from_slice(&empty);
        }
    }

    /// The entry that an error is about. A missing key is an error of the collection that lacks it.
    fn wrong(&self, at: (u64, u64), problem: &Problem) -> Option<&Entry> {
        let is_inside = |entry: &&Entry| entry.at <= at && at.0 <= entry.last_line;
        let innermost = |entries: &mut dyn Iterator<Item = &'_ Entry>| {
            entries.max_by_key(|entry| (entry.at, entry.depth)).copied()
        };
        let found = match problem.message.starts_with("missing key") {
            true => {
                // A block mapping begins with its first entry, which is not the one that lacks a key.
                let holds = |entry: &&Entry| entry.at != at || entry.is_item;
                innermost(&mut self.0.iter().filter(is_inside).filter(holds))
            }
            false => innermost(&mut self.0.iter().filter(is_inside)),
        }?;
        self.0
            .iter()
            .find(|entry| entry.range == found.range && entry.depth == found.depth)
    }

    /// Lines of the item of a top-level list, or else of the top-level entry, that holds an entry.
    fn around(&self, entry: &Entry) -> (u64, u64) {
        let holds = |outer: &&Entry| {
            outer.range.start <= entry.range.start && entry.range.end <= outer.range.end
        };
        let outer = self
            .0
            .iter()
            .filter(holds)
            .filter(|outer| outer.depth == 1 || (outer.depth == 2 && outer.is_item))
            .max_by_key(|outer| outer.depth)
            .unwrap_or(entry);
        (outer.at.0, outer.last_line)
    }
}

/// A mapping or list that is open while events are read.
struct Open {
    is_list: bool,
    /// The entry that is open in it: first character, its place, and whether its value has begun.
    entry: Option<(usize, (u64, u64), bool)>,
    /// Behind its last character so far.
    end: (usize, u64),
    is_flow: bool,
    number: usize,
}

#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    entries: Vec<Entry>,
    collections: usize,
}

fn place(marker: &granit_parser::Marker) -> (u64, u64) {
    (marker.line() as u64, marker.col() as u64 + 1)
}

impl Reader {
    fn take(&mut self, event: &Event<'_>, span: &Span) {
        let end = (span.end.index(), span.end.line() as u64);
        match event {
            Event::Scalar(..) | Event::Alias(_) => {
                self.begin(span);
                self.ended(end);
            }
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                self.begin(span);
                self.collections += 1;
                self.open.push(Open {
                    number: self.collections,
                    is_list: matches!(event, Event::SequenceStart(..)),
                    entry: None,
                    end,
                    // A block collection begins with its first entry, a flow collection with its bracket.
                    is_flow: !span.is_empty(),
                });
            }
            Event::MappingEnd | Event::SequenceEnd => {
                if let Some(closed) = self.open.pop() {
                    // The end of a block collection is that of its last entry, not the next token.
                    self.ended(if closed.is_flow { end } else { closed.end });
                }
            }
            _ => {}
        }
    }

    /// A node begins: a key, the value of a key, or an item.
    fn begin(&mut self, span: &Span) {
        if let Some(open) = self.open.last_mut() {
            match &mut open.entry {
                entry @ None => {
                    *entry = Some((span.start.index(), place(&span.start), open.is_list));
                }
                Some((_, _, has_value)) => *has_value = true,
            }
        }
    }

    /// A node has ended.
    fn ended(&mut self, end: (usize, u64)) {
        let depth = self.open.len();
        let Some(open) = self.open.last_mut() else {
            return;
        };
        open.end = end;
        // The end of a key ends no entry.
        if let Some((start, at, true)) = open.entry {
            self.entries.push(Entry {
                range: Range { start, end: end.0 },
                at,
                last_line: end.1,
                depth,
                is_item: open.is_list,
                collection: (open.number, open.is_flow),
            });
            open.entry = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Doc {
        name: String,
        #[serde(default)]
        steps: Vec<Step>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Step {
        id: String,
        #[expect(dead_code, reason = "only its type matters")]
        size: Option<u32>,
        #[expect(dead_code, reason = "only its type matters")]
        word: Option<Word>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        One,
        Two,
    }

    fn mistakes(source: &str) -> Mistakes<Doc> {
        read_all::<Doc>("a.yaml", source).expect_err("mistakes")
    }

    fn places(mistakes: &Mistakes<Doc>) -> Vec<(u64, String)> {
        let place = |problem: &Problem| (problem.at.map_or(0, |at| at.0), problem.message.clone());
        mistakes.problems.iter().map(place).collect()
    }

    #[test]
    fn every_mistake_is_found_with_its_line() {
        let source = "name: a
nam: b
steps:
  - id: one
    size: many
  - { id: two, word: thre, size: -1 }
  - word: four
    id: three
  - id: fine
";
        let found = mistakes(source);
        let lines: Vec<u64> = places(&found).iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 5, 6, 6, 7], "{found:#?}");
        let rest = found.rest.expect("the rest can be read");
        let ids: Vec<&str> = rest.steps.iter().map(|step| step.id.as_str()).collect();
        assert_eq!(
            (rest.name.as_str(), ids),
            ("a", vec!["one", "two", "three", "fine"])
        );
        assert_eq!(found.spoiled, [(2, 2), (4, 5), (6, 6), (6, 6), (7, 8)]);
    }

    #[test]
    fn missing_key_is_one_mistake_and_hides_no_other() {
        let found = mistakes("name: a\nsteps:\n  - size: 1\n  - id: b\n    size: x\n");
        let found = places(&found);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found
                .iter()
                .any(|(_, message)| message.contains("missing key \"id\""))
        );
        assert!(found.iter().any(|(line, _)| *line == 5), "{found:?}");
    }

    #[test]
    fn misspelt_key_is_no_missing_key_as_well() {
        let found = places(&mistakes("name: a\nsteps:\n  - idd: b\n"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].1.contains("unknown key \"idd\""), "{found:?}");
    }

    #[test]
    fn broken_yaml_is_reported_once_and_never_panics() {
        for source in [
            "{",
            "a: [",
            "\u{0}",
            "- - -\n b: ]",
            "name: [\n",
            "",
            "- a\n",
            "name: é\nsteps: [{id: é, x: é}]\né: 1",
        ] {
            assert!(!mistakes(source).problems.is_empty(), "{source}");
        }
    }
}
