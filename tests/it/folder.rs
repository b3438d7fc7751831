//! A folder as a library.
use crate::jobs::{assert_failed, count, failed_assets};
use protocol::model::hash::HashAlgorithm;
use std::collections::BTreeMap;
use std::fs;
use storage::hash::hash_bytes;
use testkit::Scratch;
use testkit::content::{assert_tree, bytes, changed_at, modified_at};

const JOB: &str = r#"job: folder
library:
  folder: library
  pattern: '^(?<title>[a-z-]+)/(?:v(?<version>[0-9]+)/)?(?:.*/)?(?<role>master|audio|subtitle)(?:_(?<language>[a-z]{2}))?\.[a-z]+$'
steps:
  - id: land
    transfer: { to: "file:./out/{path}", verify: xxh128, mhl: true }
  - id: complete
    needs: [land]
    barrier: { scope: title, require: all }
"#;

const FILES: [(&str, usize); 6] = [
    ("night-ferry/v2/master.mov", 3 << 20),
    ("night-ferry/v2/deep/er/audio_de.wav", 70_000),
    ("night-ferry/v2/subtitle_en.srt", 0),
    ("north-pass/master.mov", 4_097),
    ("north-pass/audio_de.wav", 1),
    ("harbour/v1/master.mov", 65_536),
];

fn library(scratch: &Scratch) -> BTreeMap<String, Vec<u8>> {
    scratch.write("job.yaml", JOB);
    let files = FILES
        .iter()
        .zip(1..)
        .map(|((name, length), seed)| ((*name).to_owned(), bytes(seed, *length)));
    let files: BTreeMap<String, Vec<u8>> = files.collect();
    for (name, content) in &files {
        scratch.write(format!("library/{name}"), content);
    }
    files
}

#[test]
fn nested_files_arrive_under_their_relative_paths() {
    let scratch = Scratch::new();
    let files = library(&scratch);
    let summary = scratch.run_job("job.yaml", 0);
    assert_eq!(count(&summary, "/assets"), 6);
    assert_eq!(
        count(&summary, "/bytes"),
        files
            .values()
            .map(|content| content.len() as u64)
            .sum::<u64>()
    );
    assert_eq!(
        (
            count(&summary, "/barriers/0/total"),
            count(&summary, "/barriers/0/released")
        ),
        (3, 3)
    );
    assert_tree(&scratch.path("out"), &files);
    assert_eq!(
        modified_at(&scratch.path("out")),
        modified_at(&scratch.path("library")),
        "copies keep their times"
    );
    scratch.run(&["mhl", "verify", "out"]).expect_code(0);
}

#[test]
fn pattern_captures_become_columns() {
    let scratch = Scratch::new();
    library(&scratch);
    scratch.run_job("job.yaml", 0);
    let asset = scratch.run(&[
        "asset",
        "get",
        "night-ferry/v2/deep/er/audio_de.wav",
        "-o",
        "json",
    ]);
    let asset = asset.expect_code(0).json();
    for (column, value) in [
        ("title", "night-ferry"),
        ("version", "2"),
        ("role", "audio"),
        ("language", "de"),
    ] {
        assert_eq!(asset[column], value, "{column}: {asset:#}");
    }
    assert!(
        asset["hash"]
            .as_str()
            .is_some_and(|hash| hash.starts_with("xxh128:")),
        "{asset:#}"
    );
}

#[test]
fn second_run_rewrites_nothing() {
    let scratch = Scratch::new();
    let files = library(&scratch);
    let first = scratch.run_job("job.yaml", 0);
    let before = changed_at(&scratch.path("out"));
    let second = scratch.run_job("job.yaml", 0);
    assert_ne!(
        first["job"], second["job"],
        "a finished job is not carried on"
    );
    assert_eq!(count(&second, "/units/succeeded"), 6);
    assert_eq!(changed_at(&scratch.path("out")), before);
    assert_tree(&scratch.path("out"), &files);
    scratch.run(&["mhl", "verify", "out"]).expect_code(0);
}

#[test]
fn different_content_at_the_target_is_refused_and_unchanged() {
    let scratch = Scratch::new();
    let mut files = library(&scratch);
    let (same_size, other_size) = ("north-pass/master.mov", "harbour/v1/master.mov");
    for (name, content) in [
        (same_size, bytes(99, 4_097)),
        (other_size, b"somebody's".to_vec()),
    ] {
        scratch.write(format!("out/{name}"), &content);
        files.insert(name.to_owned(), content);
    }
    let summary = scratch.run_job("job.yaml", 3);
    for (name, how) in [(same_size, "hashes to"), (other_size, "bytes")] {
        assert_failed(
            &summary,
            name,
            "destination_conflict",
            &[name, how, "was not touched", "retry"],
        );
    }
    assert_eq!(failed_assets(&summary).len(), 2);
    assert_eq!(
        (
            count(&summary, "/barriers/0/released"),
            count(&summary, "/barriers/0/held")
        ),
        (1, 2)
    );
    assert_tree(&scratch.path("out"), &files);
}

#[test]
fn files_outside_the_pattern_are_reported_and_others_copied() {
    let scratch = Scratch::new();
    let files = library(&scratch);
    scratch.write("library/night-ferry/README", "not media");
    let summary = scratch.run_job("job.yaml", 3);
    assert_failed(
        &summary,
        "night-ferry/README",
        "row_invalid",
        &["does not match the folder's pattern"],
    );
    assert_eq!(count(&summary, "/units/succeeded"), 6);
    assert_tree(&scratch.path("out"), &files);
}

#[test]
fn own_and_empty_directories_are_no_assets() {
    let scratch = Scratch::new();
    library(&scratch);
    fs::create_dir_all(scratch.path("library/empty/er")).expect("a scratch directory can be made");
    scratch.write("library/harbour/ascmhl/ascmhl_chain.xml", "<x/>");
    // With `mhl: true` the history of the folder would be taken over, and this one is broken.
    scratch.write("job.yaml", JOB.replace(", mhl: true", ""));
    assert_eq!(count(&scratch.run_job("job.yaml", 0), "/assets"), 6);
}

#[test]
fn include_and_exclude_select_what_is_copied() {
    let scratch = Scratch::new();
    let mut files = library(&scratch);
    for name in [
        "Thumbs.db",
        "harbour/v1/Thumbs.db",
        "harbour/v1/master.mov.md5",
        "notes/a.mov",
        "notes/b/c.mov",
    ] {
        scratch.write(
            format!("library/{name}"),
            "d41d8cd98f00b204e9800998ecf8427e",
        );
    }
    let selecting = |more: &str| JOB.replace("  pattern:", &format!("{more}\n  pattern:"));
    // The sidecar is read, though it is no asset: it contradicts its file.
    scratch.write(
        "job.yaml",
        selecting("  exclude: [Thumbs.db, \"*.md5\", notes/]"),
    );
    let summary = scratch.run_job("job.yaml", 3);
    assert_failed(
        &summary,
        "harbour/v1/master.mov",
        "hash_mismatch",
        &["declared is md5:d41d8cd9"],
    );
    assert_eq!(
        (count(&summary, "/assets"), failed_assets(&summary).len()),
        (6, 1),
        "{summary:#}"
    );
    fs::remove_file(scratch.path("library/harbour/v1/master.mov.md5")).expect("it can be removed");
    let summary = scratch.run_job("job.yaml", 0);
    assert_eq!(
        (count(&summary, "/assets"), &summary["state"]),
        (6, &"succeeded".into())
    );
    assert_tree(&scratch.path("out"), &files);

    scratch.write(
        "job.yaml",
        selecting("  include: \"*.mov\"\n  exclude: notes/").replace("./out", "./films"),
    );
    let summary = scratch.run_job("job.yaml", 0);
    assert_eq!(count(&summary, "/assets"), 3);
    files.retain(|name, _| name.ends_with(".mov"));
    assert_tree(&scratch.path("films"), &files);
    scratch.run(&["mhl", "verify", "films"]).expect_code(0);

    scratch.write(
        "job.yaml",
        selecting("  include: \"[a-\"").replace("./out", "./films"),
    );
    scratch
        .run(&["validate", "job.yaml"])
        .expect_code(2)
        .expect_said(&["job.yaml:4:12: ", "does not close it", "hint"]);
}

/// The listing has the size of a file as it was then; a retry reads it anew.
#[test]
fn retry_copies_all_of_a_file_that_grew_after_the_scan() {
    let scratch = Scratch::new();
    let mut files = library(&scratch);
    scratch.write("job.yaml", JOB.replace(", mhl: true", ""));
    let (name, target) = ("north-pass/master.mov", "out/north-pass/master.mov");
    fs::create_dir_all(scratch.path(target)).expect("it can be made");
    let first = scratch.run_job("job.yaml", 3);
    assert_failed(&first, name, "destination_conflict", &[name]);
    let grown = bytes(99, 5 << 20);
    assert!(grown.len() > files[name].len());
    scratch.write(format!("library/{name}"), &grown);
    files.insert(name.to_owned(), grown.clone());
    fs::remove_dir(scratch.path(target)).expect("it is empty");
    let id = first["job"].as_str().expect("an id").to_owned();
    scratch.run(&["job", "retry", &id, "--all"]).expect_code(0);
    let second = scratch.run_job("job.yaml", 0);
    assert_eq!(second["job"], id.as_str(), "the same job, not scanned anew");
    assert_tree(&scratch.path("out"), &files);
    assert_eq!(count(&second, "/transfer/copied"), 6);
    let all: usize = files.values().map(Vec::len).sum();
    assert_eq!(count(&second, "/transfer/copied_bytes"), all as u64);
}

#[test]
fn summary_distinguishes_copied_from_present_files() {
    let scratch = Scratch::new();
    let files = library(&scratch);
    let bytes = |range: std::ops::Range<usize>| {
        FILES[range]
            .iter()
            .map(|(_, length)| *length as u64)
            .sum::<u64>()
    };
    for (name, _) in &FILES[..2] {
        scratch.write(format!("out/{name}"), &files[*name]);
    }
    let transfer = |summary: &serde_json::Value| {
        ["copied", "copied_bytes", "present", "present_bytes"]
            .map(|key| count(summary, &format!("/transfer/{key}")))
    };
    let first = scratch.run_job("job.yaml", 0);
    assert_eq!(
        transfer(&first),
        [4, bytes(2..6), 2, bytes(0..2)],
        "{first:#}"
    );
    let second = scratch.run_job("job.yaml", 0);
    assert_eq!(transfer(&second), [0, 0, 6, bytes(0..6)], "{second:#}");
    let shown = scratch
        .run(&["job", "get", first["job"].as_str().expect("an id")])
        .expect_code(0)
        .stdout
        .clone();
    assert!(
        shown.contains("transfer  4 copied (") && shown.contains(", 2 already present ("),
        "{shown}"
    );
}

#[test]
fn checksum_step_records_hashes_in_the_catalogue_and_copies_nothing() {
    let scratch = Scratch::new();
    let files = library(&scratch);
    scratch.write(
        "fixity.yaml",
        "job: fixity\nlibrary: { folder: library }\nsteps: [{ id: fixity, checksum: { algorithm: md5 } }]\n",
    );
    let summary = scratch.run_job("fixity.yaml", 0);
    assert_eq!(count(&summary, "/assets"), files.len() as u64);
    let asset = scratch
        .run(&["asset", "get", "north-pass/audio_de.wav", "-o", "json"])
        .expect_code(0)
        .json();
    let hash = hash_bytes(HashAlgorithm::Md5, &files["north-pass/audio_de.wav"]).to_string();
    assert_eq!(asset["hash"], hash, "{asset:#}");
    assert!(!scratch.path("out").exists());
}
