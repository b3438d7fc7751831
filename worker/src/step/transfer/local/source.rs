//! The source file of a copy, and the check that it has not changed.
use crate::step::assets::Bases;
use crate::step::transfer::error_map;
use protocol::failure::Failure;
use protocol::media::asset::Asset;
use rustix::fs::{Stat, fstat, stat};
use std::fs::File;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

/// Identifies one state of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    device: u64,
    inode: u64,
    /// Size in bytes.
    pub(super) bytes: u64,
    /// Modification time: seconds and nanoseconds since 1970.
    pub(super) modified: (i64, i64),
}

/// An open source.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) state: State,
}

impl State {
    /// Modification time in microseconds since 1970.
    pub(super) fn modified_us(&self) -> i64 {
        self.modified
            .0
            .saturating_mul(1_000_000)
            .saturating_add(self.modified.1 / 1_000)
    }

    fn of(stat: &Stat) -> State {
        State {
            device: stat.st_dev,
            inode: stat.st_ino,
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (
                stat.st_mtime,
                i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
            ),
        }
    }
}

impl Source {
    /// Opens the source of an asset: a regular file, or a symbolic link to one. Never waits on a pipe and never touches a
    /// device.
    pub(super) fn open(asset: &Asset, path: &Path, bases: &Bases<'_>) -> Result<Source, Failure> {
        let file = bases
            .open_file(asset, path)
            .map_err(|error| error_map::root(&error))?;
        let opened = fstat(&file).map_err(|errno| error_map::source(path, errno))?;
        Ok(Source {
            path: path.to_owned(),
            file,
            state: State::of(&opened),
        })
    }

    /// Fails when the open file has changed, or when its path names another file.
    pub(super) fn check_unchanged(&self) -> Result<(), Failure> {
        let changed = |what: String| Err(error_map::source_changed(&self.path, &what));
        let now =
            State::of(&fstat(&self.file).map_err(|errno| error_map::source(&self.path, errno))?);
        if now.bytes != self.state.bytes {
            return changed(format!(
                "it had {} bytes and has {}",
                self.state.bytes, now.bytes
            ));
        }
        if now.modified != self.state.modified {
            return changed("its modification time moved".to_owned());
        }
        match stat(&self.path).map(|stat| State::of(&stat)) {
            Ok(named) if (named.device, named.inode) == (now.device, now.inode) => Ok(()),
            Ok(_) => changed("another file took its place".to_owned()),
            Err(errno) => changed(format!("it can no longer be found: {errno}")),
        }
    }

    /// A number that is the same for the same file in the same state: a partial copy is resumed only from that.
    pub(super) fn identity(&self) -> u64 {
        let State {
            device,
            inode,
            bytes,
            modified,
        } = self.state;
        xxh3_64(
            format!(
                "{}\0{device}\0{inode}\0{bytes}\0{modified:?}",
                self.path.display()
            )
            .as_bytes(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::media::asset::Role;
    use rustix::fs::{CWD, Mode};
    use storage::Roots;

    fn asset(path: &Path) -> Asset {
        Asset {
            id: "a".into(),
            title: "t".into(),
            role: Role::Master,
            location: format!("file:{}", path.display()),
            path: "a".into(),
            bytes: None,
            hash: None,
            declared: None,
        }
    }

    fn open_one(path: &Path) -> Result<Source, Failure> {
        Source::open(&asset(path), path, &Bases::new(&Roots::default()))
    }

    fn reason(result: Result<impl Sized, Failure>) -> String {
        result
            .err()
            .map(|failure| failure.reason)
            .expect("a failure")
    }

    #[test]
    fn only_regular_files_are_sources() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let at = |name: &str| dir.path().join(name);
        std::os::unix::fs::symlink("loop", at("loop")).expect("linked");
        rustix::fs::mkfifoat(CWD, at("pipe"), Mode::from_raw_mode(0o600)).expect("made");
        let open = open_one;
        assert_eq!(reason(open(&at("missing"))), "source_missing");
        assert_eq!(reason(open(&at("loop"))), "source_symlink_loop");
        assert_eq!(reason(open(dir.path())), "source_not_a_file");
        assert_eq!(reason(open(&at("pipe"))), "source_not_a_file");
        assert_eq!(reason(open(Path::new("/dev/null"))), "source_not_a_file");
        assert_eq!(
            reason(open(&at("x").join("a".repeat(300)))),
            "source_missing"
        );
        assert_eq!(reason(open(&at(&"a".repeat(300)))), "source_invalid");
    }

    #[test]
    fn notices_growth_rewrites_and_replacement() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("a");
        std::fs::write(&path, b"one").expect("written");
        let source = open_one(&path).expect("opened");
        assert_eq!(source.check_unchanged(), Ok(()));
        std::fs::write(dir.path().join("b"), b"two").expect("written");
        std::fs::rename(dir.path().join("b"), &path).expect("replaced");
        assert_eq!(reason(source.check_unchanged()), "source_changed");
        let source = open_one(&path).expect("opened");
        std::fs::write(&path, b"longer").expect("written");
        assert_eq!(reason(source.check_unchanged()), "source_changed");
        let source = open_one(&path).expect("opened");
        let identity = source.identity();
        File::options()
            .write(true)
            .open(&path)
            .and_then(|f| f.set_modified(std::time::UNIX_EPOCH))
            .expect("touched");
        assert_eq!(reason(source.check_unchanged()), "source_changed");
        assert_ne!(open_one(&path).expect("opened").identity(), identity);
        let source = open_one(&path).expect("opened");
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(reason(source.check_unchanged()), "source_changed");
    }
}
