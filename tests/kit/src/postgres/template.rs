//! Data directories of new servers. `initdb` makes one for each installed PostgreSQL; all other servers start on a copy.
use rustix::process::getuid;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the template of these programs is kept. Programs that were replaced have a template of their own.
fn path(binaries: &Path) -> Option<PathBuf> {
    let initdb = binaries.join("initdb").metadata().ok()?;
    let name = format!(
        "postgres-{}-{}-{}",
        getuid().as_raw(),
        initdb.len(),
        initdb.mtime()
    );
    Some(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../target/kit")
            .join(name),
    )
}

/// Copies with owners and modes. `false` when that fails: no template may have been made yet.
fn copy(from: &Path, to: &Path) -> bool {
    let copied = Command::new("cp")
        .args(["-a", "--reflink=auto"])
        .arg(from)
        .arg(to)
        .output();
    copied.is_ok_and(|copied| copied.status.success())
}

/// Fills `to`, which must not exist, with a copy of the template.
pub(super) fn restore(binaries: &Path, to: &Path) -> bool {
    path(binaries).is_some_and(|template| template.is_dir() && copy(&template, to))
}

/// Keeps a copy of a data directory that no server has used. It gets its name when it is complete; another test may have
/// been faster.
pub(super) fn keep(binaries: &Path, from: &Path) {
    let Some(template) = path(binaries) else {
        return;
    };
    let draft = template.with_extension(format!("{:08x}", fastrand::u32(..)));
    let above = template.parent().map_or(Ok(()), std::fs::create_dir_all);
    if above.is_err() || !copy(from, &draft) || std::fs::rename(&draft, &template).is_err() {
        std::fs::remove_dir_all(&draft).ok();
    }
}
