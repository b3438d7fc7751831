//! What reviews would otherwise have to remember: who may depend on whom, the purity of `protocol`, sizes, names.
mod cases;
mod cycles;
mod docs;
mod reasons;
mod source;
mod words;

use source::{Source, workspace};
use std::process::Command;

/// Production lines of a file; more is more than one idea.
const FILE_LINES_MAX: usize = 400;
/// Lines of a function.
const FUNCTION_LINES_MAX: usize = 70;

fn fail_if_any(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

/// (files below, may not mention, because)
const FORBIDDEN: [(&str, &[&str], &str); 10] = [
    (
        "protocol/",
        &[
            "std::fs",
            "std::net",
            "std::env",
            "std::thread",
            "Instant::now",
            "SystemTime",
            "HashMap",
            "async fn",
        ],
        "protocol, specs and formats are pure",
    ),
    (
        "protocol/src/rules/",
        &["crate::wire", "crate::workflow", "rusqlite", "actix"],
        "rules know nothing of wire, job files, SQL or actors",
    ),
    (
        "transport/src/",
        &["protocol::", "coordinator::", "worker::"],
        "connections know nothing of what crosses them",
    ),
    (
        "coordinator/src/",
        &["worker::"],
        "coordinator and worker never see each other",
    ),
    (
        "worker/",
        &["coordinator::", "rusqlite"],
        "workers know neither the coordinator nor a database",
    ),
    (
        "coordinator/src/http/",
        &["crate::queue", "rusqlite"],
        "http reads the store and writes intent",
    ),
    (
        "coordinator/store/",
        &["coordinator::", "transport::", "worker::", "actix", "redis"],
        "the store knows databases and nothing of the cluster",
    ),
    (
        "coordinator/src/queue/",
        &["crate::store"],
        "the transport knows no database",
    ),
    (
        "coordinator/src/leader/engine.rs",
        &["tokio", "rusqlite", "now()"],
        "the simulator turns the same engine",
    ),
    (
        "worker/src/actor/",
        &["qc::", "storage::", "mhl::"],
        "actors coordinate, steps execute",
    ),
];

/// Folders of the coordinator whose functions run in one transaction over the store's trait.
const IN_TRANSACTION: [&str; 6] = [
    "graph",
    "review",
    "reconcile",
    "dispatch",
    "command",
    "query",
];

/// The functions of these folders do no I/O of their own and return one error.
fn in_transaction() -> impl Iterator<Item = (String, &'static [&'static str], &'static str)> {
    let io: &[&str] = &[
        "rusqlite",
        "store::sqlite",
        "store::postgres",
        "store::memory",
        "tokio",
        "async fn",
    ];
    let shapes: &[&str] = &["Ok(Err(", "Ok(Ok(", ".pop().flatten()"];
    IN_TRANSACTION.into_iter().flat_map(move |folder| {
        let below = format!("coordinator/src/{folder}/");
        let because = "one error and `?`; `rows::unit_row` for one unit";
        [
            (below.clone(), io, "plain functions over the store's trait"),
            (below, shapes, because),
        ]
    })
}

#[test]
fn dependencies_point_one_way() {
    let mut found = Vec::new();
    let listed = FORBIDDEN
        .into_iter()
        .map(|(below, words, because)| (below.to_owned(), words, because));
    let rules: Vec<_> = listed.chain(in_transaction()).collect();
    for source in workspace() {
        for (below, words, because) in &rules {
            if source.path.starts_with(below.as_str()) {
                let hits = source.production_mentions(words);
                found.extend(
                    hits.into_iter()
                        .map(|(line, word)| format!("{}:{line}: {word} ({because})", source.path)),
                );
            }
        }
    }
    fail_if_any("forbidden dependencies", found);
}

/// Everything `protocol` may pull in, directly.
const PROTOCOL_NEEDS: [&str; 11] = [
    "serde",
    "serde_json",
    "bincode",
    "serde-saphyr",
    "granit-parser",
    "schemars",
    "thiserror",
    "jiff",
    "regex",
    "strsim",
    "sha2",
];

#[test]
fn protocol_pulls_in_nothing_that_does_io() {
    let run = |depth: &str| {
        let tree = Command::new(env!("CARGO"))
            .args([
                "tree",
                "--offline",
                "-p",
                "protocol",
                "-e",
                "normal",
                "--prefix",
                "none",
                "--depth",
                depth,
            ])
            .current_dir(source::root())
            .output()
            .expect("cargo runs, since it runs this test");
        assert!(
            tree.status.success(),
            "{}",
            String::from_utf8_lossy(&tree.stderr)
        );
        let text = String::from_utf8_lossy(&tree.stdout).into_owned();
        text.lines()
            .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let strangers = run("1")
        .into_iter()
        .filter(|name| name != "protocol" && !PROTOCOL_NEEDS.contains(&name.as_str()));
    fail_if_any("protocol has new dependencies", strangers.collect());
    let io = [
        "tokio",
        "actix",
        "redis",
        "rusqlite",
        "sqlx",
        "rand",
        "tracing",
        "reqwest",
        "aws-sdk-s3",
        "prometheus",
    ];
    fail_if_any(
        "protocol pulls in",
        run("20")
            .into_iter()
            .filter(|name| io.contains(&name.as_str()))
            .collect(),
    );
}

#[test]
fn bincode_stays_behind_the_envelope() {
    let elsewhere = workspace()
        .into_iter()
        .filter(|s| s.path != "protocol/src/wire/envelope.rs");
    let hits = elsewhere.flat_map(|s| {
        s.production_mentions(&["bincode::"])
            .into_iter()
            .map(move |(l, _)| format!("{}:{l}", s.path))
    });
    fail_if_any("bincode outside its module", hits.collect());
    let breaks = [
        "skip_serializing_if",
        "serde(flatten",
        "untagged",
        "serde(tag",
    ];
    let wire = workspace().into_iter().filter(|s| {
        s.path.starts_with("protocol/src/wire/") || s.path == "protocol/src/media/asset.rs"
    });
    let hits = wire.flat_map(|s| {
        s.production_mentions(&breaks)
            .into_iter()
            .map(move |(l, w)| format!("{}:{l}: {w}", s.path))
    });
    fail_if_any(
        "attributes that corrupt a format that is not self-describing",
        hits.collect(),
    );
}

#[test]
fn files_and_functions_keep_their_size() {
    let mut found = Vec::new();
    for source in workspace().into_iter().filter(Source::is_production) {
        let lines = source.production_lines();
        if lines > FILE_LINES_MAX {
            found.push(format!(
                "{}: {lines} lines, {FILE_LINES_MAX} are allowed",
                source.path
            ));
        }
        let long = source
            .functions()
            .into_iter()
            .filter(|(_, _, lines)| *lines > FUNCTION_LINES_MAX);
        found.extend(long.map(|(name, line, lines)| {
            format!("{}:{line}: fn {name} has {lines} lines", source.path)
        }));
    }
    fail_if_any("too long", found);
}

#[test]
fn names_say_what_they_hold() {
    let vague = [
        "manager", "helper", "helpers", "util", "utils", "common", "data", "misc",
    ];
    let found = workspace()
        .into_iter()
        .filter(|s| s.path.split(['/', '.']).any(|part| vague.contains(&part)));
    fail_if_any("vague names", found.map(|s| s.path).collect());
}

#[test]
fn nothing_in_the_tree_names_a_machine() {
    // Put together so that this file does not find itself.
    let words = [
        ["/wo", "rk/"].concat(),
        ["/ro", "ot/"].concat(),
        ["artif", "actory"].concat(),
    ];
    let listed = Command::new("git")
        .args(["ls-files"])
        .current_dir(source::root())
        .output()
        .expect("git runs");
    let mut found = Vec::new();
    for path in String::from_utf8_lossy(&listed.stdout).lines() {
        let Ok(text) = std::fs::read_to_string(source::root().join(path)) else {
            continue;
        };
        for (i, line) in text.lines().enumerate() {
            found.extend(
                words
                    .iter()
                    .filter(|w| line.contains(w.as_str()))
                    .map(|w| format!("{path}:{}: {w}", i + 1)),
            );
        }
    }
    fail_if_any("machine paths", found);
}
