//! Takes over the history that a source came with, so that a copy continues it instead of beginning a new one.
//!
//! What is taken over is checked first: a chain that lists other generations than there are is no history. The chain goes
//! last; until it is there, nothing counts.
use super::chain::{self, Link};
use super::history::c4_of;
use super::model::MhlError;
use super::{CHAIN_FILE, FOLDER};
use crate::storage::PARTIAL_SUFFIX;
use std::fs::File;
use std::path::Path;

/// The chain of the history at the root of `from`, proven; `None` when there is no history.
pub(super) fn proven(from: &Path) -> Result<Option<Vec<Link>>, MhlError> {
    let folder = from.join(FOLDER);
    let chain = folder.join(CHAIN_FILE);
    if !chain.is_file() {
        return Ok(None);
    }
    let links = chain::read(&chain)?;
    for link in &links {
        if c4_of(&folder.join(&link.file))? != link.c4 {
            let problem = format!("generation {} is not the one the chain lists: it was changed", link.file);
            return Err(MhlError::Broken { folder, problem });
        }
    }
    Ok(Some(links))
}

/// Gives the tree below `to` the history of the tree below `from`, when it has none of its own. Returns the number of
/// generations that came with it.
pub fn import(from: &Path, to: &Path) -> Result<u64, MhlError> {
    let folder = to.join(FOLDER);
    if folder.join(CHAIN_FILE).exists() {
        return Ok(0);
    }
    let Some(links) = proven(from)? else { return Ok(0) };
    // Like the first generation, it appears together with its chain.
    let work = to.join(format!(".{FOLDER}{PARTIAL_SUFFIX}"));
    if work.exists() {
        std::fs::remove_dir_all(&work).map_err(MhlError::io(&work))?;
    }
    std::fs::create_dir_all(&work).map_err(MhlError::io(&work))?;
    for name in links.iter().map(|link| link.file.as_str()).chain([CHAIN_FILE]) {
        let (source, target) = (from.join(FOLDER).join(name), work.join(name));
        std::fs::copy(&source, &target).map_err(MhlError::io(&source))?;
        File::open(&target).and_then(|file| file.sync_all()).map_err(MhlError::io(&target))?;
    }
    std::fs::rename(&work, &folder).map_err(MhlError::io(&folder))?;
    File::open(to).and_then(|directory| directory.sync_all()).map_err(MhlError::io(to))?;
    Ok(links.len() as u64)
}
