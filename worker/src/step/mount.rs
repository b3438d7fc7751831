//! The mount that a local directory is on. A mount may show a bucket, or a directory of another machine, with a delay.
use rustix::fs::{AtFlags, CWD, StatxFlags, statfs, statx};
use std::path::{Path, PathBuf};

/// Types of file systems that show content of another place, from `linux/magic.h`: FUSE, NFS, SMB (three), Lustre, 9P, AFS,
/// Ceph.
const VIEWS: [u32; 9] = [
    0x6573_5546,
    0x0000_6969,
    0x0000_517b,
    0xff53_4d42,
    0xfe53_4d42,
    0x0bd0_0bd0,
    0x0102_1997,
    0x5346_414f,
    0x00c3_6400,
];

/// A mount, and the real path of a directory on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Mount {
    /// Number of the mount; a bind mount has its own.
    id: u64,
    /// The directory, without symbolic links.
    pub(super) directory: PathBuf,
    /// Whether it may show another place.
    pub(super) is_view: bool,
}

impl Mount {
    /// The number that distinguishes it from other mounts.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The mount of a directory; `None` when the directory cannot be examined.
    pub(super) fn of(directory: &Path) -> Option<Mount> {
        let directory = directory.canonicalize().ok()?;
        let found = statx(CWD, &directory, AtFlags::empty(), StatxFlags::MNT_ID).ok()?;
        let kind = statfs(&directory).ok()?.f_type;
        // The number has 32 bits; some systems extend its sign.
        let is_view = VIEWS.contains(&((kind as i64 & 0xffff_ffff) as u32));
        Some(Mount {
            id: found.stx_mnt_id,
            directory,
            is_view,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_has_the_mount_that_it_leads_to() {
        let dir = tempfile::tempdir().expect("a temp dir");
        std::os::unix::fs::symlink(dir.path(), dir.path().join("link")).expect("linked");
        let mount = Mount::of(dir.path()).expect("it is there");
        assert_eq!(Mount::of(&dir.path().join("link")), Some(mount.clone()));
        assert_ne!(
            Mount::of(Path::new("/proc")).map(|other| other.id),
            Some(mount.id)
        );
        assert_eq!(Mount::of(&dir.path().join("missing")), None);
    }
}
