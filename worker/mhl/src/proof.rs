//! Chains that list exactly the generations that are there: what counts as the history of a source.
use super::chain::{self, Link, c4_of};
use super::folder::{Folder, kind};
use super::journal;
use super::model::MhlError;
use super::tree::join;
use super::{CHAIN_FILE, FOLDER};
use rustix::fs::{FileType, Stat};
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

/// Proven chains of a tree, by the directory that each describes, relative to the tree.
pub(super) type Chains = BTreeMap<String, Vec<Link>>;

/// The chains of the histories in the tree `from`, proven; empty when there is none.
pub(super) fn proven(from: &Folder, cancel: &CancellationToken) -> Result<Chains, MhlError> {
    let (mut chains, mut open) = (Chains::new(), vec![String::new()]);
    while let Some(directory) = open.pop() {
        if cancel.is_cancelled() {
            return Err(MhlError::Cancelled);
        }
        let folder = match from.below(&directory) {
            Ok(folder) => folder,
            Err(error) if directory.is_empty() => return Err(error),
            // The listing of the library has named it.
            Err(_) => continue,
        };
        if let Some(links) = proven_one(&folder)? {
            chains.insert(directory.clone(), links);
        }
        let entries = match folder.entries() {
            Ok(entries) => entries,
            Err(error) if directory.is_empty() => return Err(error),
            Err(_) => continue,
        };
        for (name, kind) in entries {
            let Ok(name) = name.into_string() else {
                continue;
            };
            let own = name == FOLDER || name == journal::DIRECTORY;
            if !own && kind == FileType::Directory {
                open.push(join(&directory, &name));
            }
        }
    }
    Ok(chains)
}

/// The chain of the history of one directory.
pub(super) fn proven_one(directory: &Folder) -> Result<Option<Vec<Link>>, MhlError> {
    let broken = |problem: String| {
        Err(MhlError::Broken {
            folder: directory.at(FOLDER),
            problem,
        })
    };
    let folder = match directory.find(FOLDER) {
        Err(MhlError::Linked(_))
            if directory
                .target(join(FOLDER, CHAIN_FILE))
                .is_ok_and(|found| is_file(&found)) =>
        {
            return broken("it is a symbolic link".to_owned());
        }
        Ok(Some(folder)) => folder,
        Ok(None) | Err(_) => return Ok(None),
    };
    match folder.entry(CHAIN_FILE) {
        Ok(found) if kind(&found) == FileType::Symlink => {
            return broken(format!("{CHAIN_FILE} is a symbolic link"));
        }
        Ok(found) if is_file(&found) => {}
        _ => return Ok(None),
    }
    let links = chain::read(&folder, CHAIN_FILE)?;
    for link in &links {
        let c4 = match c4_of(&folder, &link.file) {
            Err(MhlError::Linked(_)) => {
                return broken(format!("generation {} is a symbolic link", link.file));
            }
            c4 => c4?,
        };
        if c4 != link.c4 {
            return broken(format!(
                "generation {} is not the one the chain lists: it was changed",
                link.file
            ));
        }
    }
    Ok(Some(links))
}

fn is_file(found: &Stat) -> bool {
    kind(found) == FileType::RegularFile
}
