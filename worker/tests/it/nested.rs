//! Histories of folders that hold others: copied, continued, referenced, and followed when a tree is verified.
use crate::mhl::{ascmhl, generations, verified};
use ::mhl::import::import;
use ::mhl::seal::{SealReport, seal, seal_copy};
use ::mhl::source::Source;
use ::mhl::{MhlError, read_generation};
use ::storage::Roots;
use ::storage::hash::hash_bytes;
use protocol::model::hash::HashAlgorithm;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const XXH128: HashAlgorithm = HashAlgorithm::Xxh128;

fn write(path: &Path, content: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("below")).expect("created");
    std::fs::write(path, content).expect("written");
}

fn create(root: &Path) {
    let (code, said) = ascmhl(&["create"], root);
    assert_eq!(code, 0, "{said}");
}

/// Copies what a transfer of a folder carries: files, and nothing that belongs to a history. A copy is older than its
/// file by more than the second to which the reference tool records times: a seal takes an equal time for no change.
fn carry(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("listed") {
        let entry = entry.expect("an entry");
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            if entry.file_name() != "ascmhl" {
                carry(&source, &target);
            }
        } else {
            write(&target, &std::fs::read(&source).expect("read"));
            let modified = entry
                .metadata()
                .and_then(|found| found.modified())
                .expect("a time");
            let file = std::fs::File::options()
                .write(true)
                .open(&target)
                .expect("opened");
            file.set_modified(modified - Duration::from_secs(10))
                .expect("set");
        }
    }
}

/// Copies a folder with its histories, and seals the copy.
fn copy(from: &Path, to: &Path) -> SealReport {
    carry(from, to);
    let cancel = CancellationToken::new();
    let imported = import(from, to, &Roots::default(), &cancel).expect("imported");
    seal_copy(
        (to, &Roots::default()),
        "job",
        XXH128,
        &imported.source,
        &cancel,
    )
    .expect("sealed")
}

fn intact(root: &Path) {
    let report = verified(root);
    assert!(report.is_intact(), "{report:?}");
}

fn accepted(root: &Path) {
    for command in ["verify", "diff", "info"] {
        let (code, said) = ascmhl(&[command], root);
        assert_eq!(code, 0, "ascmhl {command}: {said}");
        assert!(!said.contains("ERROR"), "ascmhl {command}: {said}");
    }
}

/// A folder with two cards, each with a history of its own, and one of the whole that refers to them.
fn shoot(at: &Path) -> PathBuf {
    let shoot = at.join("shoot");
    write(&shoot.join("A001/Clips/a.mov"), b"one");
    std::fs::create_dir(shoot.join("A001/Voice")).expect("created");
    write(&shoot.join("A002/b.mov"), b"two");
    write(&shoot.join("notes.txt"), b"notes");
    create(&shoot.join("A001"));
    create(&shoot.join("A002"));
    create(&shoot);
    shoot
}

#[test]
fn nested_histories_are_copied_and_continued_over_three_generations() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let (shoot, out) = (shoot(dir.path()), dir.path().join("copy/shoot"));
    let before = generations(&shoot.join("A001")).len();
    assert_eq!(copy(&shoot, &out).failed, Vec::<String>::new());
    assert_eq!(
        generations(&out.join("A001")).len(),
        before + 1,
        "the copy is a generation of the card's own history"
    );
    assert!(
        out.join("A001/Voice").is_dir(),
        "an empty folder that the history lists"
    );
    let (_, references) =
        read_generation(generations(&out).last().expect("one"), |_| {}).expect("well formed");
    let referred: Vec<&str> = references.iter().map(|one| one.path.as_str()).collect();
    assert!(
        referred.len() == 2 && referred[0].starts_with("A001/ascmhl/0003_"),
        "{referred:?}"
    );
    intact(&out);
    accepted(&out);
    // The source goes on, and so does the copy.
    write(&shoot.join("A001/Clips/c.mov"), b"three");
    create(&shoot.join("A001"));
    create(&shoot);
    assert_eq!(copy(&shoot, &out).failed, Vec::<String>::new());
    intact(&out);
    accepted(&out);
    // And a copy of the copy.
    let second = dir.path().join("second/shoot");
    assert_eq!(copy(&out, &second).failed, Vec::<String>::new());
    intact(&second);
    accepted(&second);
    create(&second);
    intact(&second);
}

#[test]
fn copy_of_a_card_that_was_damaged_after_it_was_sealed_fails() {
    for with_root in [false, true] {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (shoot, out) = (shoot(dir.path()), dir.path().join("copy/shoot"));
        if !with_root {
            std::fs::remove_dir_all(shoot.join("ascmhl")).expect("removed");
        }
        write(&shoot.join("A002/b.mov"), b"DAMAGED");
        let report = copy(&shoot, &out);
        assert!(
            report.failed.len() == 1 && report.failed[0].starts_with("A002/b.mov"),
            "{:?}",
            report.failed
        );
        let report = verified(&out);
        assert_eq!(
            report
                .mismatched
                .iter()
                .map(|one| one.path.as_str())
                .collect::<Vec<_>>(),
            ["A002/b.mov"]
        );
        assert!(out.join("A001/ascmhl").is_dir() && out.join("A002/ascmhl").is_dir());
    }
}

#[test]
fn file_that_contradicts_a_later_generation_of_its_source_is_no_original() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let (shoot, out) = (shoot(dir.path()), dir.path().join("copy/shoot"));
    copy(&shoot, &out);
    // The source records a file in md5 that the history of the copy does not know, and then it is damaged.
    write(&shoot.join("A002/new.mov"), b"new");
    assert_eq!(ascmhl(&["create", "-h", "md5"], &shoot.join("A002")).0, 0);
    write(&shoot.join("A002/new.mov"), b"NEW");
    let report = copy(&shoot, &out);
    assert!(
        report.failed.len() == 1 && report.failed[0].starts_with("A002/new.mov"),
        "{:?}",
        report.failed
    );
    assert_eq!(verified(&out).new, ["A002/new.mov"], "it is not recorded");
    write(&shoot.join("A002/new.mov"), b"new");
    assert_eq!(copy(&shoot, &out).failed, Vec::<String>::new());
    intact(&out);
}

#[test]
fn nested_history_that_is_missing_rolled_back_or_replaced_is_named() {
    let broken = |change: &dyn Fn(&Path)| {
        let dir = tempfile::tempdir().expect("a temp dir");
        let shoot = shoot(dir.path());
        intact(&shoot);
        change(&shoot);
        let report = verified(&shoot);
        assert!(!report.is_intact(), "{report:?}");
        report.broken.join("\n")
    };
    let gone = broken(&|shoot| std::fs::remove_dir_all(shoot.join("A001")).expect("removed"));
    assert!(gone.contains("the history of A001 is missing"), "{gone}");
    let replaced = broken(&|shoot| {
        std::fs::remove_dir_all(shoot.join("A002/ascmhl")).expect("removed");
        write(&shoot.join("A002/b.mov"), b"other");
        create(&shoot.join("A002"));
    });
    assert!(
        replaced.contains("A002") && replaced.contains("replaced"),
        "{replaced}"
    );
    let back = broken(&|shoot| {
        let last = generations(&shoot.join("A002")).pop().expect("one");
        std::fs::remove_file(&last).expect("removed");
        let chain = shoot.join("A002/ascmhl/ascmhl_chain.xml");
        let text = std::fs::read_to_string(&chain).expect("read");
        let cut = text
            .find("<hashlist sequencenr=\"2\"")
            .expect("two generations");
        write(
            &chain,
            format!("{}</ascmhldirectory>\n", &text[..cut]).as_bytes(),
        );
    });
    assert!(back.contains("rolled back"), "{back}");
}

#[test]
fn gap_in_the_generations_is_named_and_not_continued() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let card = dir.path().join("card");
    for n in 0..3 {
        write(&card.join(format!("{n}.mov")), b"x");
        create(&card);
    }
    intact(&card);
    std::fs::remove_file(&generations(&card)[1]).expect("removed");
    let chain = card.join("ascmhl/ascmhl_chain.xml");
    let text = std::fs::read_to_string(&chain).expect("read");
    let at = |number: u32| {
        text.find(&format!("<hashlist sequencenr=\"{number}\""))
            .expect("there")
    };
    write(
        &chain,
        format!("{}{}", &text[..at(2)], &text[at(3)..]).as_bytes(),
    );
    let broken = verified(&card).broken;
    assert!(
        broken.len() == 1 && broken[0].contains("generation 2 is missing"),
        "{broken:?}"
    );
    let refused = seal(&card, "job", XXH128, &CancellationToken::new());
    assert!(
        matches!(refused, Err(MhlError::Broken { .. })),
        "{refused:?}"
    );
}

#[test]
fn directory_hashes_that_do_not_hold_are_named() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let card = dir.path().join("card");
    write(&card.join("Clips/a.mov"), b"x");
    write(&card.join("b.mov"), b"y");
    create(&card);
    intact(&card);
    // A generation with another directory hash, and a chain that lists it.
    let (generation, chain) = (
        generations(&card)[0].clone(),
        card.join("ascmhl/ascmhl_chain.xml"),
    );
    let c4 = |text: &[u8]| hash_bytes(HashAlgorithm::C4, text).text;
    let (text, listed) = (
        std::fs::read(&generation).expect("read"),
        std::fs::read_to_string(&chain).expect("read"),
    );
    let mut content = None;
    read_generation(&generation, |entry| {
        if entry.path == "Clips" {
            content = entry
                .hashes
                .first()
                .map(|recorded| recorded.digest.text.clone());
        }
    })
    .expect("well formed");
    let content = content.expect("a directory hash");
    let other = String::from_utf8(text.clone())
        .expect("text")
        .replace(&content, &content.chars().rev().collect::<String>());
    write(&generation, other.as_bytes());
    write(
        &chain,
        listed.replace(&c4(&text), &c4(other.as_bytes())).as_bytes(),
    );
    let report = verified(&card);
    assert_eq!(
        report
            .mismatched
            .iter()
            .map(|one| one.path.as_str())
            .collect::<Vec<_>>(),
        ["Clips/"],
        "{report:?}"
    );
    // An empty folder that came later is no damage.
    write(&generation, &text);
    write(&chain, listed.as_bytes());
    std::fs::create_dir(card.join("later")).expect("created");
    intact(&card);
}

#[test]
fn nested_history_may_begin_and_go_on_by_itself() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let shoot = shoot(dir.path());
    write(&shoot.join("A001/Clips/later.mov"), b"later");
    create(&shoot.join("A001"));
    intact(&shoot);
    write(&shoot.join("A003/c.mov"), b"three");
    create(&shoot.join("A003"));
    intact(&shoot);
    create(&shoot);
    intact(&shoot);
}

#[test]
fn file_recorded_by_an_outer_history_may_get_an_inner_one() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let root = dir.path().join("root");
    write(&root.join("A/a.mov"), b"x");
    create(&root);
    create(&root.join("A"));
    intact(&root);
    seal(&root, "job", XXH128, &CancellationToken::new()).expect("sealed");
    intact(&root);
    write(&root.join("A/a.mov"), b"z");
    assert_eq!(verified(&root).mismatched[0].path, "A/a.mov");
}

#[test]
fn unreadable_names_and_links_that_lead_nowhere_hide_no_damage() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().expect("a temp dir");
    let card = dir.path().join("card");
    write(&card.join("a/x.mov"), b"fine");
    write(&card.join("b.mov"), b"fine");
    create(&card);
    symlink("loop", card.join("a/loop")).expect("linked");
    symlink("b.mov/x", card.join("through")).expect("linked");
    symlink("nowhere", card.join("dangling")).expect("linked");
    intact(&card);
    assert_eq!(verified(&card).left_out.len(), 3);
    write(
        &card.join(std::ffi::OsStr::from_bytes(b"latin-\xe9.mov")),
        b"x",
    );
    write(&card.join("a/bell\u{7}.mov"), b"x");
    write(&card.join("b.mov"), b"FINE");
    // Histories keep times in whole seconds: a change within the same one is no change to a seal.
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(10);
    let changed = std::fs::File::options()
        .write(true)
        .open(card.join("b.mov"))
        .expect("opened");
    changed.set_modified(later).expect("touched");
    let report = verified(&card);
    assert_eq!(
        (report.mismatched.len(), report.unreadable.len()),
        (1, 2),
        "{report:?}"
    );
    let report = seal(&card, "job", XXH128, &CancellationToken::new()).expect("sealed");
    assert_eq!(
        (report.failed.len(), report.unrecordable.len()),
        (1, 2),
        "{report:?}"
    );
}

#[test]
fn unfinished_files_are_never_recorded() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let root = dir.path().join("root");
    write(&root.join("good.mov"), b"x");
    let unfinished = [
        ".big.mov.0123.sr-part",
        ".big.mov.0123.sr-upload",
        "sub/.big.mov.0123.sr-ledger",
    ];
    for name in unfinished {
        write(&root.join(name), b"half");
    }
    let report = seal(&root, "job", XXH128, &CancellationToken::new()).expect("sealed");
    assert_eq!(report.files, 1);
    for name in unfinished {
        assert!(
            ::storage::is_unfinished(name.rsplit('/').next().expect("a name")),
            "{name}"
        );
        std::fs::remove_file(root.join(name)).expect("removed");
    }
    intact(&root);
    accepted(&root);
}

#[test]
fn tree_with_a_long_name_is_sealed() {
    let dir = tempfile::tempdir().expect("a temp dir");
    for name in ["n".repeat(255), "ü".repeat(127)] {
        let root = dir.path().join(name);
        write(&root.join("a.mov"), b"x");
        write(
            &root
                .join("nested")
                .join(root.file_name().expect("a name"))
                .join("ascmhl/x"),
            b"",
        );
        seal(&root, "job", XXH128, &CancellationToken::new()).expect("sealed");
        intact(&root);
    }
}

#[test]
fn history_behind_a_link_is_neither_written_nor_read() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
    write(&root.join("A/a.mov"), b"x");
    write(&outside.join("0001_x_2026-01-01_000000Z.mhl"), b"keep");
    write(&outside.join(".x.sr-part"), b"keep");
    let cancel = CancellationToken::new();
    for linked in [".showrunner", "ascmhl", "A/ascmhl"] {
        symlink(&outside, root.join(linked)).expect("linked");
        let refused = seal(&root, "job", XXH128, &cancel);
        assert!(
            matches!(refused, Err(MhlError::Linked(_))),
            "{linked}: {refused:?}"
        );
        if linked != ".showrunner" {
            assert!(
                verified(&root)
                    .broken
                    .iter()
                    .any(|problem| problem.contains("symbolic link")),
                "{linked}"
            );
        }
        assert_eq!(
            std::fs::read_dir(&outside).expect("listed").count(),
            2,
            "{linked}"
        );
        std::fs::remove_file(root.join(linked)).expect("removed");
    }
    seal(&root, "job", XXH128, &cancel).expect("sealed");
    // Nor is a history taken over through a link, or to where a link leads.
    let target = dir.path().join("target");
    std::fs::create_dir(&target).expect("created");
    symlink(&outside, target.join("ascmhl")).expect("linked");
    assert!(matches!(
        import(&root, &target, &Roots::default(), &cancel),
        Err(MhlError::Linked(_))
    ));
    std::fs::rename(root.join("ascmhl"), dir.path().join("moved")).expect("moved");
    symlink(dir.path().join("moved"), root.join("ascmhl")).expect("linked");
    assert!(matches!(
        import(&root, &dir.path().join("A"), &Roots::default(), &cancel),
        Err(MhlError::Broken { .. })
    ));
}

#[test]
fn link_out_of_the_roots_is_not_sealed() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let at = |name: &str| dir.path().join(name);
    write(&at("media/tree/a.mov"), b"inside");
    write(&at("media/b.mov"), b"inside");
    write(&at("outside/secret.mov"), b"outside");
    let roots = Roots::new(&[at("media")]);
    symlink(at("outside/secret.mov"), at("media/tree/out.mov")).expect("linked");
    symlink("../b.mov", at("media/tree/in.mov")).expect("linked");
    let tree = at("media/tree");
    let (cancel, source) = (CancellationToken::new(), Source::default());
    let sealed = |tree: &Path| seal_copy((tree, &roots), "job", XXH128, &source, &cancel);
    assert_eq!(sealed(&tree).expect("sealed").files, 2);
    let mut recorded = Vec::new();
    read_generation(&generations(&tree)[0], |entry| recorded.push(entry.path))
        .expect("well formed");
    recorded.sort();
    assert_eq!(recorded, ["a.mov", "in.mov"]);
    // Neither is a tree that a link leads to, nor one that is elsewhere.
    symlink(at("outside"), at("media/elsewhere")).expect("linked");
    for tree in ["media/elsewhere", "outside"] {
        assert!(
            matches!(sealed(&at(tree)), Err(MhlError::Outside(_))),
            "{tree}"
        );
        assert!(!at("outside/ascmhl").exists() && !at("outside/.showrunner").exists());
        assert!(
            matches!(
                import(&at(tree), &at("media/tree"), &roots, &cancel),
                Err(MhlError::Outside(_))
            ),
            "{tree}"
        );
    }
}

/// While trees are sealed the folder of the history is swapped for a link to elsewhere, again and again.
#[test]
fn link_swapped_in_during_a_seal_lets_nothing_out() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
    write(&root.join("a.mov"), b"x");
    std::fs::create_dir(&outside).expect("created");
    let cancel = CancellationToken::new();
    seal(&root, "job", XXH128, &cancel).expect("sealed");
    let ended = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (folder, aside) = (root.join("ascmhl"), dir.path().join("aside"));
            symlink(&outside, &aside).expect("linked");
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                // Long enough in its place that a seal can begin, and away while it writes.
                for pause in [100, 2_000] {
                    renameat_with(CWD, &folder, CWD, &aside, RenameFlags::EXCHANGE)
                        .expect("exchanged");
                    std::thread::sleep(std::time::Duration::from_micros(pause));
                }
            }
        });
        for n in 0..120 {
            write(&root.join(format!("{n}.mov")), b"x");
            // It may find the link; then it has to refuse.
            drop(seal(&root, "job", XXH128, &cancel));
        }
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let left: Vec<_> = std::fs::read_dir(&outside)
        .expect("listed")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn mhl_1_1_beside_the_media_is_verified() {
    let dir = tempfile::tempdir().expect("a temp dir");
    write(&dir.path().join("Clips/a.mov"), b"one");
    write(
        &dir.path().join("card.mhl"),
        mhl_1_1("Clips/a.mov", b"one").as_bytes(),
    );
    intact(dir.path());
    write(&dir.path().join("Clips/a.mov"), b"two");
    assert_eq!(verified(dir.path()).mismatched[0].path, "Clips/a.mov");
}

/// An MHL 1.1 list of one file.
pub(crate) fn mhl_1_1(path: &str, content: &[u8]) -> String {
    let md5 = hash_bytes(HashAlgorithm::Md5, content).text;
    format!(
        "<?xml version=\"1.0\"?><hashlist version=\"1.1\"><creatorinfo><tool>x</tool></creatorinfo><hash>\
         <file>{path}</file><size>{}</size><md5>{md5}</md5></hash></hashlist>",
        content.len()
    )
}

#[test]
fn mhl_1_1_lists_and_histories_of_cards_are_verified_together() {
    let dir = tempfile::tempdir().expect("a temp dir");
    let at = |name: &str| dir.path().join(name);
    write(&at("A001/Clips/a.mov"), b"one");
    write(
        &at("A001/card.mhl"),
        mhl_1_1("Clips/a.mov", b"one").as_bytes(),
    );
    write(&at("day/A002/b.mov"), b"two");
    write(&at("day/A002/B.MHL"), mhl_1_1("b.mov", b"two").as_bytes());
    write(&at("A003/c.mov"), b"three");
    create(&at("A003"));
    intact(dir.path());
    assert_eq!(verified(dir.path()).files, 3);
    for name in ["A001/Clips/a.mov", "day/A002/b.mov", "A003/c.mov"] {
        let before = std::fs::read(at(name)).expect("read");
        write(&at(name), b"XXX");
        let report = verified(dir.path());
        assert_eq!(
            report
                .mismatched
                .iter()
                .map(|one| one.path.as_str())
                .collect::<Vec<_>>(),
            [name],
            "{report:?}"
        );
        write(&at(name), &before);
    }
    write(&at("A001/new.mov"), b"x");
    std::fs::remove_file(at("day/A002/b.mov")).expect("removed");
    let report = verified(dir.path());
    assert_eq!(
        (report.new, report.missing),
        (
            vec!["A001/new.mov".to_owned()],
            vec!["day/A002/b.mov".to_owned()]
        )
    );
}
