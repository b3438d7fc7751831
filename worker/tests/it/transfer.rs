//! Copies that succeed, fail, conflict, resume and are called off.
use crate::fixture::{Yard, asset, context, finished, noise, reasons, unit};
use ::storage::hash::{Digest, hash_bytes};
use protocol::model::hash::HashAlgorithm;
use protocol::wire::report::UnitResult;
use protocol::wire::step::TaskSpec;
use protocol::wire::unit::Unit;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use worker::step::StepContext;

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn lands_every_size_with_its_hash_and_time() {
    let yard = Yard::new();
    let sizes = [0, 1, 16 * 1024, 2 * MIB, 2 * MIB + 1, 5 * MIB + 12_345];
    let contents: Vec<Vec<u8>> = sizes
        .iter()
        .map(|size| noise(*size, *size as u64))
        .collect();
    let assets: Vec<_> = contents
        .iter()
        .enumerate()
        .map(|(i, c)| yard.asset(&format!("d{i}/a b%20.mov"), c))
        .collect();
    let old = std::time::UNIX_EPOCH + std::time::Duration::new(1_600_000_000, 123_456_789);
    let touch = std::fs::File::options()
        .append(true)
        .open(yard.source("d1/a b%20.mov"))
        .expect("opened");
    touch.set_modified(old).expect("touched");
    let (facts, failures) = yard.run(&assets).await;
    assert_eq!(reasons(&failures), []);
    for (fact, content) in facts.iter().zip(&contents) {
        assert_eq!(
            fact.hash,
            Some(hash_bytes(HashAlgorithm::Xxh128, content).to_string())
        );
        assert_eq!(
            (fact.bytes, fact.skipped),
            (Some(content.len() as u64), false)
        );
        assert_eq!(
            fact.location,
            Some(format!("file://{}", yard.target(&fact.asset).display()))
        );
        assert!(std::fs::read(yard.target(&fact.asset)).expect("landed") == *content);
    }
    assert_eq!(facts.len(), sizes.len());
    let landed = std::fs::metadata(yard.target("d1/a b%20.mov"))
        .and_then(|m| m.modified())
        .expect("landed");
    assert_eq!(landed, old);
    assert!((0..sizes.len()).all(|i| yard.names(&format!("d{i}")) == ["a b%20.mov"]));
}

#[tokio::test]
async fn one_bad_asset_never_stops_the_others() {
    let yard = Yard::new();
    symlink("loop", yard.source("loop")).expect("linked");
    std::fs::create_dir(yard.source("dir")).expect("created");
    let pipe = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, yard.source("pipe"), pipe).expect("made");
    let mut assets: Vec<_> = ["missing", "loop", "dir", "pipe"]
        .iter()
        .map(|name| asset(name, &yard.source(name)))
        .collect();
    assets.push(yard.asset("small", b"x"));
    assets.push(yard.asset("large", &noise(3 * MIB, 1)));
    let mut remote = asset("remote", Path::new("/x"));
    remote.location = "ftp://host/x".into();
    let mut short = yard.asset("short", b"abc");
    short.bytes = Some(4);
    let mut wrong = yard.asset("wrong", b"abc");
    wrong.hash = Some("md5:d41d8cd98f00b204e9800998ecf8427e".into());
    let mut wrong_large = yard.asset("wrong-large", &noise(3 * MIB, 2));
    wrong_large.hash = Some("xxh128:99aa06d3014798d86001c324468d497f".into());
    let mut nonsense = yard.asset("nonsense", b"abc");
    nonsense.hash = Some("0000".into());
    let mut climbing = yard.asset("climbing", b"abc");
    climbing.path = "../climbing".into();
    assets.extend([remote, short, wrong, wrong_large, nonsense, climbing]);
    let (facts, mut failures) = yard.run(&assets).await;
    failures.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        ("climbing", "target_invalid", false),
        ("dir", "source_not_a_file", false),
        ("loop", "source_symlink_loop", false),
        ("missing", "source_missing", false),
        ("nonsense", "hash_invalid", false),
        ("pipe", "source_not_a_file", false),
        ("remote", "location_unsupported", false),
        ("short", "size_mismatch", false),
        ("wrong", "hash_mismatch", false),
        ("wrong-large", "hash_mismatch", false),
    ];
    assert_eq!(reasons(&failures), expected);
    let message = &failures[8].1.message;
    assert!(
        message.contains("900150983cd24fb0d6963f7d28e17f72") && message.contains("d41d8cd9"),
        "{message}"
    );
    assert_eq!(
        facts.iter().map(|f| f.asset.as_str()).collect::<Vec<_>>(),
        ["small", "large"]
    );
    assert_eq!(yard.names(""), ["large", "small"]);
}

#[tokio::test]
async fn declared_hashes_of_any_algorithm_are_checked_with_and_without_verification() {
    let mut yard = Yard::new();
    for (index, algorithm) in HashAlgorithm::ALL.into_iter().enumerate() {
        for (verify, hashes) in [(None, vec![]), (Some(algorithm), vec![HashAlgorithm::Md5])] {
            yard.task.verify = verify;
            yard.task.hashes = hashes;
            let content = noise(2 * MIB + 77, index as u64);
            let name = format!("{}-{}", algorithm.as_str(), verify.is_some());
            let mut declared = yard.asset(&name, &content);
            declared.hash = Some(hash_bytes(algorithm, &content).to_string());
            let (facts, failures) = yard.run(&[declared.clone()]).await;
            assert_eq!((facts.len(), reasons(&failures)), (1, vec![]), "{name}");
            assert_eq!(facts[0].hash, declared.hash, "{name}");
            assert!(std::fs::read(yard.target(&name)).expect("landed") == content);
        }
    }
}

#[tokio::test]
async fn without_any_hash_the_copy_is_plain_and_reports_none() {
    let mut yard = Yard::new();
    yard.task.verify = None;
    let assets = [
        yard.asset("small", b"abc"),
        yard.asset("large", &noise(20 * MIB, 3)),
    ];
    let (facts, failures) = yard.run(&assets).await;
    assert_eq!(reasons(&failures), []);
    assert!(facts.iter().all(|fact| fact.hash.is_none()));
    assert!(std::fs::read(yard.target("large")).expect("landed") == noise(20 * MIB, 3));
}

#[tokio::test]
async fn the_same_content_is_skipped_and_other_content_is_never_replaced() {
    let yard = Yard::new();
    let same = [
        yard.asset("a", b"same"),
        yard.asset("b", &noise(3 * MIB, 4)),
    ];
    yard.run(&same).await;
    let (facts, failures) = yard.run(&same).await;
    assert_eq!(reasons(&failures), []);
    assert!(facts.iter().all(|fact| fact.skipped && fact.hash.is_some()));
    let mut other = noise(3 * MIB, 4);
    other[2 * MIB] ^= 1;
    let mut changed = vec![
        yard.asset("a", b"tame"),
        yard.asset("b", &other),
        yard.asset("c", b"longer"),
    ];
    std::fs::write(yard.target("c"), b"short").expect("written");
    symlink(yard.source("a"), yard.target("link")).expect("linked");
    std::fs::create_dir(yard.target("folder")).expect("created");
    changed.extend([yard.asset("link", b"same"), yard.asset("folder", b"same")]);
    let (facts, failures) = yard.run(&changed).await;
    assert_eq!(facts.len(), 0);
    assert!(
        failures
            .iter()
            .all(|(_, failure)| failure.reason == "destination_conflict"),
        "{failures:?}"
    );
    let message = |id: &str| {
        failures
            .iter()
            .find(|(asset, _)| asset == id)
            .map(|(_, f)| f.message.clone())
    };
    let digest = hash_bytes(HashAlgorithm::Xxh128, b"tame").to_string();
    assert!(message("a").is_some_and(|m| m.contains(&digest) && m.contains("move it away")));
    assert!(message("c").is_some_and(|m| m.contains("5 bytes") && m.contains('6')));
    assert_eq!(std::fs::read(yard.target("a")).expect("there"), b"same");
    assert!(std::fs::read(yard.target("b")).expect("there") == noise(3 * MIB, 4));
}

#[tokio::test]
async fn two_assets_with_one_target_end_as_a_skip_or_a_conflict() {
    let yard = Yard::new();
    let mut assets = vec![
        yard.asset("x/1", b"one"),
        yard.asset("x/2", b"one"),
        yard.asset("x/3", b"two"),
    ];
    assets
        .iter_mut()
        .for_each(|asset| asset.path = "same".into());
    let (facts, failures) = yard.run(&assets).await;
    // Whichever is first wins; what is certain is that equal content agrees and different content does not.
    assert_eq!(facts.len() + failures.len(), 3);
    assert!(
        failures
            .iter()
            .all(|(_, failure)| failure.reason == "destination_conflict")
    );
    let landed = std::fs::read(yard.target("same")).expect("landed");
    assert_eq!(facts.len(), if landed == b"one" { 2 } else { 1 });
    assert_eq!(yard.names(""), ["same"]);
}

#[tokio::test]
async fn links_in_the_destination_tree_do_not_lead_out_of_it() {
    let yard = Yard::new();
    std::fs::create_dir_all(yard.target("")).expect("created");
    std::fs::create_dir(yard.dir.path().join("outside")).expect("created");
    symlink("../outside", yard.target("link")).expect("linked");
    std::fs::write(yard.target("file"), b"x").expect("written");
    let assets = [
        yard.asset("link/a", b"a"),
        yard.asset("file/a", b"a"),
        yard.asset("fine/a", b"a"),
    ];
    let (facts, failures) = yard.run(&assets).await;
    assert_eq!(facts.len(), 1);
    let mut found = reasons(&failures);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("file/a", "destination_blocked", false),
            ("link/a", "destination_escapes", false)
        ]
    );
    assert_eq!(
        std::fs::read_dir(yard.dir.path().join("outside"))
            .expect("readable")
            .count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_grows_while_it_is_read_is_tried_again_later() {
    let yard = Yard::new();
    let growing = yard.asset("growing", &noise(24 * MIB, 5));
    let (stop, path) = (Arc::new(AtomicBool::new(false)), yard.source("growing"));
    let stopped = Arc::clone(&stop);
    let writer = std::thread::spawn(move || {
        let mut file = std::fs::File::options()
            .append(true)
            .open(&path)
            .expect("opened");
        while !stopped.load(Ordering::Relaxed) {
            file.write_all(b"more").expect("appended");
        }
    });
    let (facts, failures) = yard.run(&[growing]).await;
    stop.store(true, Ordering::Relaxed);
    writer.join().expect("no panic");
    assert_eq!(
        (facts.len(), reasons(&failures)),
        (0, vec![("growing", "source_changed", true)])
    );
    assert_eq!(yard.names(""), [""; 0]);
}

#[tokio::test]
async fn a_revoked_unit_stops_and_leaves_nothing() {
    let yard = Yard::new();
    let large = yard.asset("large", &noise(64 * MIB, 6));
    let context = context();
    let (cancel, bytes) = (context.cancel.clone(), context.bytes.clone());
    let watcher = std::thread::spawn(move || {
        while bytes.load(Ordering::Relaxed) < 4 * MIB as u64 {
            std::thread::yield_now();
        }
        cancel.cancel();
    });
    let result = worker::step::run(&unit(&yard.task, &[large]), &context).await;
    watcher.join().expect("no panic");
    assert_eq!(result, UnitResult::Cancelled);
    assert!(context.bytes.load(Ordering::Relaxed) < 64 * MIB as u64);
    assert_eq!(yard.names(""), [""; 0]);
}

const CHILD: &str = "SHOWRUNNER_TEST_KILLED_COPY";
const KILLED_AT: usize = 24 * MIB;

/// Not a test of its own: the process that the next test kills. It kills itself in the middle of a copy.
#[tokio::test]
async fn killed_copy() {
    let Ok(dir) = std::env::var(CHILD) else {
        return;
    };
    let context: StepContext = context();
    let bytes = context.bytes.clone();
    std::thread::spawn(move || {
        while bytes.load(Ordering::Relaxed) < KILLED_AT as u64 {
            std::hint::spin_loop();
        }
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
    });
    let mut yard = Yard::new();
    yard.task.to = format!("file:{dir}/out/{{path}}");
    let large = asset("large", &Path::new(&dir).join("in/large"));
    worker::step::run(&unit(&yard.task, &[large]), &context).await;
}

#[tokio::test]
async fn a_copy_killed_in_the_middle_is_resumed_from_its_first_difference() {
    let yard = Yard::new();
    let content = noise(160 * MIB, 7);
    let large = yard.asset("large", &content);
    for (flip, copied_max) in [(None, 160 - 22), (Some(8 * MIB), 160 - 7)] {
        let child = Command::new(std::env::current_exe().expect("a test binary"))
            .args(["--exact", "transfer::killed_copy", "--nocapture"])
            .env(CHILD, yard.dir.path())
            .output()
            .expect("started");
        assert_eq!(child.status.signal(), Some(9), "{child:?}");
        let names = yard.names("");
        assert!(
            names.len() == 1 && names[0].starts_with(".large."),
            "only a hidden partial: {names:?}"
        );
        if let Some(at) = flip {
            let partial = std::fs::File::options()
                .write(true)
                .open(yard.target(&names[0]))
                .expect("opened");
            std::os::unix::fs::FileExt::write_all_at(&partial, &[content[at] ^ 1], at as u64)
                .expect("flipped");
        }
        let context = context();
        let (facts, _) = finished(
            worker::step::run(&unit(&yard.task, std::slice::from_ref(&large)), &context).await,
        );
        assert_eq!(
            facts[0].hash,
            Some(hash_bytes(HashAlgorithm::Xxh128, &content).to_string())
        );
        assert!(std::fs::read(yard.target("large")).expect("landed") == content);
        assert_eq!(yard.names(""), ["large"]);
        let copied = context.bytes.load(Ordering::Relaxed);
        assert!(
            copied <= (copied_max * MIB) as u64,
            "{copied} bytes were copied again"
        );
        std::fs::remove_file(yard.target("large")).expect("removed");
    }
}

#[tokio::test]
async fn partials_of_an_older_source_are_removed() {
    let yard = Yard::new();
    let large = yard.asset("large", &noise(3 * MIB, 8));
    std::fs::create_dir_all(yard.target("")).expect("created");
    std::fs::write(yard.target(".large.0123456789abcdef.sr-part"), b"old").expect("written");
    std::fs::write(yard.target(".other.0123456789abcdef.sr-part"), b"not ours").expect("written");
    yard.run(&[large]).await;
    assert_eq!(yard.names(""), [".other.0123456789abcdef.sr-part", "large"]);
}

/// A small filesystem that is unmounted when dropped.
struct Mount<'a>(&'a Path);

impl Mount<'_> {
    fn tmpfs<'a>(at: &'a Path, options: &str) -> Option<Mount<'a>> {
        std::fs::create_dir_all(at).expect("created");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(at)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Mount(at)),
            other => {
                eprintln!("SKIP: a small filesystem cannot be mounted here: {other:?}");
                None
            }
        }
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0).status().ok();
    }
}

#[tokio::test]
async fn a_full_destination_is_transient_and_keeps_nothing_half_written() {
    let yard = Yard::new();
    let out = yard.target("");
    let Some(_mount) = Mount::tmpfs(&out, "size=12m") else {
        return;
    };
    let assets = [
        yard.asset("fits", &noise(1000, 9)),
        yard.asset("large", &noise(16 * MIB, 10)),
        yard.asset("fits-too", &noise(4 * MIB, 11)),
    ];
    let (mut landed, mut failed) = (Vec::new(), Vec::new());
    // One after the other: side by side, what fits depends on who is first.
    for asset in assets {
        let (facts, failures) = yard.run(&[asset]).await;
        landed.extend(facts);
        failed.extend(failures);
    }
    assert_eq!(reasons(&failed), [("large", "destination_full", true)]);
    assert_eq!(landed.len(), 2);
    assert_eq!(yard.names(""), ["fits", "fits-too"]);
}

#[tokio::test]
async fn a_read_only_destination_says_so() {
    let yard = Yard::new();
    let out = yard.target("");
    let Some(_mount) = Mount::tmpfs(&out, "size=1m,ro") else {
        return;
    };
    let assets = [
        yard.asset("small", b"x"),
        yard.asset("large", &noise(3 * MIB, 12)),
        yard.asset("d/x", b"x"),
    ];
    let (_, failures) = yard.run(&assets).await;
    assert!(
        failures
            .iter()
            .all(|(_, f)| f.reason == "destination_unwritable" && !f.class.retryable()),
        "{failures:?}"
    );
    assert_eq!(failures.len(), 3);
}

#[tokio::test]
async fn a_target_that_cannot_work_fails_the_unit() {
    let mut yard = Yard::new();
    let asset = yard.asset("a", b"a");
    for to in [
        "s3://b!/{path}",
        "https://host/{path}",
        "ftp://host/{path}",
        "file:relative/{path}",
        "file:/x/{unknown}",
        "file:/x/{path",
    ] {
        yard.task.to = to.into();
        let result =
            worker::step::run(&unit(&yard.task, std::slice::from_ref(&asset)), &context()).await;
        assert!(
            matches!(&result, UnitResult::Failed(f) if f.reason == "target_invalid"),
            "{to}: {result:?}"
        );
    }
}

#[tokio::test]
async fn thousands_of_small_files_in_many_directories_land() {
    let yard = Yard::new();
    let assets: Vec<_> = (0..400)
        .map(|i| yard.asset(&format!("{}/{i}", i % 40), &noise(300 + i, i as u64)))
        .collect();
    let (facts, failures) = yard.run(&assets).await;
    assert_eq!((facts.len(), failures.len()), (400, 0));
    for (i, fact) in facts.iter().enumerate() {
        let digest = Digest::parse(fact.hash.as_deref().expect("verified")).expect("a digest");
        assert_eq!(
            digest,
            hash_bytes(HashAlgorithm::Xxh128, &noise(300 + i, i as u64))
        );
    }
}

#[tokio::test]
async fn file_that_grew_since_it_was_listed_lands_once_it_rests() {
    let yard = Yard::new();
    let mut grown = yard.asset("a.mov", b"begun and more");
    grown.bytes = Some(5);
    let (_, failures) = yard.run(std::slice::from_ref(&grown)).await;
    assert_eq!(
        reasons(&failures),
        [("a.mov", "size_mismatch", false)],
        "a manifest declares"
    );
    grown.note_listed(false);
    let (_, failures) = yard.run(std::slice::from_ref(&grown)).await;
    assert_eq!(
        reasons(&failures),
        [("a.mov", "source_changed", true)],
        "it was written just now"
    );
    let rested = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    let file = std::fs::File::options()
        .append(true)
        .open(yard.source("a.mov"))
        .expect("opened");
    file.set_modified(rested).expect("a time can be set");
    let (facts, failures) = yard.run(std::slice::from_ref(&grown)).await;
    assert_eq!((facts.len(), failures), (1, vec![]));
    assert_eq!(
        std::fs::read(yard.target("a.mov")).expect("there"),
        b"begun and more"
    );
}

#[tokio::test]
async fn target_that_links_into_the_listed_library_is_refused() {
    let yard = Yard::new();
    let mut asset = yard.asset("a.mov", b"content");
    asset.note_listed(false);
    symlink(yard.dir.path().join("in"), yard.dir.path().join("out")).expect("linked");
    let result =
        worker::step::run(&unit(&yard.task, std::slice::from_ref(&asset)), &context()).await;
    assert!(
        matches!(&result, UnitResult::Failed(failure) if failure.reason == "target_invalid"),
        "{result:?}"
    );
    // Below the link, where nothing is yet, and by the engine of all storages.
    let mut deep = yard.task.clone();
    deep.to = deep.to.replace("/out/", "/out/new/deep/");
    let deep_unit = unit(&deep, std::slice::from_ref(&asset));
    for task in [
        TaskSpec::Transfer(deep.clone()),
        TaskSpec::Replace(deep.clone()),
    ] {
        let result = worker::step::run(
            &Unit {
                task: Arc::new(task),
                ..deep_unit.clone()
            },
            &context(),
        )
        .await;
        assert!(
            matches!(&result, UnitResult::Failed(failure) if failure.reason == "target_invalid"),
            "{result:?}"
        );
        assert!(
            !yard.source("new").exists(),
            "nothing is created in the library"
        );
    }
    // What a manifest names may lie anywhere.
    asset.declared = None;
    let result = worker::step::run(&unit(&yard.task, &[asset]), &context()).await;
    assert!(matches!(result, UnitResult::Finished { .. }), "{result:?}");
}

/// Replaces the directory `d` of a listed library by a link, as somebody who may write there can between two steps.
fn swap(yard: &Yard, target: impl AsRef<Path>) {
    let directory = yard.source("d");
    std::fs::remove_dir_all(&directory)
        .or_else(|_| std::fs::remove_file(&directory))
        .expect("removed");
    symlink(target, directory).expect("linked");
}

#[tokio::test]
async fn directory_swapped_for_a_link_after_the_listing_is_not_followed() {
    let large = noise(3 * MIB, 13);
    for declared_bytes in [None, Some(6), Some(3 * MIB as u64)] {
        let yard = Yard::new();
        let content = if declared_bytes == Some(6) {
            b"secret".as_slice()
        } else {
            &large
        };
        let mut asset = yard.asset("d/a.mov", content);
        asset.bytes = declared_bytes;
        asset.note_listed(false);
        std::fs::create_dir_all(yard.dir.path().join("outside")).expect("created");
        std::fs::create_dir_all(yard.source("e")).expect("created");
        for place in ["outside/a.mov", "in/e/a.mov"] {
            std::fs::write(yard.dir.path().join(place), content).expect("written");
        }
        let copy = unit(&yard.task, std::slice::from_ref(&asset));
        let replace = Unit {
            task: Arc::new(TaskSpec::Replace(yard.task.clone())),
            ..copy.clone()
        };
        for target in [yard.dir.path().join("outside"), "../outside".into()] {
            swap(&yard, target);
            for unit in [&copy, &replace] {
                let (facts, failures) = finished(worker::step::run(unit, &context()).await);
                assert_eq!(
                    (facts.len(), reasons(&failures)),
                    (0, vec![("d/a.mov", "source_escapes", false)])
                );
                assert_eq!(yard.names("d"), Vec::<String>::new());
            }
        }
        // A link to another directory of the library shows nothing else than the library.
        for target in [yard.source("e"), "e".into()] {
            swap(&yard, target);
            for unit in [&copy, &replace] {
                let (facts, failures) = finished(worker::step::run(unit, &context()).await);
                assert_eq!((facts.len(), failures), (1, vec![]));
            }
        }
        // What a manifest names may lie behind any link.
        swap(&yard, yard.dir.path().join("outside"));
        asset.declared = None;
        let (facts, failures) = yard.run(&[asset]).await;
        assert_eq!((facts.len(), failures), (1, vec![]));
    }
}

#[tokio::test]
async fn copy_behind_a_directory_swapped_for_a_link_is_not_read() {
    let yard = Yard::new();
    let mut copy = yard.asset("d/a.mov", b"secret");
    copy.bytes = Some(6);
    copy.note_listed(true);
    copy.note_copied_below(&format!("file:{}", yard.dir.path().join("in").display()));
    std::fs::create_dir(yard.dir.path().join("outside")).expect("created");
    std::fs::write(yard.dir.path().join("outside/a.mov"), b"secret").expect("written");
    let transfer = unit(&yard.task, std::slice::from_ref(&copy));
    let replace = Unit {
        task: Arc::new(TaskSpec::Replace(yard.task.clone())),
        ..transfer.clone()
    };
    swap(&yard, yard.dir.path().join("outside"));
    for unit in [&transfer, &replace] {
        let (facts, failures) = finished(worker::step::run(unit, &context()).await);
        assert_eq!(
            (facts.len(), reasons(&failures)),
            (0, vec![("d/a.mov", "source_escapes", false)])
        );
        assert_eq!(yard.names("d"), Vec::<String>::new());
    }
}
