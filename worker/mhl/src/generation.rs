//! The files of a generation in the folder of its history: how they become visible, and what an interrupted seal left.
use super::folder::Folder;
use super::history::History;
use super::model::{MhlError, Reference};
use super::scope::Scope;
use super::{CHAIN_FILE, FOLDER, TOOL};
use std::io::Write;
use storage::PARTIAL_SUFFIX;
use storage::hash::Digest;

/// Writes the generation and lists it in the chain, unless nothing is new. Returns how to refer to it.
pub(super) fn commit(
    scope: Scope,
    directory: &Folder,
    content: &Digest,
    structure: &Digest,
) -> Result<Option<Reference>, MhlError> {
    if !scope.has_news() {
        return Ok(None);
    }
    let name = directory
        .shown()
        .file_name()
        .map_or_else(|| "root".to_owned(), |n| n.to_string_lossy().into_owned());
    let written = match directory.find(FOLDER)? {
        Some(folder) => write(scope, &name, &folder, content, structure),
        // The first generation appears together with its chain.
        None => directory.begin_history(|folder| write(scope, &name, folder, content, structure)),
    };
    written.map(Some)
}

/// Writes the generation and the chain of the tree `name` into an open folder.
fn write(
    scope: Scope,
    name: &str,
    folder: &Folder,
    content: &Digest,
    structure: &Digest,
) -> Result<Reference, MhlError> {
    let temporary = format!(".{:04}{PARTIAL_SUFFIX}", scope.history.next_number());
    let written = scope.write(name, content, structure, folder, &temporary)?;
    folder.rename(&temporary, &written.file)?;
    replace(folder, CHAIN_FILE, &written.chain)?;
    Ok(written.reference)
}

/// Removes what an interrupted seal left. A generation that another tool wrote and did not list is kept and reported.
pub(super) fn clear_leftovers(directory: &Folder, history: &History) -> Result<(), MhlError> {
    directory.clear_unborn_history()?;
    let Some(folder) = directory.find(FOLDER)? else {
        return Ok(());
    };
    for (path, tool) in &history.unlisted {
        if tool.as_deref() != Some(TOOL) {
            let problem = format!("{} is not listed in {CHAIN_FILE}", path.display());
            return Err(MhlError::Broken {
                folder: folder.shown().to_owned(),
                problem,
            });
        }
        folder.remove_file(path.file_name().unwrap_or_default())?;
    }
    for (name, _) in folder.entries()? {
        if name.to_string_lossy().ends_with(PARTIAL_SUFFIX) {
            folder.remove_file(&name)?;
        }
    }
    Ok(())
}

/// Replaces a file by `content`, on disk before it is visible.
fn replace(folder: &Folder, name: &str, content: &str) -> Result<(), MhlError> {
    let temporary = format!(".{name}{PARTIAL_SUFFIX}");
    let mut file = folder.create(&temporary)?;
    let written = file
        .write_all(content.as_bytes())
        .and_then(|()| file.sync_all());
    written.map_err(MhlError::io(&folder.at(&temporary)))?;
    folder.rename(&temporary, name)
}
