//! The listed library of a unit, as far as a transfer has to know it.
use crate::step::assets::base;
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use protocol::media::template;
use protocol::wire::step::transfer::TransferTask;
use std::path::{Path, PathBuf};
use storage::local_path;

/// Fails when a target lies inside the library that is copied: the next listing would find the copies and copy them
/// too. The names may differ, where links lead there. Blocks.
pub(super) fn outside_library(task: &TransferTask, assets: &[Asset]) -> Result<(), Failure> {
    let Some(library) = assets
        .iter()
        .find_map(base)
        .and_then(|library| std::fs::canonicalize(library).ok())
    else {
        return Ok(());
    };
    let Ok(root) = local_path(template::root(&task.to)) else {
        return Ok(());
    };
    match real(&root).starts_with(&library) {
        true => Err(Failure::permanent(
            "target_invalid",
            format!(
                "target {} lies inside the library {}, whose next listing would copy the copies: change the target",
                root.display(),
                library.display()
            ),
        )),
        false => Ok(()),
    }
}

/// The path that a directory has or will have: links of the part that exists are followed.
fn real(path: &Path) -> PathBuf {
    let existing = path
        .ancestors()
        .find_map(|place| Some((place, std::fs::canonicalize(place).ok()?)));
    match existing {
        Some((place, real)) => real.join(path.strip_prefix(place).unwrap_or(Path::new(""))),
        None => path.to_owned(),
    }
}
