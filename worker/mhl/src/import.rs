//! Takes over the histories that a source came with, the nested ones too, so that a copy continues them instead of beginning
//! new ones.
//!
//! What is taken over is checked first: a chain that lists other generations than there are is no history. The chain goes
//! last; until it is there, nothing counts.
use super::chain::{self, Link};
use super::folder::Folder;
use super::history::History;
use super::model::MhlError;
use super::proof::{Chains, proven};
use super::source::Source;
use super::tree::join;
use super::{CHAIN_FILE, FOLDER};
use std::io;
use std::path::Path;
use storage::{DirectoryError, Root, Roots};
use tokio_util::sync::CancellationToken;

/// What came with a source.
#[derive(Default)]
pub struct Imported {
    /// Generations that the copy has now and did not have before.
    pub generations: u64,
    /// What is left to hold the copy against.
    pub source: Source,
}

/// Opens the tree that was copied. `None` when it has gone since: nothing is left to hold the copy against.
pub(super) fn source(from: &Path, roots: &Roots) -> Result<Option<Folder>, MhlError> {
    match Folder::open_within(from, roots) {
        Err(MhlError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            tracing::warn!(path = %from.display(), "the source has gone: no history is taken over");
            Ok(None)
        }
        opened => opened.map(Some),
    }
}

/// Gives the tree below `to` the histories of the tree below `from`, where it has none of its own.
pub fn import(
    from: &Path,
    to: &Path,
    roots: &Roots,
    cancel: &CancellationToken,
) -> Result<Imported, MhlError> {
    let Some(from) = source(from, roots)? else {
        return Ok(Imported::default());
    };
    let chains = proven(&from, cancel)?;
    import_chains(&from, (to, roots), &chains, Some(&from), cancel)
}

/// The same with the histories known. Empty directories that a history lists are made, when they are in the tree `there`;
/// without one the history is believed.
pub(super) fn import_chains(
    from: &Folder,
    (to, roots): (&Path, &Roots),
    chains: &Chains,
    there: Option<&Folder>,
    cancel: &CancellationToken,
) -> Result<Imported, MhlError> {
    let mut imported = Imported::default();
    if chains.is_empty() {
        return Ok(imported);
    }
    let root = Root::existing_within(to, roots)
        .map_err(|error| MhlError::io(to)(io::Error::other(error)))?;
    // The outermost history comes before those in it.
    for (prefix, links) in chains {
        let target = made(&root, prefix)?;
        match target.find(FOLDER)? {
            Some(own) if own.entry(CHAIN_FILE).is_ok() => {
                imported.source.add(
                    from,
                    prefix,
                    links,
                    &chain::read(&own, CHAIN_FILE)?,
                    cancel,
                )?;
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
        Err(error) => Err(MhlError::io(&root.path().join(directory))(
            io::Error::other(error),
        )),
    }
}

/// Copies generations and chain into the folder of a new history.
fn copy(history: &Folder, target: &Folder, links: &[Link]) -> Result<(), MhlError> {
    target.begin_history(|made| {
        for name in links
            .iter()
            .map(|link| link.file.as_str())
            .chain([CHAIN_FILE])
        {
            let (mut from, mut to) = (history.open_file(name, false)?, made.create(name)?);
            let copied = io::copy(&mut from, &mut to)
                .and_then(|_| to.set_permissions(from.metadata()?.permissions()));
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
            std::fs::write(at(tree).join("A").join(FOLDER).join(CHAIN_FILE), content)
                .expect("written");
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
        assert_eq!(
            std::fs::read(at("copy/moved").join(FOLDER).join(CHAIN_FILE)).expect("read"),
            b"card"
        );
        assert_eq!(
            std::fs::read_dir(at("elsewhere")).expect("listed").count(),
            0
        );
    }
}
