//! Reads a generation entry by entry, so that a history of a million files is never in memory as a whole.
use super::STATE;
use super::folder::Folder;
use super::model::{Action, Entry, EntryKind, Header, MhlError, Recorded, Reference};
use protocol::model::hash::{HashAlgorithm, parse_hash};
use quick_xml::XmlVersion;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use storage::hash::Digest;

/// Elements stand at most this deep; more is not a hash list.
const DEPTH_MAX: usize = 32;

/// Reads a generation; hands each file and directory to `each` in the order of the file.
pub fn read_generation(
    path: &Path,
    each: impl FnMut(Entry),
) -> Result<(Header, Vec<Reference>), MhlError> {
    let file = File::open(path).map_err(MhlError::io(path))?;
    read_from(BufReader::with_capacity(1 << 16, file), path, each)
}

/// The same for the generation `name` of a folder.
pub(super) fn read_generation_in(
    folder: &Folder,
    name: &str,
    each: impl FnMut(Entry),
) -> Result<(Header, Vec<Reference>), MhlError> {
    let file = folder.open_file(name, false)?;
    read_from(
        BufReader::with_capacity(1 << 16, file),
        &folder.at(name),
        each,
    )
}

fn read_from(
    input: impl BufRead,
    path: &Path,
    each: impl FnMut(Entry),
) -> Result<(Header, Vec<Reference>), MhlError> {
    let mut parser = Parser::new(each);
    let mut reader = Reader::from_reader(input);
    parse(&mut reader, path, |event| parser.event(event))?;
    match parser.complete {
        true => Ok((parser.header, parser.references)),
        false => Err(MhlError::Malformed {
            path: path.to_owned(),
            position: reader.buffer_position(),
            problem: "this is no complete ASC MHL hash list".to_owned(),
        }),
    }
}

/// Feeds every event of a document to `each`, which says what is wrong in words; adds where it is.
pub(super) fn parse<R: BufRead>(
    reader: &mut Reader<R>,
    path: &Path,
    mut each: impl FnMut(&Event<'_>) -> Result<(), String>,
) -> Result<(), MhlError> {
    let mut buffer = Vec::new();
    // `<a/>` arrives as `<a></a>`, so that there is one way to end an element.
    reader.config_mut().expand_empty_elements = true;
    loop {
        let result = match reader.read_event_into(&mut buffer) {
            Ok(Event::Eof) => return Ok(()),
            Ok(event) => each(&event),
            Err(error) => Err(error.to_string()),
        };
        if let Err(problem) = result {
            return Err(MhlError::Malformed {
                path: path.to_owned(),
                position: reader.buffer_position(),
                problem,
            });
        }
        buffer.clear();
    }
}

/// Adds the text of an event to `text`; other events are left alone.
pub(super) fn append_text(event: &Event<'_>, text: &mut String) -> Result<(), String> {
    match event {
        Event::Text(part) => text.push_str(&part.xml10_content()),
        Event::CData(part) => text.push_str(&part.xml10_content()),
        Event::GeneralRef(reference) => match reference
            .resolve_char_ref()
            .map_err(|error| error.to_string())?
        {
            Some(character) => text.push(character),
            None => {
                let name = reference.xml10_content();
                text.push_str(
                    resolve_predefined_entity(&name)
                        .ok_or_else(|| format!("unknown entity &{name};"))?,
                );
            }
        },
        _ => {}
    }
    Ok(())
}

/// The value of an attribute, unescaped.
pub(super) fn attribute(start: &BytesStart<'_>, name: &str) -> Result<Option<String>, String> {
    let found = start
        .try_get_attribute(name)
        .map_err(|error| error.to_string())?;
    let value = found.map(|attribute| {
        attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map(|v| v.into_owned())
    });
    value.transpose().map_err(|error| error.to_string())
}

struct Parser<F> {
    each: F,
    stack: Vec<String>,
    text: String,
    header: Header,
    references: Vec<Reference>,
    entry: Option<Entry>,
    /// Attributes of the hash element that is open.
    hash: (Option<Action>, Option<String>),
    reference: Reference,
    complete: bool,
}

impl<F> Parser<F> {
    fn new(each: F) -> Parser<F> {
        Parser {
            each,
            stack: Vec::new(),
            text: String::new(),
            header: Header::default(),
            references: Vec::new(),
            entry: None,
            hash: (None, None),
            reference: Reference {
                path: String::new(),
                c4: String::new(),
            },
            complete: false,
        }
    }
}

impl<F: FnMut(Entry)> Parser<F> {
    fn event(&mut self, event: &Event<'_>) -> Result<(), String> {
        match event {
            Event::Start(start) => self.start(start),
            Event::End(_) => self.end(),
            other => append_text(other, &mut self.text),
        }
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), String> {
        let name = start.local_name().as_ref().to_owned();
        self.text.clear();
        let inside = |element: &str| self.stack.iter().any(|open| open == element);
        if self.stack.len() >= DEPTH_MAX {
            return Err("elements are nested too deeply".to_owned());
        }
        match name.as_str() {
            _ if inside("metadata") => {}
            "hash" | "directoryhash" => {
                let kind = if name == "hash" {
                    EntryKind::File { bytes: None }
                } else {
                    EntryKind::Directory
                };
                self.entry = Some(empty_entry(kind));
            }
            "path" => self.start_path(start)?,
            "tool" => self.header.tool_version = attribute(start, "version")?.unwrap_or_default(),
            _ if HashAlgorithm::parse(&name).is_some() => {
                let action = attribute(start, "action")?;
                let action = action
                    .map(|a| Action::parse(&a).ok_or_else(|| format!("unknown action {a:?}")));
                self.hash = (action.transpose()?, attribute(start, "hashdate")?);
            }
            _ => {}
        }
        self.stack.push(name);
        Ok(())
    }

    fn start_path(&mut self, start: &BytesStart<'_>) -> Result<(), String> {
        let Some(entry) = &mut self.entry else {
            return Ok(());
        };
        entry.modified = attribute(start, "lastmodificationdate")?;
        if let (EntryKind::File { bytes }, Some(size)) =
            (&mut entry.kind, attribute(start, "size")?)
        {
            *bytes = Some(
                size.trim()
                    .parse()
                    .map_err(|_| format!("size {size:?} is no number"))?,
            );
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let name = self.stack.pop().unwrap_or_default();
        if self.stack.iter().any(|open| open == "metadata") {
            if name == STATE
                && self
                    .stack
                    .ends_with(&["hash".to_owned(), "metadata".to_owned()])
            {
                let state = std::mem::take(&mut self.text);
                self.entry
                    .iter_mut()
                    .for_each(|entry| entry.state = Some(state.clone()));
            }
            return Ok(());
        }
        let text = std::mem::take(&mut self.text);
        let parent = self.stack.last().map_or("", String::as_str);
        match (parent, name.as_str()) {
            ("", "hashlist") => self.complete = true,
            ("creatorinfo", "creationdate") => self.header.creation_date = text,
            ("creatorinfo", "hostname") => self.header.host = text,
            ("creatorinfo", "tool") => self.header.tool = text,
            ("creatorinfo", "comment") => self.header.comment = Some(text),
            ("processinfo", "process") => self.header.process = text,
            ("ignore", "pattern") => self.header.ignore.push(text),
            ("hashlistreference", "path") => self.reference.path = relative(text)?,
            ("hashlistreference", "c4") => self.reference.c4 = text.trim().to_owned(),
            ("hashlistreference", _) => {}
            (_, "hashlistreference") => self.references.push(self.reference.clone()),
            ("hash" | "directoryhash", "path") => {
                let path = relative(text)?;
                self.entry
                    .iter_mut()
                    .for_each(|entry| entry.path.clone_from(&path));
            }
            ("hash" | "directoryhash", "previousPath") => {
                let path = relative(text)?;
                self.entry
                    .iter_mut()
                    .for_each(|entry| entry.previous_path = Some(path.clone()));
            }
            ("hash" | "content" | "structure", _) => self.end_hash(&name, &text)?,
            ("hashes", "hash" | "directoryhash") => {
                if let Some(entry) = self.entry.take() {
                    (self.each)(entry);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end_hash(&mut self, name: &str, text: &str) -> Result<(), String> {
        let (action, date) = std::mem::take(&mut self.hash);
        // An algorithm we do not know (xxh32) proves nothing to us; others may still.
        if HashAlgorithm::parse(name).is_none() {
            return Ok(());
        }
        let (algorithm, text) = parse_hash(&format!("{name}:{}", text.trim()))?;
        let recorded = Recorded {
            digest: Digest { algorithm, text },
            action,
            date,
        };
        let structure = self.stack.last().is_some_and(|open| open == "structure");
        match &mut self.entry {
            Some(entry) if structure => entry.structure.push(recorded),
            Some(entry) => entry.hashes.push(recorded),
            None if structure => self.header.root_structure.push(recorded),
            None => self.header.root_content.push(recorded),
        }
        Ok(())
    }
}

fn empty_entry(kind: EntryKind) -> Entry {
    Entry {
        kind,
        path: String::new(),
        modified: None,
        hashes: Vec::new(),
        structure: Vec::new(),
        previous_path: None,
        state: None,
    }
}

/// Checks that a path is below the root of its history. Histories come from other tools and are not trusted.
pub(super) fn relative(path: String) -> Result<String, String> {
    let bad = path.starts_with('/')
        || path.contains('\0')
        || path.split('/').any(|part| part.is_empty() || part == "..");
    if bad {
        Err(format!("path {path:?} is not relative to the root"))
    } else {
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?><hashlist version="2.0" xmlns="urn:ASC:MHL:v2.0">"#;

    fn read(body: &str) -> Result<Vec<Entry>, MhlError> {
        let mut entries = Vec::new();
        let text = format!("{HEAD}<hashes>{body}</hashes></hashlist>");
        read_from(text.as_bytes(), Path::new("x.mhl"), |entry| {
            entries.push(entry)
        })?;
        Ok(entries)
    }

    #[test]
    fn reads_entities_and_skips_what_it_does_not_know() {
        let body = r#"<hash><path size="3" creationdate="x">a &amp;&#252;<![CDATA[<]]>.mov</path><xxh32>00</xxh32>
            <md5 action="original">900150983CD24FB0D6963F7D28E17F72</md5>
            <metadata><hash><path>../no</path></hash><state>"1"</state></metadata></hash>"#;
        let entries = read(body).expect("well formed");
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].path, "a &ü<.mov");
        assert_eq!(entries[0].kind, EntryKind::File { bytes: Some(3) });
        assert_eq!(
            entries[0].hashes[0].digest.to_string(),
            "md5:900150983cd24fb0d6963f7d28e17f72"
        );
        assert_eq!(entries[0].hashes[0].action, Some(Action::Original));
        assert_eq!(entries[0].state.as_deref(), Some("\"1\""));
    }

    #[test]
    fn refuses_what_could_mislead() {
        for body in [
            "<hash><path>../../etc/passwd</path></hash>",
            "<hash><path>/etc/passwd</path></hash>",
            "<hash><path>a</path><md5>zz</md5></hash>",
            r#"<hash><path size="-1">a</path></hash>"#,
            r#"<hash><path>a</path><md5 action="perfect">900150983cd24fb0d6963f7d28e17f72</md5></hash>"#,
            "<hash><path>&unknown;</path></hash>",
            "<hash><path>a</hash>",
            &"<a>".repeat(100),
        ] {
            assert!(
                matches!(read(body), Err(MhlError::Malformed { .. })),
                "{body}"
            );
        }
        for text in ["", "hello", HEAD, "<other/>"] {
            assert!(
                read_from(text.as_bytes(), Path::new("x.mhl"), |_| {}).is_err(),
                "{text}"
            );
        }
    }
}
