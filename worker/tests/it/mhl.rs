//! Histories beside the reference tool: each continues what the other wrote, and both find what was altered.
use crate::fixture::{Yard, context, noise, reasons, unit};
use ::mhl::seal::{SealReport, seal};
use ::mhl::verify::{VerifyReport, verify};
use ::mhl::{Action, EntryKind, Header, read_generation};
use protocol::failure::Failure;
use protocol::model::hash::HashAlgorithm;
use protocol::wire::report::UnitResult;
use protocol::wire::step::TaskSpec;
use protocol::wire::step::seal::SealTask;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Runs the reference tool; returns its exit code and what it said. Its `verify` is a command of `ascmhl-debug`.
pub(crate) fn ascmhl(arguments: &[&str], root: &Path) -> (i32, String) {
    let program = std::env::var("SHOWRUNNER_ASCMHL").unwrap_or_else(|_| "ascmhl".into());
    let program = if arguments[0] == "verify" {
        format!("{program}-debug")
    } else {
        program
    };
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(&program)
        .args(arguments)
        .arg(root)
        .output()
        .unwrap_or_else(|error| {
            panic!("{program}: {error}; install it with ops/setup.sh or set SHOWRUNNER_ASCMHL")
        });
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr)
    );
    (status.code().unwrap_or(-1), said)
}

/// The reference tool accepts the tree in every way it can look at it.
fn accepted_by_reference(root: &Path) {
    for command in ["verify", "diff", "info"] {
        let (code, said) = ascmhl(&[command], root);
        assert_eq!(code, 0, "ascmhl {command}: {said}");
        assert!(!said.contains("ERROR"), "ascmhl {command}: {said}");
    }
    let (code, said) = ascmhl(&["verify", "-dh"], root);
    assert_eq!(code, 0, "ascmhl verify -dh: {said}");
}

fn yard() -> Yard {
    let mut yard = Yard::new();
    yard.task.mhl = true;
    yard
}

fn root(yard: &Yard) -> PathBuf {
    yard.dir.path().join("out")
}

/// Lands files as a job and seals the tree.
async fn land(yard: &mut Yard, job: &str, files: &[(&str, &[u8])]) -> SealReport {
    yard.task.job = job.into();
    let assets: Vec<_> = files
        .iter()
        .map(|(name, content)| yard.asset(name, content))
        .collect();
    let (_, failures) = yard.run(&assets).await;
    assert_eq!(reasons(&failures), []);
    sealed(yard, job)
}

fn sealed(yard: &Yard, job: &str) -> SealReport {
    seal(
        &root(yard),
        job,
        HashAlgorithm::Xxh128,
        &CancellationToken::new(),
    )
    .expect("sealed")
}

async fn seal_task(yard: &Yard, job: &str, algorithm: HashAlgorithm) -> UnitResult {
    let task = SealTask {
        root: format!("file:{}", root(yard).display()),
        job: job.into(),
        algorithm,
    };
    let mut unit = unit(&yard.task, &[]);
    unit.task = Arc::new(TaskSpec::Seal(task));
    worker::step::run(&unit, &context()).await
}

fn failure(result: UnitResult) -> Failure {
    match result {
        UnitResult::Failed(failure) => failure,
        other => panic!("not failed: {other:?}"),
    }
}

pub(crate) fn verified(root: &Path) -> VerifyReport {
    verify(root, 2, &CancellationToken::new()).expect("readable")
}

pub(crate) fn generations(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root.join("ascmhl")).expect("a history");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "mhl"));
    paths.sort();
    paths
}

/// Header and files (path, actions) of a generation.
fn contents(path: &Path) -> (Header, Vec<(String, Vec<Action>)>) {
    let mut files = Vec::new();
    let (header, _) = read_generation(path, |entry| {
        if matches!(entry.kind, EntryKind::File { .. }) {
            files.push((
                entry.path.clone(),
                entry.hashes.iter().filter_map(|h| h.action).collect(),
            ));
        }
    })
    .expect("well formed");
    (header, files)
}

fn rewrite(path: &Path, content: &[u8]) {
    let old = std::fs::metadata(path)
        .and_then(|m| m.modified())
        .expect("there");
    std::fs::write(path, content).expect("written");
    std::fs::File::options()
        .append(true)
        .open(path)
        .and_then(|f| f.set_modified(old))
        .expect("touched");
}

#[tokio::test]
async fn three_generations_by_both_tools() {
    let mut yard = yard();
    let large = noise(3 << 20, 1);
    let first: &[(&str, &[u8])] = &[
        ("a b.mov", b"a"),
        ("s1/ü&<>\"'.wav", b"b"),
        ("s1/deep/x.srt", b""),
        ("large.mxf", &large),
    ];
    let report = land(&mut yard, "job-1", first).await;
    assert_eq!(
        (report.files, report.hashed_bytes),
        (4, 0),
        "the journal vouches for every file"
    );
    assert!(!root(&yard).join(".showrunner").exists());
    accepted_by_reference(&root(&yard));
    let (code, said) = ascmhl(&["create"], &root(&yard));
    assert_eq!(code, 0, "{said}");
    assert!(verified(&root(&yard)).is_intact());
    let report = land(
        &mut yard,
        "job-2",
        &[("s2/new.mov", b"new"), ("a b.mov", b"a")],
    )
    .await;
    assert_eq!((report.files, report.hashed_bytes), (2, 0));
    let paths = generations(&root(&yard));
    assert_eq!(paths.len(), 3);
    assert_eq!(
        report.generation,
        paths.last().and_then(|path| path.canonicalize().ok())
    );
    let (header, files) = contents(&paths[2]);
    assert_eq!(
        (header.tool.as_str(), header.process.as_str()),
        ("showrunner", "transfer")
    );
    let expected = [
        ("a b.mov".into(), vec![Action::Verified]),
        ("s2/new.mov".into(), vec![Action::Original]),
    ];
    assert_eq!(files, expected);
    for command in ["verify", "diff", "info"] {
        let (code, said) = ascmhl(&[command], &root(&yard));
        assert_eq!(code, 0, "ascmhl {command}: {said}");
    }
    let report = verified(&root(&yard));
    assert_eq!(
        (report.is_intact(), report.generations, report.files),
        (true, 3, 5),
        "{report:?}"
    );
    assert_eq!(ascmhl(&["create"], &root(&yard)).0, 0);
    assert!(verified(&root(&yard)).is_intact());
}

#[tokio::test]
async fn root_and_directory_hashes_are_those_of_the_reference() {
    let mut yard = yard();
    land(
        &mut yard,
        "job-1",
        &[("a", b"1"), ("d/b", b"2"), ("d/e/c", b"3"), ("z", b"")],
    )
    .await;
    std::fs::create_dir(yard.dir.path().join("copy")).expect("created");
    let copy = yard.dir.path().join("copy/out");
    let copied = Command::new("cp")
        .args(["-a"])
        .arg(root(&yard))
        .arg(&copy)
        .status()
        .expect("cp");
    assert!(copied.success());
    std::fs::remove_dir_all(copy.join("ascmhl")).expect("removed");
    assert_eq!(ascmhl(&["create"], &copy).0, 0);
    let digests = |path: &Path| {
        let mut all = Vec::new();
        let (header, _) = read_generation(path, |entry| {
            all.extend(
                entry
                    .hashes
                    .iter()
                    .chain(&entry.structure)
                    .map(|h| format!("{} {}", entry.path, h.digest)),
            );
        })
        .expect("well formed");
        all.extend(
            header
                .root_content
                .iter()
                .chain(&header.root_structure)
                .map(|h| h.digest.to_string()),
        );
        all
    };
    assert_eq!(
        digests(&generations(&root(&yard))[0]),
        digests(&generations(&copy)[0])
    );
}

#[tokio::test]
async fn a_flipped_byte_is_found_by_both_tools() {
    let mut yard = yard();
    land(
        &mut yard,
        "job-1",
        &[("a/x.mov", &noise(5000, 2)), ("b.mov", b"fine")],
    )
    .await;
    let mut altered = noise(5000, 2);
    altered[4321] ^= 4;
    rewrite(&root(&yard).join("a/x.mov"), &altered);
    let report = verified(&root(&yard));
    assert_eq!(
        report
            .mismatched
            .iter()
            .map(|m| m.path.as_str())
            .collect::<Vec<_>>(),
        ["a/x.mov"]
    );
    let (code, said) = ascmhl(&["verify"], &root(&yard));
    assert_eq!(code, 11, "a failed verification: {said}");
    assert!(said.contains("a/x.mov"), "{said}");
}

#[tokio::test]
async fn sealing_again_writes_nothing_new() {
    let mut yard = yard();
    land(&mut yard, "job-1", &[("a", b"1")]).await;
    let again = sealed(&yard, "job-1");
    assert_eq!(
        (again.generation, again.files, again.hashed_bytes),
        (None, 0, 0)
    );
    assert_eq!(generations(&root(&yard)).len(), 1);
    // Killed after the chain and before the journal was removed: the records are recognised.
    yard.run(&[yard.asset("b", b"2")]).await;
    let journal = root(&yard).join(".showrunner/job-1/worker-1.jsonl");
    let lines = std::fs::read(&journal).expect("a journal");
    sealed(&yard, "job-1");
    std::fs::create_dir_all(journal.parent().expect("a directory")).expect("created");
    std::fs::write(&journal, lines).expect("written");
    assert_eq!(sealed(&yard, "job-1").generation, None);
    assert_eq!(generations(&root(&yard)).len(), 2);
    accepted_by_reference_but_directories(&root(&yard));
}

/// Directory hashes of an older generation no longer hold once files are added; the reference tool says so by design.
fn accepted_by_reference_but_directories(root: &Path) {
    for command in ["verify", "diff", "info"] {
        let (code, said) = ascmhl(&[command], root);
        assert_eq!(code, 0, "ascmhl {command}: {said}");
    }
}

#[tokio::test]
async fn a_seal_killed_before_its_chain_leaves_nothing_that_counts() {
    let mut yard = yard();
    land(&mut yard, "job-1", &[("a", b"1")]).await;
    let folder = root(&yard).join("ascmhl");
    let chain = std::fs::read(folder.join("ascmhl_chain.xml")).expect("a chain");
    yard.run(&[yard.asset("b", b"2")]).await;
    let journal = root(&yard).join(".showrunner/job-1/worker-1.jsonl");
    let lines = std::fs::read(&journal).expect("a journal");
    sealed(&yard, "job-1");
    std::fs::write(folder.join("ascmhl_chain.xml"), chain).expect("rolled back");
    std::fs::write(folder.join(".0003.sr-part"), b"half").expect("written");
    std::fs::create_dir_all(journal.parent().expect("a directory")).expect("created");
    std::fs::write(&journal, lines).expect("written");
    assert_eq!(
        verified(&root(&yard)).broken.len(),
        1,
        "the unlisted generation is reported"
    );
    let report = sealed(&yard, "job-1");
    assert_eq!(report.files, 1);
    assert_eq!(generations(&root(&yard)).len(), 2);
    assert!(!folder.join(".0003.sr-part").exists());
    assert!(verified(&root(&yard)).is_intact());
    accepted_by_reference_but_directories(&root(&yard));
}

#[tokio::test]
async fn files_nobody_vouches_for_are_hashed_and_unchanged_ones_are_not() {
    let mut yard = yard();
    land(&mut yard, "job-1", &[("a", b"1")]).await;
    std::fs::write(root(&yard).join("stranger"), b"12345").expect("written");
    let report = sealed(&yard, "job-2");
    assert_eq!((report.files, report.hashed_bytes), (1, 5));
    assert!(verified(&root(&yard)).is_intact());
    accepted_by_reference_but_directories(&root(&yard));
}

#[tokio::test]
async fn an_altered_file_is_recorded_as_failed_and_fails_the_seal_until_it_is_restored() {
    let mut yard = yard();
    land(&mut yard, "job-1", &[("a", b"original"), ("b", b"fine")]).await;
    std::fs::write(root(&yard).join("a"), b"altered!").expect("written");
    for _ in 0..2 {
        let failed = failure(seal_task(&yard, "job-2", HashAlgorithm::Xxh128).await);
        assert_eq!(
            (failed.reason.as_str(), failed.class.retryable()),
            ("mhl_mismatch", false)
        );
        assert!(failed.message.contains("a: "), "{}", failed.message);
    }
    let paths = generations(&root(&yard));
    assert_eq!(paths.len(), 2);
    assert_eq!(
        contents(&paths[1]).1,
        [("a".to_owned(), vec![Action::Failed])]
    );
    std::fs::write(root(&yard).join("a"), b"original").expect("written");
    assert!(matches!(
        seal_task(&yard, "job-2", HashAlgorithm::Xxh128).await,
        UnitResult::Finished { .. }
    ));
    accepted_by_reference_but_directories(&root(&yard));
}

#[tokio::test]
async fn a_landed_file_that_has_gone_fails_the_seal() {
    let yard = yard();
    yard.run(&[yard.asset("a", b"1"), yard.asset("b", b"2")])
        .await;
    std::fs::remove_file(root(&yard).join("a")).expect("removed");
    let failed = failure(seal_task(&yard, "job-1", HashAlgorithm::Xxh128).await);
    assert!(failed.message.contains("a: landed"), "{}", failed.message);
}

#[tokio::test]
async fn a_history_in_another_algorithm_is_verified_before_it_is_continued() {
    let mut yard = yard();
    std::fs::create_dir_all(root(&yard)).expect("created");
    std::fs::write(root(&yard).join("a"), b"1").expect("written");
    std::fs::write(root(&yard).join("skip.tmp"), b"1").expect("written");
    assert_eq!(
        ascmhl(&["create", "-h", "md5", "-i", "*.tmp"], &root(&yard)).0,
        0
    );
    let report = land(&mut yard, "job-1", &[("a", b"1"), ("d/b", b"2")]).await;
    assert_eq!(report.hashed_bytes, 1, "md5 of the known file only");
    let (header, files) = contents(&generations(&root(&yard))[1]);
    assert!(header.ignore.contains(&"*.tmp".to_owned()));
    assert_eq!(
        files[0],
        ("a".to_owned(), vec![Action::Verified, Action::Verified])
    );
    assert!(verified(&root(&yard)).is_intact());
    accepted_by_reference_but_directories(&root(&yard));
    assert_eq!(ascmhl(&["create", "-h", "c4"], &root(&yard)).0, 0);
    assert!(verified(&root(&yard)).is_intact());
}

#[tokio::test]
async fn nested_histories_are_continued_and_referenced() {
    let mut yard = yard();
    let card = root(&yard).join("cards/A001");
    std::fs::create_dir_all(&card).expect("created");
    std::fs::write(card.join("clip.mov"), b"clip").expect("written");
    assert_eq!(ascmhl(&["create"], &card).0, 0);
    land(
        &mut yard,
        "job-1",
        &[("cards/A001/extra.wav", b"wav"), ("top.mov", b"top")],
    )
    .await;
    assert_eq!(generations(&card).len(), 2);
    let (_, references) =
        read_generation(&generations(&root(&yard))[0], |_| {}).expect("well formed");
    assert_eq!(references.len(), 1);
    assert!(
        references[0]
            .path
            .starts_with("cards/A001/ascmhl/0002_A001_"),
        "{references:?}"
    );
    let report = verified(&root(&yard));
    assert_eq!((report.is_intact(), report.files), (true, 3), "{report:?}");
    accepted_by_reference_but_directories(&root(&yard));
    let (code, said) = ascmhl(&["create"], &root(&yard));
    assert_eq!(code, 0, "{said}");
    assert!(verified(&root(&yard)).is_intact());
    rewrite(&card.join("clip.mov"), b"clop");
    assert_eq!(
        verified(&root(&yard)).mismatched[0].path,
        "cards/A001/clip.mov"
    );
}

#[tokio::test]
async fn verification_lists_what_is_missing_new_and_broken() {
    let mut yard = yard();
    let out = root(&yard);
    land(&mut yard, "job-1", &[("a", b"1"), ("d/b", b"2")]).await;
    std::fs::remove_dir_all(out.join("d")).expect("removed");
    std::fs::write(out.join("new"), b"new").expect("written");
    std::fs::write(out.join(".DS_Store"), b"ignored").expect("written");
    let report = verified(&out);
    assert_eq!(
        (report.missing, report.new),
        (
            vec!["d".to_owned(), "d/b".to_owned()],
            vec!["new".to_owned()]
        )
    );
    let generation = generations(&out)[0].clone();
    let text = std::fs::read_to_string(&generation).expect("there");
    std::fs::write(&generation, text.replace("size=\"1\"", "size=\"7\"")).expect("written");
    assert!(verified(&out).broken[0].contains("was changed"));
    let failed = failure(seal_task(&yard, "job-1", HashAlgorithm::Xxh128).await);
    assert_eq!(failed.reason, "mhl_history_broken");
    std::fs::write(&generation, &text[..text.len() / 2]).expect("written");
    assert!(
        verified(&out)
            .broken
            .iter()
            .any(|problem| problem.contains("byte"))
    );
    std::fs::remove_file(&generation).expect("removed");
    assert!(verified(&out).broken[0].contains("missing"));
    std::fs::write(out.join("ascmhl/ascmhl_chain.xml"), b"<x>").expect("written");
    assert!(verified(&out).broken[0].contains("ascmhl_chain.xml"));
    assert!(
        verified(yard.dir.path().join("in").as_path()).broken[0].contains("no ASC MHL history")
    );
}

#[tokio::test]
async fn what_cannot_be_recorded_is_refused_with_its_name() {
    let yard = yard();
    yard.run(&[yard.asset("a", b"1")]).await;
    let failed = failure(seal_task(&yard, "job-1", HashAlgorithm::Sha256).await);
    assert_eq!(failed.reason, "mhl_invalid");
    std::fs::write(root(&yard).join("bell\u{7}"), b"x").expect("written");
    let failed = failure(seal_task(&yard, "job-1", HashAlgorithm::Xxh128).await);
    assert!(
        failed.reason == "mhl_name_unrecordable" && failed.message.contains("bell"),
        "{failed:?}"
    );
    assert_eq!(
        contents(&generations(&root(&yard))[0]).1.len(),
        1,
        "what can be recorded is"
    );
    std::fs::remove_file(root(&yard).join("bell\u{7}")).expect("removed");
    std::fs::write(root(&yard).join("line\nbreak\t.mov"), b"x").expect("written");
    sealed(&yard, "job-1");
    assert!(verified(&root(&yard)).is_intact());
    accepted_by_reference(&root(&yard));
}

#[tokio::test]
async fn adds_a_rename_and_a_changed_file_over_three_generations() {
    let mut yard = yard();
    let out = root(&yard);
    let first: &[(&str, &[u8])] = &[
        ("reel/a.mov", b"picture"),
        ("old/deep/b.wav", b"sound"),
        ("old/c.srt", b"text"),
        ("e.txt", b""),
    ];
    land(&mut yard, "job-1", first).await;
    std::fs::rename(out.join("reel/a.mov"), out.join("reel/renamed.mov")).expect("renamed");
    std::fs::rename(out.join("old"), out.join("new")).expect("renamed");
    let report = land(&mut yard, "job-2", &[("added.mov", b"added")]).await;
    assert_eq!(report.failed, Vec::<String>::new());
    let mut renamed = Vec::new();
    let paths = generations(&out);
    read_generation(&paths[1], |entry| {
        renamed.extend(entry.previous_path.map(|old| (old, entry.path)))
    })
    .expect("read");
    renamed.sort();
    let expected = [
        ("old", "new"),
        ("old/c.srt", "new/c.srt"),
        ("old/deep", "new/deep"),
        ("old/deep/b.wav", "new/deep/b.wav"),
        ("reel/a.mov", "reel/renamed.mov"),
    ];
    assert_eq!(
        renamed,
        expected.map(|(old, new)| (old.to_owned(), new.to_owned()))
    );
    let actions: Vec<_> = contents(&paths[1])
        .1
        .into_iter()
        .filter(|(path, _)| path != "added.mov")
        .collect();
    assert!(
        actions
            .iter()
            .all(|(_, actions)| *actions == [Action::Verified]),
        "{actions:?}"
    );
    accepted_by_reference_but_directories(&out);
    assert!(verified(&out).is_intact(), "{:?}", verified(&out));
    // The changed file is named by both, under its new name, until it is restored.
    std::fs::write(out.join("new/c.srt"), b"TEXT!").expect("changed");
    let failed = failure(seal_task(&yard, "job-3", HashAlgorithm::Xxh128).await);
    assert!(failed.message.contains("new/c.srt"), "{}", failed.message);
    assert_eq!(ascmhl(&["verify"], &out).0, 11);
    std::fs::write(out.join("new/c.srt"), b"text").expect("restored");
    land(&mut yard, "job-3", &[("added.wav", b"more")]).await;
    assert_eq!(generations(&out).len(), 4);
    accepted_by_reference_but_directories(&out);
    assert!(verified(&out).is_intact(), "{:?}", verified(&out));
    assert_eq!(ascmhl(&["create"], &out).0, 0);
    assert!(verified(&out).is_intact());
}

#[tokio::test]
async fn a_rename_is_found_in_a_history_of_another_algorithm_and_never_guessed() {
    let mut yard = yard();
    let out = root(&yard);
    std::fs::create_dir_all(&out).expect("created");
    for (name, content) in [("a", "1"), ("gone", "22"), ("empty", "")] {
        std::fs::write(out.join(name), content).expect("written");
    }
    assert_eq!(ascmhl(&["create", "-h", "md5"], &out).0, 0);
    std::fs::rename(out.join("a"), out.join("b")).expect("renamed");
    std::fs::remove_file(out.join("gone")).expect("removed");
    std::fs::rename(out.join("empty"), out.join("nothing")).expect("renamed");
    land(&mut yard, "job-1", &[("c", b"3")]).await;
    let mut renamed = Vec::new();
    read_generation(&generations(&out)[1], |entry| {
        renamed.extend(entry.previous_path.map(|old| (old, entry.path)))
    })
    .expect("read");
    assert_eq!(renamed, [("a".to_owned(), "b".to_owned())]);
    assert_eq!(verified(&out).missing, ["empty", "gone"]);
}
