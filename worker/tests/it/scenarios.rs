//! The example scenarios of the ASC MHL reference tool (`tests/test_scenarios.py` of its package): each step by us or by the
//! reference tool, in every combination; both agree on the result.
use crate::mhl::{ascmhl, generations, verified};
use ::mhl::seal::seal;
use protocol::model::hash::HashAlgorithm;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// A program that writes a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Ours,
    Reference,
}

const TOOLS: [Tool; 2] = [Tool::Ours, Tool::Reference];

impl Tool {
    /// Writes a generation; whether every file agrees with the history.
    fn create(self, root: &Path, algorithm: HashAlgorithm) -> bool {
        match self {
            Tool::Ours => {
                let report =
                    seal(root, "job", algorithm, &CancellationToken::new()).expect("sealed");
                report.failed.is_empty()
            }
            Tool::Reference => ascmhl(&["create", "-v", "-h", algorithm.as_str()], root).0 == 0,
        }
    }
}

/// Every choice of a tool for `N` steps.
fn choices<const N: usize>() -> impl Iterator<Item = [Tool; N]> {
    (0..1usize << N).map(|bits| std::array::from_fn(|step| TOOLS[(bits >> step) & 1]))
}

fn write(path: &Path, content: &str) {
    std::fs::create_dir_all(path.parent().expect("below")).expect("created");
    std::fs::write(path, content).expect("written");
}

fn card_a002(root: &Path) {
    write(
        &root.join("A002R2EC/Sidecar.txt"),
        "BLOREM ipsum dolor sit amet, consetetur sadipscing elitr.\n",
    );
    write(
        &root.join("A002R2EC/Clips/A002C006_141024_R2EC.mov"),
        "abcd\n",
    );
    write(
        &root.join("A002R2EC/Clips/A002C007_141024_R2EC.mov"),
        "def\n",
    );
}

fn card_a003(root: &Path) {
    write(
        &root.join("A003R2EC/Sidecar.txt"),
        "Dolor sit amet, consetetur sadipscing elitr.\n",
    );
    write(
        &root.join("A003R2EC/Clips/A003C011_141024_R2EC.mov"),
        "vbgh\n",
    );
    write(
        &root.join("A003R2EC/Clips/A003C012_141024_R2EC.mov"),
        "zhgdr\n",
    );
}

/// Copies a tree with its histories.
fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.expect("listed");
        let target = to.join(entry.path().strip_prefix(from).expect("below"));
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(target).expect("created");
        } else {
            std::fs::copy(entry.path(), &target).expect("copied");
            // The reference tool compares times, which a copy keeps.
            let modified = entry
                .metadata()
                .expect("described")
                .modified()
                .expect("a time");
            std::fs::File::options()
                .write(true)
                .open(&target)
                .expect("opened")
                .set_modified(modified)
                .expect("set");
        }
    }
}

/// Both tools find the tree as it is recorded, or both do not.
#[track_caller]
fn judged(root: &Path, intact: bool, how: &str) {
    let report = verified(root);
    assert_eq!(report.is_intact(), intact, "{how}: {report:?}");
    let (code, said) = ascmhl(&["verify"], root);
    assert_eq!(code == 0, intact, "{how}: {said}");
}

#[test]
fn scenario_1_card_on_a_travel_drive() {
    for [tool] in choices() {
        let dir = tempfile::tempdir().expect("a temp dir");
        card_a002(dir.path());
        let card = dir.path().join("A002R2EC");
        assert!(tool.create(&card, HashAlgorithm::Xxh64));
        judged(&card, true, &format!("{tool:?}"));
        assert_eq!(generations(&card).len(), 1);
    }
}

#[test]
fn scenarios_2_and_3_copy_of_a_copy_in_the_same_and_another_algorithm() {
    for second in [HashAlgorithm::Xxh64, HashAlgorithm::Md5] {
        for tools in choices::<2>() {
            let dir = tempfile::tempdir().expect("a temp dir");
            let (travel, server) = (dir.path().join("travel_01"), dir.path().join("file_server"));
            card_a002(&travel);
            let how = format!("{tools:?}, {second:?}");
            assert!(
                tools[0].create(&travel.join("A002R2EC"), HashAlgorithm::Xxh64),
                "{how}"
            );
            copy(&travel, &server);
            assert!(tools[1].create(&server.join("A002R2EC"), second), "{how}");
            judged(&server.join("A002R2EC"), true, &how);
            judged(&travel.join("A002R2EC"), true, &how);
        }
    }
}

#[test]
fn scenario_4_altered_file_in_a_copy() {
    for tools in choices::<2>() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (travel, server) = (dir.path().join("travel_01"), dir.path().join("file_server"));
        card_a002(&travel);
        let how = format!("{tools:?}");
        assert!(
            tools[0].create(&travel.join("A002R2EC"), HashAlgorithm::Xxh64),
            "{how}"
        );
        copy(&travel, &server);
        let sidecar = server.join("A002R2EC/Sidecar.txt");
        let altered = std::fs::read_to_string(&sidecar).expect("read") + "!!";
        write(&sidecar, &altered);
        assert!(
            !tools[1].create(&server.join("A002R2EC"), HashAlgorithm::Xxh64),
            "{how}: the altered file is named"
        );
        judged(&server.join("A002R2EC"), false, &how);
    }
}

#[test]
fn scenario_5_two_cards_below_a_folder() {
    for tools in choices::<3>() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (travel, server) = (
            dir.path().join("travel_01/Reels"),
            dir.path().join("file_server/Reels"),
        );
        card_a002(&travel);
        card_a003(&travel);
        let how = format!("{tools:?}");
        for (tool, card) in tools.iter().zip(["A002R2EC", "A003R2EC"]) {
            assert!(
                tool.create(&travel.join(card), HashAlgorithm::Xxh64),
                "{how}"
            );
        }
        copy(&travel, &server);
        write(
            &server.join("Summary.txt"),
            "This is a random summary\n\n* A002R2EC\n* A003R2EC\n",
        );
        assert!(tools[2].create(&server, HashAlgorithm::Xxh64), "{how}");
        judged(&server, true, &how);
        write(
            &server.join("A003R2EC/Clips/A003C011_141024_R2EC.mov"),
            "VBGH\n",
        );
        judged(&server, false, &how);
    }
}
