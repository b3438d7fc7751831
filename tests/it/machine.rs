//! A machine that does not play along: a full disk, a file that changes under the reader.
use crate::jobs::{LAND, assert_failed, count, failed_assets, manifest};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use testkit::content::{assert_tree, bytes};
use testkit::{Ran, Scratch};

/// A small filesystem, unmounted when the test ends.
struct Disk(PathBuf);

impl Disk {
    /// Mounts one; `None` where that is not permitted.
    fn mount(path: PathBuf, mebibytes: usize) -> Option<Disk> {
        fs::create_dir_all(&path).expect("a scratch directory can be made");
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "none"])
            .arg(&path);
        match command.output() {
            Ok(output) if output.status.success() => Some(Disk(path)),
            _ => None,
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let mut command = Command::new("umount");
        command.arg("--lazy").arg(&self.0);
        let ran = Ran::of(command);
        if ran.code != 0 {
            eprintln!("{} is still mounted: {}", self.0.display(), ran.stderr);
        }
    }
}

#[test]
fn full_disk_fails_assets_and_leaves_no_partial_file() {
    let scratch = Scratch::new();
    let Some(_disk) = Disk::mount(scratch.path("out"), 4) else {
        println!("SKIP: a tmpfs may not be mounted here");
        return;
    };
    let (small, large) = (bytes(1, 100_000), bytes(2, 8 << 20));
    scratch.write("in/small.bin", &small);
    scratch.write("in/large.bin", &large);
    scratch.write("in/last.bin", &small);
    let rows = [
        ("a", "t", "in/small.bin"),
        ("b", "t", "in/large.bin"),
        ("c", "t", "in/last.bin"),
    ];
    scratch.write("manifest.csv", manifest(&rows));
    scratch.write("job.yaml", LAND);
    let summary = scratch.run_job("job.yaml", 3);
    assert_eq!(failed_assets(&summary), ["b"]);
    assert_failed(
        &summary,
        "b",
        "destination_full",
        &["no space", "large.bin", "free or add space"],
    );
    assert_eq!(
        (
            count(&summary, "/units/succeeded"),
            count(&summary, "/units/dead")
        ),
        (2, 1)
    );
    let expected = [("t/small.bin", small.clone()), ("t/last.bin", small)];
    assert_tree(
        &scratch.path("out"),
        &expected
            .map(|(name, content)| (name.to_owned(), content))
            .into(),
    );
}

#[test]
fn unusable_data_directory_is_reported() {
    let scratch = Scratch::new();
    scratch.write("manifest.csv", manifest(&[]));
    scratch.write("job.yaml", LAND);
    scratch.write("file", "not a directory");
    for data in ["file", "/proc/showrunner"] {
        let ran = scratch.run(&["run", "job.yaml", "--data", data]);
        ran.expect_code(1).expect_said(&["data directory", data]);
    }
    scratch.write("broken/showrunner.db", bytes(3, 64 << 10));
    scratch
        .run(&["run", "job.yaml", "--data", "broken"])
        .expect_code(1)
        .expect_said(&["broken"]);
}

#[test]
fn file_changed_during_read_fails() {
    let scratch = Scratch::new();
    let growing = scratch.write("in/growing.bin", bytes(4, 24 << 20));
    scratch.write("in/still.bin", "still");
    scratch.write(
        "manifest.csv",
        manifest(&[
            ("growing", "t", "in/growing.bin"),
            ("still", "t", "in/still.bin"),
        ]),
    );
    scratch.write("job.yaml", LAND);
    let done = AtomicBool::new(false);
    let summary = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = OpenOptions::new()
                .append(true)
                .open(&growing)
                .expect("it was written");
            while !done.load(Ordering::Relaxed) {
                file.write_all(b"more")
                    .expect("a scratch file can be written");
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        let ran = scratch.run(&["run", "job.yaml", "-o", "json"]);
        done.store(true, Ordering::Relaxed);
        ran.expect_code(3).json()
    });
    assert_eq!(failed_assets(&summary), ["growing"]);
    assert_failed(
        &summary,
        "growing",
        "source_changed",
        &["growing.bin", "changed while it was read"],
    );
    assert!(!scratch.path("out/t/growing.bin").exists());

    let id = summary["job"].as_str().expect("an id is text");
    scratch
        .run(&["job", "retry", id, "--filter", "reason=source_changed"])
        .expect_code(0);
    scratch.run_job("job.yaml", 0);
    let expected = ["growing.bin", "still.bin"].map(|name| {
        let content = fs::read(scratch.path(format!("in/{name}"))).expect("it was written");
        (format!("t/{name}"), content)
    });
    assert_tree(&scratch.path("out"), &expected.into());
}
