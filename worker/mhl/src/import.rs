//! Takes over the histories that a source came with, the nested ones too, so that a copy continues them instead of beginning
//! new ones.
//!
//! What is taken over is checked first: a chain that lists other generations than there are is no history. The chain goes
//! last; until it is there, nothing counts.
use super::chain::{self, Link};
use super::folder::OwnFolder;
use super::history::{History, Known, c4_of};
use super::journal;
use super::model::MhlError;
use super::tree::join;
use super::{CHAIN_FILE, FOLDER};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use storage::{PARTIAL_SUFFIX, Root};
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

    /// Adds the history of the directory `prefix` of the source below `from`, unless the copy's has all of its generations.
    pub(super) fn add(
        &mut self,
        from: &Path,
        prefix: &str,
        theirs: &[Link],
        ours: &[Link],
        cancel: &CancellationToken,
    ) -> Result<(), MhlError> {
        if !theirs.iter().all(|link| ours.iter().any(|own| own.c4 == link.c4)) {
            self.histories.push((prefix.to_owned(), History::load(&from.join(prefix), cancel)?));
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

/// The chains of the histories in the tree at `from`, proven; empty when there is none.
pub(super) fn proven(from: &Path, cancel: &CancellationToken) -> Result<Chains, MhlError> {
    let (mut chains, mut open) = (Chains::new(), vec![String::new()]);
    while let Some(directory) = open.pop() {
        if cancel.is_cancelled() {
            return Err(MhlError::Cancelled);
        }
        let path = from.join(&directory);
        if let Some(links) = proven_one(&path)? {
            chains.insert(directory.clone(), links);
        }
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            // It has gone since it was copied: there is nothing to hold the copy against.
            Err(error) if directory.is_empty() && error.kind() == io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), "the source has gone: no history is taken over");
                return Ok(chains);
            }
            Err(error) if directory.is_empty() => return Err(MhlError::io(&path)(error)),
            // The listing of the library has named it.
            Err(_) => continue,
        };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let own = name == FOLDER || name == journal::DIRECTORY;
            if !own && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(join(&directory, &name));
            }
        }
    }
    Ok(chains)
}

/// The chain of the history of one directory.
fn proven_one(from: &Path) -> Result<Option<Vec<Link>>, MhlError> {
    let shown = from.join(FOLDER);
    let broken = |problem: String| Err(MhlError::Broken { folder: shown.clone(), problem });
    let folder = match OwnFolder::of(from) {
        Err(MhlError::Linked(link)) if link.join(CHAIN_FILE).is_file() => {
            return broken("it is a symbolic link".to_owned());
        }
        Err(_) => return Ok(None),
        Ok(folder) => folder,
    };
    let chain = folder.entry(CHAIN_FILE);
    if !folder.is_there() || !chain.is_file() {
        return Ok(None);
    }
    let links = chain::read(&chain).map_err(|error| folder.named(error))?;
    for link in &links {
        if c4_of(&folder.entry(&link.file)).map_err(|error| folder.named(error))? != link.c4 {
            return broken(format!("generation {} is not the one the chain lists: it was changed", link.file));
        }
    }
    Ok(Some(links))
}

/// Gives the tree below `to` the histories of the tree below `from`, where it has none of its own.
pub fn import(from: &Path, to: &Path, cancel: &CancellationToken) -> Result<Imported, MhlError> {
    let chains = proven(from, cancel)?;
    import_chains(from, to, &chains, Some(from), cancel)
}

/// The same with the histories known. Empty directories that a history lists are made, when they are in the tree `there`;
/// without one the history is believed.
pub(super) fn import_chains(
    from: &Path,
    to: &Path,
    chains: &Chains,
    there: Option<&Path>,
    cancel: &CancellationToken,
) -> Result<Imported, MhlError> {
    let mut imported = Imported::default();
    if chains.is_empty() {
        return Ok(imported);
    }
    let root = Root::existing(to).map_err(|error| MhlError::io(to)(io::Error::other(error)))?;
    // The outermost history comes before those in it.
    for (prefix, links) in chains {
        let target = if prefix.is_empty() { to.to_owned() } else { to.join(prefix) };
        made(&root, to, prefix)?;
        let own = OwnFolder::of(&target)?;
        if own.is_there() && own.entry(CHAIN_FILE).exists() {
            let ours = chain::read(&own.entry(CHAIN_FILE)).map_err(|error| own.named(error))?;
            imported.source.add(from, prefix, links, &ours, cancel)?;
        } else {
            copy(&from.join(prefix), &target, links)?;
            imported.generations += links.len() as u64;
        }
        let history = History::load(&target, cancel)?;
        for directory in history.empty_directories() {
            let full = join(prefix, &directory);
            let is_there = |tree: &Path| std::fs::symlink_metadata(tree.join(&full)).is_ok_and(|found| found.is_dir());
            if there.is_none_or(is_there) {
                made(&root, to, &full)?;
            }
        }
    }
    Ok(imported)
}

/// Makes a directory below the root, never through a link that leaves it.
fn made(root: &Root, to: &Path, directory: &str) -> Result<(), MhlError> {
    match root.directory(Path::new(directory)) {
        Ok(_) => Ok(()),
        Err(::storage::DirectoryError::Escapes { path, .. }) => Err(MhlError::Linked(path)),
        Err(error) => Err(MhlError::io(&to.join(directory))(io::Error::other(error))),
    }
}

fn copy(from: &Path, to: &Path, links: &[Link]) -> Result<(), MhlError> {
    let source = OwnFolder::of(from)?;
    OwnFolder::of(to)?;
    // Like the first generation, it appears together with its chain.
    let work = to.join(format!(".{FOLDER}{PARTIAL_SUFFIX}"));
    if work.exists() {
        std::fs::remove_dir_all(&work).map_err(MhlError::io(&work))?;
    }
    std::fs::create_dir(&work).map_err(MhlError::io(&work))?;
    let made = OwnFolder::hold(work.clone())?;
    for name in links.iter().map(|link| link.file.as_str()).chain([CHAIN_FILE]) {
        let target = made.entry(name);
        std::fs::copy(source.entry(name), &target).map_err(MhlError::io(&source.shown().join(name)))?;
        let synced = File::open(&target).and_then(|file| file.sync_all());
        synced.map_err(MhlError::io(&made.shown().join(name)))?;
    }
    let folder = to.join(FOLDER);
    std::fs::rename(&work, &folder).map_err(MhlError::io(&folder))?;
    File::open(to).and_then(|directory| directory.sync_all()).map_err(MhlError::io(to))
}
