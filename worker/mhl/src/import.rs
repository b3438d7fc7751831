//! Takes over the histories that a source came with, the nested ones too, so that a copy continues them instead of beginning
//! new ones.
//!
//! What is taken over is checked first: a chain that lists other generations than there are is no history. The chain goes
//! last; until it is there, nothing counts.
use super::chain::{self, Link};
use super::folder::{Folder, kind};
use super::history::{History, Known, c4_of};
use super::journal;
use super::model::MhlError;
use super::tree::join;
use super::{CHAIN_FILE, FOLDER};
use rustix::fs::{FileType, Stat};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use storage::{DirectoryError, Root};
use tokio_util::sync::CancellationToken;

/// Proven chains of a tree, by the directory that each describes, relative to the tree.
pub(super) type Chains = BTreeMap<String, Vec<Link>>;

/// What the histories of a source say of its files that those of the copy do not say.
#[derive(Default)]
pub struct Source {
    /// The outermost first.
    histories: Vec<(String, History)>,
}

impl Source {
    /// What the innermost history that has the file knows of it.
    pub(super) fn known(&self, path: &str) -> Option<&Known> {
        self.histories.iter().rev().find_map(|(prefix, history)| {
            let relative =
                if prefix.is_empty() { path } else { path.strip_prefix(prefix.as_str())?.strip_prefix('/')? };
            history.files.get(relative).filter(|known| known.original().is_some())
        })
    }

    /// Adds the history of the directory `prefix` of the source `from`, unless the copy's has all of its generations.
    pub(super) fn add(
        &mut self,
        from: &Folder,
        prefix: &str,
        theirs: &[Link],
        ours: &[Link],
        cancel: &CancellationToken,
    ) -> Result<(), MhlError> {
        if !theirs.iter().all(|link| ours.iter().any(|own| own.c4 == link.c4)) {
            self.histories.push((prefix.to_owned(), History::load(&from.below(prefix)?, cancel)?));
        }
        Ok(())
    }
}

/// What came with a source.
#[derive(Default)]
pub struct Imported {
    /// Generations that the copy has now and did not have before.
    pub generations: u64,
    /// What is left to hold the copy against.
    pub source: Source,
}

/// Opens the tree that was copied. `None` when it has gone since: nothing is left to hold the copy against.
pub(super) fn source(from: &Path) -> Result<Option<Folder>, MhlError> {
    match Folder::open(from) {
        Err(MhlError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            tracing::warn!(path = %from.display(), "the source has gone: no history is taken over");
            Ok(None)
        }
        opened => opened.map(Some),
    }
}

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
            let Ok(name) = name.into_string() else { continue };
            let own = name == FOLDER || name == journal::DIRECTORY;
            if !own && kind == FileType::Directory {
                open.push(join(&directory, &name));
            }
        }
    }
    Ok(chains)
}

/// The chain of the history of one directory.
fn proven_one(directory: &Folder) -> Result<Option<Vec<Link>>, MhlError> {
    let broken = |problem: String| Err(MhlError::Broken { folder: directory.at(FOLDER), problem });
    let folder = match directory.find(FOLDER) {
        Err(MhlError::Linked(_)) if directory.target(join(FOLDER, CHAIN_FILE)).is_ok_and(|found| is_file(&found)) => {
            return broken("it is a symbolic link".to_owned());
        }
        Ok(Some(folder)) => folder,
        Ok(None) | Err(_) => return Ok(None),
    };
    match folder.entry(CHAIN_FILE) {
        Ok(found) if kind(&found) == FileType::Symlink => return broken(format!("{CHAIN_FILE} is a symbolic link")),
        Ok(found) if is_file(&found) => {}
        _ => return Ok(None),
    }
    let links = chain::read(&folder, CHAIN_FILE)?;
    for link in &links {
        let c4 = match c4_of(&folder, &link.file) {
            Err(MhlError::Linked(_)) => return broken(format!("generation {} is a symbolic link", link.file)),
            c4 => c4?,
        };
        if c4 != link.c4 {
            return broken(format!("generation {} is not the one the chain lists: it was changed", link.file));
        }
    }
    Ok(Some(links))
}

fn is_file(found: &Stat) -> bool {
    kind(found) == FileType::RegularFile
}

/// Gives the tree below `to` the histories of the tree below `from`, where it has none of its own.
pub fn import(from: &Path, to: &Path, cancel: &CancellationToken) -> Result<Imported, MhlError> {
    let Some(from) = source(from)? else { return Ok(Imported::default()) };
    let chains = proven(&from, cancel)?;
    import_chains(&from, to, &chains, Some(&from), cancel)
}

/// The same with the histories known. Empty directories that a history lists are made, when they are in the tree `there`;
/// without one the history is believed.
pub(super) fn import_chains(
    from: &Folder,
    to: &Path,
    chains: &Chains,
    there: Option<&Folder>,
    cancel: &CancellationToken,
) -> Result<Imported, MhlError> {
    let mut imported = Imported::default();
    if chains.is_empty() {
        return Ok(imported);
    }
    let root = Root::existing(to).map_err(|error| MhlError::io(to)(io::Error::other(error)))?;
    // The outermost history comes before those in it.
    for (prefix, links) in chains {
        let target = made(&root, prefix)?;
        match target.find(FOLDER)? {
            Some(own) if own.entry(CHAIN_FILE).is_ok() => {
                imported.source.add(from, prefix, links, &chain::read(&own, CHAIN_FILE)?, cancel)?;
            }
            _ => {
                copy(&from.below(join(prefix, FOLDER))?, &target, links)?;
                imported.generations += links.len() as u64;
            }
        }
        for directory in History::load(&target, cancel)?.empty_directories() {
            let full = join(prefix, &directory);
            if there.is_none_or(|tree| tree.below(&full).is_ok()) {
                made(&root, &full)?;
            }
        }
    }
    Ok(imported)
}

/// Opens a directory below the root, making what is missing, never through a link that leaves the root.
fn made(root: &Root, directory: &str) -> Result<Folder, MhlError> {
    match root.directory(Path::new(directory)) {
        Ok(made) => Folder::of(&made),
        Err(DirectoryError::Escapes { path, .. }) => Err(MhlError::Linked(path)),
        Err(error) => Err(MhlError::io(&root.path().join(directory))(io::Error::other(error))),
    }
}

/// Copies generations and chain into the folder of a new history.
fn copy(history: &Folder, target: &Folder, links: &[Link]) -> Result<(), MhlError> {
    target.begin_history(|made| {
        for name in links.iter().map(|link| link.file.as_str()).chain([CHAIN_FILE]) {
            let (mut from, mut to) = (history.open_file(name, false)?, made.create(name)?);
            let copied = io::copy(&mut from, &mut to).and_then(|_| to.set_permissions(from.metadata()?.permissions()));
            copied.map_err(MhlError::io(&history.at(name)))?;
            to.sync_all().map_err(MhlError::io(&made.at(name)))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn history_is_copied_between_the_directories_that_were_opened() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let at = |path: &str| dir.path().join(path);
        for (tree, content) in [("card", "card"), ("outside", "outside")] {
            std::fs::create_dir_all(at(tree).join("A").join(FOLDER)).expect("created");
            std::fs::write(at(tree).join("A").join(FOLDER).join(CHAIN_FILE), content).expect("written");
        }
        std::fs::create_dir(at("copy")).expect("created");
        let card = Folder::open(&at("card")).expect("opened");
        let history = card.below(join("A", FOLDER)).expect("there");
        let target = made(&Root::existing(&at("copy")).expect("opened"), "A").expect("made");
        for (tree, moved) in [("card/A", "card/moved"), ("copy/A", "copy/moved")] {
            std::fs::rename(at(tree), at(moved)).expect("moved");
        }
        std::fs::create_dir(at("elsewhere")).expect("created");
        symlink(at("outside/A"), at("card/A")).expect("linked");
        symlink(at("elsewhere"), at("copy/A")).expect("linked");
        copy(&history, &target, &[]).expect("copied");
        assert_eq!(std::fs::read(at("copy/moved").join(FOLDER).join(CHAIN_FILE)).expect("read"), b"card");
        assert_eq!(std::fs::read_dir(at("elsewhere")).expect("listed").count(), 0);
    }
}
