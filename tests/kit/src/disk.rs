//! A small filesystem that can be filled.
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tmpfs of a given size; unmounted when the value is dropped.
pub struct Disk(PathBuf);

impl Disk {
    /// Mounts one of so many MiB; nothing, with a line that starts with SKIP, where this machine does not permit it.
    ///
    /// # Panics
    /// When the directory cannot be made.
    pub fn mount(at: PathBuf, mebibytes: usize) -> Option<Disk> {
        std::fs::create_dir_all(&at).expect("a directory can be made");
        let size = format!("size={mebibytes}m,mode=0777");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&at)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Disk(at)),
            other => {
                eprintln!("SKIP: a small filesystem cannot be mounted here: {other:?}");
                None
            }
        }
    }

    /// The directory where it is mounted.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Takes all the room there is.
    pub fn fill(&self) {
        let filler = std::fs::File::create(self.0.join("filler"));
        let mut filler = filler.expect("an empty file has room");
        let chunk = [0; 65_536];
        // Until there is none left: that is the point.
        while std::io::Write::write(&mut filler, &chunk).is_ok() {}
    }

    /// Removes the file that fills it.
    pub fn free(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap_or_default();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that still has a file open there is about to end.
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}
