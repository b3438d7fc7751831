//! The demo, run after a fresh build.
use crate::jobs::count;
use serde_json::Value;
use testkit::{Ran, Scratch};

/// Assets with a planted fault, and the check or reason that has to name it.
const PLANTED: [(&str, &str, &str); 9] = [
    ("the-long-field-master", "check", "black"),
    ("the-long-field-proxy", "check", "duration"),
    ("the-long-field-audio-de", "check", "dead_channel"),
    ("glass-river-master", "check", "freeze"),
    ("glass-river-proxy", "check", "av_length"),
    ("glass-river-audio-de", "check", "loudness"),
    ("night-ferry-s01e01-master", "check", "resolution"),
    ("night-ferry-s01e01-proxy", "check", "decode"),
    ("night-ferry-s01e02-audio-de", "land", "source_missing"),
];

fn assert_found(ran: &Ran) -> Value {
    let summary = ran.expect_code(0).json();
    assert_eq!(count(&summary, "/assets"), 24);
    let failures = summary["failures"].as_array().expect("failures are a list");
    for (asset, step, check) in PLANTED {
        let found = failures.iter().any(|f| {
            let checks = f["checks"]
                .as_array()
                .is_some_and(|checks| checks.iter().any(|c| c == check));
            f["asset"] == asset && f["step"] == step && (checks || f["reason"] == check)
        });
        assert!(found, "{asset}: {check} was not found: {summary:#}");
    }
    let clean = failures
        .iter()
        .filter(|f| PLANTED.iter().all(|(asset, ..)| f["asset"] != *asset));
    assert_eq!(clean.count(), 0, "false alarms: {summary:#}");
    assert_eq!(count(&summary, "/barriers/0/total"), 6);
    assert_eq!(
        count(&summary, "/barriers/0/released") + count(&summary, "/barriers/0/held"),
        6
    );
    summary
}

#[test]
fn demo_finds_exactly_the_planted_faults_twice() {
    let scratch = Scratch::new();
    let demo = ["demo", "--once", "--dir", "demo", "-o", "json"];
    let ran = scratch.run(&demo);
    // With json, the comparison goes to stderr: a program still gets one object, a person still reads the account.
    ran.expect_said(&[
        "sample library of 24 assets",
        "Planted faults and what was found",
    ]);
    for missed in ["MISSED", "FALSE"] {
        assert!(!ran.stderr.contains(missed), "{}", ran.stderr);
    }
    let first = assert_found(&ran);
    let second = assert_found(&scratch.run(&demo));
    assert_ne!(first["job"], second["job"]);
    for pointer in [
        "/bytes",
        "/units/succeeded",
        "/units/dead",
        "/units/cancelled",
        "/barriers/0/released",
    ] {
        assert_eq!(count(&first, pointer), count(&second, pointer), "{pointer}");
    }
}

#[test]
fn demo_refuses_foreign_directory() {
    let scratch = Scratch::new();
    scratch.write("mine/precious.txt", "precious");
    let ran = scratch.run(&["demo", "--once", "--dir", "mine"]);
    ran.expect_code(1)
        .expect_said(&["mine holds other files", "empty directory"]);
    assert_eq!(
        std::fs::read_dir(scratch.path("mine"))
            .map(Iterator::count)
            .ok(),
        Some(1)
    );
}
