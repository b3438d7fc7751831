//! The chain file: which generations a history has, each with the C4 id of its file.
use super::folder::Folder;
use super::model::MhlError;
use super::read::{append_text, attribute, parse};
use protocol::model::hash::HashAlgorithm;
use quick_xml::events::Event;
use quick_xml::reader::Reader;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use storage::hash::{HashError, hash_open_file};
use tokio_util::sync::CancellationToken;

/// One line of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// Number of the generation, from 1.
    pub(super) number: u64,
    /// Name of its file, which is in the directory of the chain.
    pub(super) file: String,
    /// C4 id of that file.
    pub(super) c4: String,
}

/// Reads the chain file `name` of a folder.
pub(super) fn read(folder: &Folder, name: &str) -> Result<Vec<Link>, MhlError> {
    let (file, path) = (folder.open_file(name, false)?, folder.at(name));
    let mut reader = Reader::from_reader(BufReader::new(file));
    let (mut links, mut text, mut depth, mut complete) = (Vec::new(), String::new(), 0usize, false);
    let mut link = Link {
        number: 0,
        file: String::new(),
        c4: String::new(),
    };
    parse(&mut reader, &path, |event| {
        match event {
            Event::Start(start) => {
                text.clear();
                depth += 1;
                if start.local_name().as_ref() == "hashlist" {
                    let number = attribute(start, "sequencenr")?.unwrap_or_default();
                    let number = number
                        .trim()
                        .parse()
                        .map_err(|_| format!("sequencenr {number:?} is no number"))?;
                    link = Link {
                        number,
                        file: String::new(),
                        c4: String::new(),
                    };
                }
            }
            Event::End(end) => {
                depth = depth.saturating_sub(1);
                match end.local_name().as_ref() {
                    "path" => link.file = file_name(&text)?,
                    "c4" => link.c4 = text.trim().to_owned(),
                    "hashlist" => links.push(link.clone()),
                    "ascmhldirectory" => complete = depth == 0,
                    _ => {}
                }
            }
            other => append_text(other, &mut text)?,
        }
        Ok(())
    })?;
    if complete {
        return Ok(links);
    }
    let problem = "this is no complete ASC MHL chain".to_owned();
    Err(MhlError::Malformed {
        path,
        position: reader.buffer_position(),
        problem,
    })
}

/// C4 id of a file of a history.
pub(super) fn c4_of(folder: &Folder, name: &str) -> Result<String, MhlError> {
    c4_of_file(&folder.open_file(name, false)?, &folder.at(name))
}

/// C4 id of an open file; `path` is its name in messages.
pub(super) fn c4_of_file(file: &File, path: &Path) -> Result<String, MhlError> {
    match hash_open_file(file, &[HashAlgorithm::C4], &CancellationToken::new()) {
        Ok((digests, _)) => Ok(digests
            .into_iter()
            .next()
            .map_or_else(String::new, |digest| digest.text)),
        Err(HashError::Read(source)) => Err(MhlError::Io {
            path: path.to_owned(),
            source,
        }),
        Err(HashError::Cancelled) => Err(MhlError::Cancelled),
    }
}

/// The file name of a generation; an error when it leads out of the directory of the chain.
fn file_name(text: &str) -> Result<String, String> {
    let bad = text.is_empty() || text.contains(['/', '\0']) || text == "..";
    if bad {
        Err(format!("{text:?} is no file name"))
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::write::chain_xml;
    use super::*;

    #[test]
    fn reads_what_is_written_and_nothing_less() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("chain.xml");
        let xml = chain_xml([(1, "0001_a&b.mhl", "c4x"), (2, "0002_a.mhl", "c4y")].into_iter());
        std::fs::write(&path, &xml).expect("written");
        let folder = Folder::open(dir.path()).expect("opened");
        let links = read(&folder, "chain.xml").expect("well formed");
        assert_eq!(
            (links.len(), links[0].file.as_str(), links[1].number),
            (2, "0001_a&b.mhl", 2)
        );
        for bad in [&xml[..xml.len() - 5], "", &xml.replace("0002_a", "../x")] {
            std::fs::write(&path, bad).expect("written");
            assert!(
                matches!(read(&folder, "chain.xml"), Err(MhlError::Malformed { .. })),
                "{bad}"
            );
        }
    }
}
