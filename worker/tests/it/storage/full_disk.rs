//! A disk that is full: what was begun is removed, so that others find the room that is left.
use crate::fixture::{asset, context, finished, noise, reasons, unit};
use crate::storage::carry::task;
use crate::storage::s3_status::settings;
use crate::storage::s3_stub;
use crate::storage::subjects::credentials;
use ::storage::Registry;
use protocol::media::asset::Asset;
use protocol::wire::report::UnitResult;
use protocol::wire::step::TaskSpec;
use protocol::wire::step::multipart::{
    BeginUploadsTask, CompleteUploadsTask, SliceTask, UploadReceipts,
};
use protocol::wire::unit::Unit;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use worker::step::StepContext;

const MIB: usize = 1024 * 1024;

/// A filesystem of 12 MiB, until dropped.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf) -> Option<Small> {
        std::fs::create_dir(&at).expect("created");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=12m", "tmpfs"])
            .arg(&at)
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Small(at));
        }
        println!("SKIP: a small filesystem cannot be mounted here");
        None
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("listed").flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let ended = Command::new("umount").arg(&self.0).output();
        println!(
            "unmounted: {}",
            ended.is_ok_and(|output| output.status.success())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn full_disk_keeps_nothing_of_what_was_begun() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let Some(small) = Small::mount(dir.path().join("small")) else {
        return;
    };
    let (url, bucket) = s3_stub::start(&[]).await;
    let content = noise(20 * MIB, 1);
    bucket
        .lock()
        .expect("sound")
        .objects
        .insert("a.mov".into(), content.clone());
    let file = credentials(dir.path(), "secret");
    let context = StepContext {
        storage: Arc::new(Registry::new(settings(&url, &file))),
        ..context()
    };
    let to = format!("file:{}/{{path}}", small.0.display());
    let object = Asset {
        location: "s3://bucket/a.mov".into(),
        ..asset("a.mov", Path::new("/"))
    };
    let source = dir.path().join("b.mov");
    std::fs::write(&source, &content).expect("written");
    let local = asset("b.mov", &source);
    for (asset, replaces) in [
        (object.clone(), false),
        (object, true),
        (local.clone(), false),
        (local, true),
    ] {
        let mut work = unit(&task(&to), std::slice::from_ref(&asset));
        if replaces {
            work.task = Arc::new(TaskSpec::Replace(task(&to)));
        }
        let (_, failures) = finished(worker::step::run(&work, &context).await);
        assert_eq!(
            reasons(&failures),
            [(asset.id.as_str(), "destination_full", true)],
            "replaces: {replaces}"
        );
        assert_eq!(small.names(), [""; 0], "replaces: {replaces}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slices_on_a_full_disk_keep_nothing_of_what_was_begun() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let Some(small) = Small::mount(dir.path().join("small")) else {
        return;
    };
    let (url, bucket) = s3_stub::start(&[]).await;
    bucket
        .lock()
        .expect("sound")
        .objects
        .insert("a.mov".into(), noise(40 * MIB, 1));
    let file = credentials(dir.path(), "secret");
    let context = StepContext {
        storage: Arc::new(Registry::new(settings(&url, &file))),
        ..context()
    };
    let transfer = task(&format!("file:{}/{{path}}", small.0.display()));
    let object = Asset {
        location: "s3://bucket/a.mov".into(),
        ..asset("a.mov", Path::new("/"))
    };
    let run = async |task: TaskSpec| {
        let work = Unit {
            task: Arc::new(task),
            ..unit(&transfer, std::slice::from_ref(&object))
        };
        worker::step::run(&work, &context).await
    };
    let cut = BeginUploadsTask {
        transfer: transfer.clone(),
        above: MIB as u64,
        wanted: 3,
        bytes_min: MIB as u64,
    };
    let begun = run(TaskSpec::BeginUploads(Box::new(cut))).await;
    let UnitResult::UploadsBegun(open_uploads) = begun else {
        panic!("it is not cut: {begun:?}")
    };
    let open_upload = open_uploads.into_iter().next().expect("one asset");
    let mut ends = Vec::new();
    for first in (0..open_upload.bytes).step_by(open_upload.slice_bytes as usize) {
        let bytes = open_upload.slice_bytes.min(open_upload.bytes - first);
        let slice = SliceTask {
            transfer: transfer.clone(),
            open_upload: open_upload.clone(),
            first,
            bytes,
            measures: false,
        };
        ends.push(match run(TaskSpec::Slice(Box::new(slice))).await {
            UnitResult::Failed(failure) => failure.reason,
            _ => "sent".to_owned(),
        });
    }
    assert_eq!(
        ends,
        ["destination_full", "slice_obsolete", "slice_obsolete"]
    );
    assert_eq!(small.names(), [""; 0], "after the slices");
    let open_uploads = vec![UploadReceipts {
        open_upload,
        receipts: Vec::new(),
    }];
    let assemble = CompleteUploadsTask {
        transfer: transfer.clone(),
        open_uploads,
        discard: false,
    };
    let (_, failures) = finished(run(TaskSpec::CompleteUploads(Box::new(assemble))).await);
    assert_eq!(reasons(&failures), [("a.mov", "destination_full", true)]);
    assert_eq!(small.names(), [""; 0], "after the attempt of one worker");
}

#[tokio::test(flavor = "multi_thread")]
async fn file_in_the_way_blocks_the_destination() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let (url, bucket) = s3_stub::start(&[]).await;
    for key in ["x/child.mov", "dir.mov"] {
        bucket
            .lock()
            .expect("sound")
            .objects
            .insert(key.into(), b"content".to_vec());
    }
    std::fs::create_dir_all(dir.path().join("out/dir.mov")).expect("created");
    std::fs::write(dir.path().join("out/x"), "a file").expect("written");
    let file = credentials(dir.path(), "secret");
    let context = StepContext {
        storage: Arc::new(Registry::new(settings(&url, &file))),
        ..context()
    };
    let to = format!("file:{}/out/{{path}}", dir.path().display());
    let of = |key: &str| Asset {
        location: format!("s3://bucket/{key}"),
        ..asset(key, Path::new("/"))
    };
    let work = unit(&task(&to), &[of("x/child.mov"), of("dir.mov")]);
    let (_, failures) = finished(worker::step::run(&work, &context).await);
    let found = reasons(&failures);
    assert_eq!(
        found,
        [
            ("x/child.mov", "destination_blocked", false),
            ("dir.mov", "destination_blocked", false)
        ]
    );
}
