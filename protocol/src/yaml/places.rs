//! Where the nodes of a YAML file are: problems that show only after a file has been read point at the node they mean.
use granit_parser::{Event, Parser, Span};

/// A key or a scalar of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    /// The key itself, or the value as it is read.
    text: String,
    /// The key that a value belongs to; items of a list belong to the key of the list. Keys have none.
    key: Option<String>,
    /// Keys and positions from the top to here.
    path: Vec<Segment>,
    /// Line and column, counted from 1.
    at: (u64, u64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Key(String),
    Item(usize),
}

/// The nodes of one file, in the order of the file.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Vec<Node>);

/// A mapping or a list that is open while events are read.
enum Open {
    /// The key whose value comes next; none where a key comes next.
    Mapping(Option<String>),
    List(usize),
}

impl Places {
    /// Reads a file; what follows the first error of syntax is left out.
    pub(super) fn of(source: &str) -> Places {
        let mut reader = Reader::default();
        for event in Parser::new_from_str(source) {
            match event {
                Ok((event, span)) => reader.take(event, &span),
                Err(_) => break,
            }
        }
        Places(reader.nodes)
    }

    /// The keys of the topmost mapping.
    pub(super) fn top_keys(self) -> Vec<String> {
        self.0
            .into_iter()
            .filter(|node| node.key.is_none() && node.path.is_empty())
            .map(|node| node.text)
            .collect()
    }

    /// The place of `what` below the item `item` of the list `list`, when one is given, else anywhere. `what` is a
    /// value, a key (`key:` or its bare name) or a value of a key (`key: value`). Without such a node below the item
    /// the item itself is the place.
    pub(super) fn find(&self, what: &str, within: Option<(&str, usize)>) -> Option<(u64, u64)> {
        let anywhere = search(self.0.iter(), what);
        let Some((list, item)) = within else {
            return anywhere;
        };
        let inside = self.0.iter().filter(|node| node.is_below(list, item));
        let first = inside.clone().next().map(|node| node.at);
        search(inside, what).or(first).or(anywhere)
    }
}

/// A value of the key goes first, then a key, then a value of any key.
fn search<'a>(nodes: impl Iterator<Item = &'a Node> + Clone, what: &str) -> Option<(u64, u64)> {
    if let Some((key, value)) = what.split_once(": ") {
        let of_key = |node: &&Node| node.key.as_deref() == Some(key) && node.text == value;
        if let Some(node) = nodes.clone().find(of_key) {
            return Some(node.at);
        }
    }
    let name = what.strip_suffix(':').unwrap_or(what);
    let key = nodes
        .clone()
        .find(|node| node.key.is_none() && node.text == name);
    let value = || nodes.clone().find(|node| node.text == what);
    key.or_else(value).map(|node| node.at)
}

impl Node {
    fn is_below(&self, list: &str, item: usize) -> bool {
        matches!(self.path.as_slice(), [Segment::Key(key), Segment::Item(n), ..] if key == list && *n == item)
    }
}

/// Whether a document is a mapping, as far as it can be read.
pub(super) fn is_mapping(source: &str) -> bool {
    let events = Parser::new_from_str(source)
        .map_while(Result::ok)
        .map(|(event, _)| event);
    let mut nodes = events.filter(|event| {
        matches!(
            event,
            Event::MappingStart(..)
                | Event::SequenceStart(..)
                | Event::Scalar(..)
                | Event::Alias(_)
        )
    });
    matches!(nodes.next(), Some(Event::MappingStart(..)))
}

#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    nodes: Vec<Node>,
}

impl Reader {
    fn take(&mut self, event: Event<'_>, span: &Span) {
        match event {
            Event::Scalar(text, ..) => self.scalar(&text, span),
            Event::MappingStart(..) => self.open.push(Open::Mapping(None)),
            Event::SequenceStart(..) => self.open.push(Open::List(0)),
            Event::MappingEnd | Event::SequenceEnd => {
                self.open.pop();
                self.value_ended();
            }
            Event::Alias(_) => self.value_ended(),
            _ => {}
        }
    }

    fn scalar(&mut self, text: &str, span: &Span) {
        let at = (span.start.line() as u64, span.start.col() as u64 + 1);
        let path = self.path();
        if let Some(Open::Mapping(key @ None)) = self.open.last_mut() {
            *key = Some(text.to_owned());
            self.nodes.push(Node {
                text: text.to_owned(),
                key: None,
                path,
                at,
            });
            return;
        }
        let key = path.iter().rev().find_map(|segment| match segment {
            Segment::Key(key) => Some(key.clone()),
            Segment::Item(_) => None,
        });
        self.nodes.push(Node {
            text: text.to_owned(),
            key,
            path,
            at,
        });
        self.value_ended();
    }

    /// The next node of the innermost mapping is a key, of the innermost list another item.
    fn value_ended(&mut self) {
        match self.open.last_mut() {
            Some(Open::Mapping(key)) => *key = None,
            Some(Open::List(item)) => *item += 1,
            None => {}
        }
    }

    fn path(&self) -> Vec<Segment> {
        let segment = |open: &Open| match open {
            Open::Mapping(key) => key.clone().map(Segment::Key),
            Open::List(item) => Some(Segment::Item(*item)),
        };
        self.open.iter().filter_map(segment).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: &str = "job: b\nsteps:\n  - id: a\n    needs: []\n  - id: c\n    # b\n    needs: [a, b]\n    transfer: { to: \"file:./b\", retry: { attempts: 0 } }\n  - { id: d, needs: [c] }\n";

    #[test]
    fn node_is_found_by_key_and_value_not_by_text() {
        let places = Places::of(JOB);
        assert_eq!(places.find("needs: b", None), Some((7, 16)));
        assert_eq!(places.find("job:", None), Some((1, 1)));
        assert_eq!(places.find("file:./b", None), Some((8, 21)));
        assert_eq!(places.find("id: d", None), Some((9, 11)));
        assert_eq!(places.find("attempts", None), Some((8, 42)));
        assert_eq!(places.find("nowhere", None), None);
    }

    #[test]
    fn node_of_one_item_is_found_in_that_item() {
        let places = Places::of(JOB);
        assert_eq!(places.find("needs", Some(("steps", 0))), Some((4, 5)));
        assert_eq!(places.find("needs", Some(("steps", 1))), Some((7, 5)));
        assert_eq!(places.find("needs", Some(("steps", 2))), Some((9, 14)));
        assert_eq!(
            places.find("barrier", Some(("steps", 1))),
            Some((5, 5)),
            "the item itself"
        );
    }

    #[test]
    fn broken_source_has_the_nodes_before_the_fault() {
        let places = Places::of("job: a\nsteps: [ {");
        assert_eq!(places.find("job", None), Some((1, 1)));
    }
}
