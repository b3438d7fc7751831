//! Writes a generation. Entries go to a body file first: the root hash precedes them in the format, but is known only
//! after the last entry.
use super::folder::Folder;
use super::model::{Entry, EntryKind, Header, MhlError, Recorded, Reference};
use super::{CHAIN_NAMESPACE, NAMESPACE, STATE, STATE_NAMESPACE};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::path::PathBuf;

const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// The entries of a generation that is being written.
pub(super) struct Body {
    path: PathBuf,
    out: BufWriter<File>,
    /// Entries written so far.
    pub(super) entries: u64,
}

impl Body {
    /// Starts a body in the file `name`, which an interrupted seal may have left there.
    pub(super) fn create(folder: &Folder, name: &str) -> Result<Body, MhlError> {
        Ok(Body {
            path: folder.at(name),
            out: BufWriter::new(folder.create(name)?),
            entries: 0,
        })
    }

    /// Adds an entry.
    pub(super) fn push(&mut self, entry: &Entry) -> Result<(), MhlError> {
        self.entries += 1;
        self.out
            .write_all(entry_xml(entry).as_bytes())
            .map_err(MhlError::io(&self.path))
    }

    /// Writes the whole generation to the new file `name`; returns it open, its content on disk.
    pub(super) fn finish(
        self,
        header: &Header,
        references: &[Reference],
        folder: &Folder,
        name: &str,
    ) -> Result<File, MhlError> {
        let Body { path, out, entries } = self;
        let mut body = BufReader::new(rewound(out).map_err(MhlError::io(&path))?);
        let mut file = BufWriter::new(folder.create(name)?);
        let write = || -> io::Result<File> {
            file.write_all(head_xml(header).as_bytes())?;
            if entries > 0 {
                file.write_all(b"  <hashes>\n")?;
                io::copy(&mut body, &mut file)?;
                file.write_all(b"  </hashes>\n")?;
            }
            file.write_all(references_xml(references).as_bytes())?;
            file.write_all(b"</hashlist>\n")?;
            let file = file.into_inner()?;
            file.sync_all()?;
            Ok(file)
        };
        write().map_err(MhlError::io(&folder.at(name)))
    }
}

/// Entries set aside, on disk: a tree of a million new files costs no memory.
pub(super) struct Spool {
    path: PathBuf,
    out: BufWriter<File>,
    /// Entries set aside so far.
    pub(super) entries: u64,
}

impl Spool {
    /// Starts a spool in the file `name`, which may be left over.
    pub(super) fn create(folder: &Folder, name: &str) -> Result<Spool, MhlError> {
        Ok(Spool {
            path: folder.at(name),
            out: BufWriter::new(folder.create(name)?),
            entries: 0,
        })
    }

    /// Sets an entry aside.
    pub(super) fn push(&mut self, entry: &Entry) -> Result<(), MhlError> {
        self.entries += 1;
        let written = serde_json::to_writer(&mut self.out, entry).map_err(io::Error::from);
        written
            .and_then(|()| self.out.write_all(b"\n"))
            .map_err(MhlError::io(&self.path))
    }

    /// Flushes the spool and rewinds its file for reading.
    pub(super) fn finish(self) -> Result<Spooled, MhlError> {
        let file = rewound(self.out).map_err(MhlError::io(&self.path))?;
        Ok(Spooled {
            path: self.path,
            file,
        })
    }
}

/// A spool that has ended.
pub(super) struct Spooled {
    path: PathBuf,
    file: File,
}

impl Spooled {
    /// Hands every entry to `each`.
    pub(super) fn read(
        &mut self,
        mut each: impl FnMut(Entry) -> Result<(), MhlError>,
    ) -> Result<(), MhlError> {
        let failed = |error| MhlError::io(&self.path)(error);
        self.file.rewind().map_err(failed)?;
        for line in BufReader::new(&self.file).lines() {
            let line = line.map_err(failed)?;
            each(
                serde_json::from_str(&line)
                    .map_err(io::Error::from)
                    .map_err(failed)?,
            )?;
        }
        Ok(())
    }
}

/// A file that was written, at its beginning.
fn rewound(out: BufWriter<File>) -> io::Result<File> {
    let mut file = out.into_inner()?;
    file.rewind()?;
    Ok(file)
}

/// A whole chain file; `generations` are number, file name and C4 id.
pub(super) fn chain_xml<'a>(generations: impl Iterator<Item = (u64, &'a str, &'a str)>) -> String {
    let mut xml = format!("{XML}<ascmhldirectory xmlns=\"{CHAIN_NAMESPACE}\">\n");
    for (number, file, c4) in generations {
        let file = text(file);
        xml.push_str(&format!(
            "  <hashlist sequencenr=\"{number}\">\n    <path>{file}</path>\n    <c4>{c4}</c4>\n  </hashlist>\n"
        ));
    }
    xml.push_str("</ascmhldirectory>\n");
    xml
}

/// Whether a name can stand in an XML document.
pub(super) fn is_xml_text(name: &str) -> bool {
    name.chars().all(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..))
}

fn head_xml(header: &Header) -> String {
    let mut xml =
        format!("{XML}<hashlist version=\"2.0\" xmlns=\"{NAMESPACE}\">\n  <creatorinfo>\n");
    let element = |xml: &mut String, name: &str, value: &str| {
        xml.push_str(&format!("    <{name}>{}</{name}>\n", text(value)));
    };
    element(&mut xml, "creationdate", &header.creation_date);
    element(&mut xml, "hostname", &header.host);
    xml.push_str(&format!(
        "    <tool version=\"{}\">{}</tool>\n",
        text(&header.tool_version),
        text(&header.tool)
    ));
    if let Some(comment) = &header.comment {
        element(&mut xml, "comment", comment);
    }
    xml.push_str("  </creatorinfo>\n  <processinfo>\n");
    element(&mut xml, "process", &header.process);
    if !header.root_content.is_empty() {
        xml.push_str("    <roothash>\n");
        directory_hashes(
            &mut xml,
            "      ",
            &header.root_content,
            &header.root_structure,
        );
        xml.push_str("    </roothash>\n");
    }
    if !header.ignore.is_empty() {
        xml.push_str("    <ignore>\n");
        for pattern in &header.ignore {
            xml.push_str(&format!("      <pattern>{}</pattern>\n", text(pattern)));
        }
        xml.push_str("    </ignore>\n");
    }
    xml.push_str("  </processinfo>\n");
    xml
}

fn entry_xml(entry: &Entry) -> String {
    let tag = if entry.kind == EntryKind::Directory {
        "directoryhash"
    } else {
        "hash"
    };
    let mut xml = format!("    <{tag}>\n      <path");
    if let EntryKind::File { bytes: Some(bytes) } = entry.kind {
        xml.push_str(&format!(" size=\"{bytes}\""));
    }
    if let Some(modified) = &entry.modified {
        xml.push_str(&format!(" lastmodificationdate=\"{}\"", text(modified)));
    }
    xml.push_str(&format!(">{}</path>\n", text(&entry.path)));
    match entry.kind {
        EntryKind::File { .. } => hashes(&mut xml, "      ", &entry.hashes),
        EntryKind::Directory => {
            directory_hashes(&mut xml, "      ", &entry.hashes, &entry.structure)
        }
    }
    if let Some(previous) = &entry.previous_path {
        xml.push_str(&format!(
            "      <previousPath>{}</previousPath>\n",
            text(previous)
        ));
    }
    if let Some(state) = &entry.state {
        let state = text(state);
        let element = format!("<{STATE} xmlns=\"{STATE_NAMESPACE}\">{state}</{STATE}>");
        xml.push_str(&format!("      <metadata>{element}</metadata>\n"));
    }
    xml.push_str(&format!("    </{tag}>\n"));
    xml
}

fn directory_hashes(xml: &mut String, indent: &str, content: &[Recorded], structure: &[Recorded]) {
    let inner = format!("{indent}  ");
    for (name, recorded) in [("content", content), ("structure", structure)] {
        xml.push_str(&format!("{indent}<{name}>\n"));
        hashes(xml, &inner, recorded);
        xml.push_str(&format!("{indent}</{name}>\n"));
    }
}

/// Hash elements in alphabetical order of their names, which every version of the schema accepts.
fn hashes(xml: &mut String, indent: &str, recorded: &[Recorded]) {
    let mut sorted: Vec<&Recorded> = recorded.iter().collect();
    sorted.sort_by_key(|recorded| recorded.digest.algorithm.as_str());
    for Recorded {
        digest,
        action,
        date,
    } in sorted
    {
        let name = digest.algorithm.as_str();
        xml.push_str(&format!("{indent}<{name}"));
        if let Some(action) = action {
            xml.push_str(&format!(" action=\"{}\"", action.as_str()));
        }
        if let Some(date) = date {
            xml.push_str(&format!(" hashdate=\"{}\"", text(date)));
        }
        xml.push_str(&format!(">{}</{name}>\n", digest.text));
    }
}

fn references_xml(references: &[Reference]) -> String {
    if references.is_empty() {
        return String::new();
    }
    let mut xml = String::from("  <references>\n");
    for Reference { path, c4 } in references {
        let path = text(path);
        xml.push_str(&format!(
            "    <hashlistreference>\n      <path>{path}</path>\n      <c4>{c4}</c4>\n    </hashlistreference>\n"
        ));
    }
    xml.push_str("  </references>\n");
    xml
}

/// Escapes text and attribute values. White space that a reader may fold is written as a character reference.
fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => {
                // Writing to a String cannot fail.
                write!(out, "&#{};", u32::from(c)).ok();
            }
            c => out.push(c),
        }
    }
    out
}
