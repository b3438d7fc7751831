//! The table of failure cases in `tests/README.md`: complete, and every test it names exists.
use crate::source::root;
use std::path::PathBuf;

/// How many cases there are.
const CASES: usize = 76;

/// Rows of the table: number and what proves it.
fn rows() -> Vec<(usize, String)> {
    let text = std::fs::read_to_string(root().join("tests/README.md")).expect("it is there");
    let (_, table) = text
        .split_once("## Failure cases")
        .expect("it has this section");
    let cells = |line: &str| {
        line.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect::<Vec<_>>()
    };
    let rows = table
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(cells);
    rows.filter_map(|cells| Some((cells.first()?.parse().ok()?, cells.get(2)?.clone())))
        .collect()
}

/// Names of tests in backticks: a word for where it is, a space, its path.
fn named(proof: &str) -> Vec<(String, String)> {
    let quoted = proof.split('`').skip(1).step_by(2);
    let pairs = quoted.filter_map(|name| name.split_once(' '));
    pairs
        .map(|(place, path)| (place.to_owned(), path.to_owned()))
        .collect()
}

/// Files in which a test of this name may stand.
fn places(place: &str, modules: &str) -> Vec<PathBuf> {
    let below = match place {
        "it" => vec!["tests/it"],
        "sim" => vec!["tests/sim"],
        "rules" => vec!["protocol/src/rules"],
        "wire" => vec!["protocol/src/wire"],
        "transport" => vec!["transport/src"],
        "coordinator" => vec!["coordinator/src", "coordinator/tests/it"],
        "store" => vec!["coordinator/store/src", "coordinator/store/tests/it"],
        "worker" => vec!["worker/src", "worker/tests/it"],
        "storage" => vec!["worker/storage/src"],
        "mhl" => vec!["worker/mhl/src"],
        "qc" => vec!["worker/qc/src"],
        "spec" => vec!["protocol/spec/src"],
        _ => Vec::new(),
    };
    let file = if modules.is_empty() {
        "main".to_owned()
    } else {
        modules.replace("::", "/")
    };
    let files = below
        .iter()
        .flat_map(|dir| [format!("{dir}/{file}.rs"), format!("{dir}/{file}/tests.rs")]);
    files.map(|file| root().join(file)).collect()
}

fn exists(place: &str, path: &str) -> bool {
    let (modules, name) = path.rsplit_once("::").unwrap_or(("", path));
    let declared = format!("fn {name}(");
    places(place, modules)
        .iter()
        .any(|file| std::fs::read_to_string(file).is_ok_and(|text| text.contains(&declared)))
}

#[test]
fn every_failure_case_has_a_row_and_every_test_named_there_exists() {
    let rows = rows();
    let numbers: Vec<usize> = rows.iter().map(|(number, _)| *number).collect();
    assert_eq!(
        numbers,
        (1..=CASES).collect::<Vec<_>>(),
        "each case has one row, in order"
    );
    let mut found = Vec::new();
    for (number, proof) in rows {
        let tests = named(&proof);
        if tests.is_empty() && !proof.contains("does not apply") {
            found.push(format!("case {number} names no test and does not say why"));
        }
        let missing = tests
            .into_iter()
            .filter(|(place, path)| !exists(place, path));
        found.extend(
            missing.map(|(place, path)| format!("case {number}: there is no test {place} {path}")),
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}
