//! Input that is wrong in every way we could think of: each a clear error on its own asset, the rest of the job done.
use crate::jobs::{LAND, assert_failed, count, failed_assets, failure, manifest};
use std::fs;
use std::io::{BufWriter, Write};
use std::os::unix::fs::symlink;
use testkit::Scratch;

/// Bytes of the row that no manifest should have.
const LONG_ROW: usize = 100 << 20;

/// A good asset at both ends of a manifest of bad ones.
fn between_good_ones(rows: &str) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("in/good.bin", "good");
    let text = format!(
        "asset,title,role,location,bytes,frame_rate\nfirst,t,document,in/good.bin,4,\n{rows}last,t2,document,in/good.bin,4,\n"
    );
    scratch.write("manifest.csv", text);
    scratch.write("job.yaml", LAND);
    scratch
}

/// The good assets have arrived, independent of the others.
#[track_caller]
fn assert_good_arrived(scratch: &Scratch, summary: &serde_json::Value) {
    for title in ["t", "t2"] {
        let copy = fs::read(scratch.path(format!("out/{title}/good.bin")));
        assert_eq!(
            copy.ok().as_deref(),
            Some(&b"good"[..]),
            "{title}: {summary:#}"
        );
    }
    assert!(
        failed_assets(summary)
            .iter()
            .all(|asset| *asset != "first" && *asset != "last"),
        "{summary:#}"
    );
    assert_eq!(summary["state"], "finished_with_failures");
}

#[test]
fn malformed_rows_are_reported_by_line_and_column() {
    let rows = "role,t,frobnicate,in/good.bin,4,
bytes,t,document,in/good.bin,four,
rate,t,document,in/good.bin,4,fast
,t,document,in/good.bin,4,
nowhere,t,document,,4,
short,t
long,t,document,in/good.bin,4,,and,more
";
    let scratch = between_good_ones(rows);
    let summary = scratch.run_job("job.yaml", 3);
    let expected: [(&str, &[&str]); 7] = [
        (
            "role",
            &["line 3", "column role", "frobnicate", "known:", "master"],
        ),
        ("bytes", &["line 4", "column bytes", "\"four\""]),
        ("rate", &["line 5", "column frame_rate", "\"fast\""]),
        ("", &["line 6", "column asset", "empty"]),
        ("nowhere", &["line 7", "column location"]),
        ("short", &["line 8", "2 fields", "6"]),
        ("long", &["line 9", "8 fields", "6"]),
    ];
    for (asset, words) in expected {
        assert_failed(&summary, asset, "row_invalid", words);
        assert_eq!(failure(&summary, asset)["step"], "scan");
    }
    assert_eq!(failed_assets(&summary).len(), expected.len());
    assert_eq!(
        (
            count(&summary, "/assets"),
            count(&summary, "/units/succeeded")
        ),
        (2, 2)
    );
    assert_good_arrived(&scratch, &summary);
}

#[test]
fn malformed_json_lines_are_reported_by_line() {
    let scratch = Scratch::new();
    scratch.write("in/good.bin", "good");
    let good = |id: &str| {
        format!(r#"{{"asset":"{id}","title":"{id}","role":"document","location":"in/good.bin"}}"#)
    };
    let rows = [
        &good("first"),
        "{\"asset\": \"broken\",",
        "[1]",
        r#"{"asset":"poor","title":"t"}"#,
        &good("last"),
    ];
    scratch.write("manifest.jsonl", rows.join("\n"));
    scratch.write("job.yaml", LAND.replace("manifest.csv", "manifest.jsonl"));
    let summary = scratch.run_job("job.yaml", 3);
    assert_eq!(
        (
            count(&summary, "/assets"),
            count(&summary, "/units/succeeded")
        ),
        (2, 2)
    );
    let failures = summary["failures"].as_array().expect("failures are a list");
    let messages: Vec<&str> = failures
        .iter()
        .filter_map(|failure| failure["message"].as_str())
        .collect();
    for (line, message) in (2..).zip(&messages) {
        assert!(message.contains(&format!("line {line}")), "{messages:#?}");
    }
    assert_eq!(messages.len(), 3, "{messages:#?}");
}

#[test]
fn files_that_cannot_be_read_fail_alone() {
    let rows = "missing,t,document,in/missing.bin,,
directory,t,document,in,,
below,t,document,in/good.bin/below,,
loop,t,document,in/loop,,
size,t,document,in/other.bin,99,
";
    let scratch = between_good_ones(rows);
    scratch.write("in/other.bin", "other");
    symlink("loop", scratch.path("in/loop")).expect("a scratch link can be made");
    let summary = scratch.run_job("job.yaml", 3);
    assert_failed(
        &summary,
        "missing",
        "source_missing",
        &["in/missing.bin", "does not exist", "retry"],
    );
    assert_failed(
        &summary,
        "directory",
        "source_not_a_file",
        &["is a directory", "correct its location"],
    );
    assert_failed(&summary, "below", "source_missing", &["in/good.bin/below"]);
    assert_failed(
        &summary,
        "loop",
        "source_symlink_loop",
        &["in/loop", "leads back to itself"],
    );
    assert_failed(
        &summary,
        "size",
        "size_mismatch",
        &["5 bytes", "99", "manifest"],
    );
    assert_eq!(
        (
            count(&summary, "/units/dead"),
            count(&summary, "/units/succeeded")
        ),
        (5, 2)
    );
    assert_good_arrived(&scratch, &summary);
}

#[test]
fn paths_outside_their_root_are_refused() {
    let rows = "up,t,document,../../etc/passwd,,
inside,t,document,in/../../escape,,
title,../../etc,document,in/good.bin,,
slash,a/b,document,in/good.bin,,
link,t3,document,in/good.bin,,
";
    let scratch = between_good_ones(rows);
    let elsewhere = Scratch::new();
    fs::create_dir_all(scratch.path("out")).expect("a scratch directory can be made");
    symlink(elsewhere.path(""), scratch.path("out/t3")).expect("a scratch link can be made");
    let summary = scratch.run_job("job.yaml", 3);
    for asset in ["up", "inside"] {
        assert_failed(
            &summary,
            asset,
            "row_invalid",
            &["column location", "climbs out"],
        );
    }
    for asset in ["title", "slash"] {
        assert_failed(&summary, asset, "target_invalid", &["{title}"]);
    }
    assert_failed(&summary, "link", "destination_escapes", &["t3"]);
    assert_eq!(
        fs::read_dir(elsewhere.path("")).map(Iterator::count).ok(),
        Some(0),
        "nothing was written elsewhere"
    );
    assert_good_arrived(&scratch, &summary);
}

#[test]
fn link_cycles_in_a_folder_library_end() {
    let scratch = Scratch::new();
    scratch.write("library/t/good.bin", "good");
    let to = |target: &str, link: &str| {
        symlink(target, scratch.path(link)).expect("a scratch link can be made")
    };
    to("..", "library/t/up");
    to("itself", "library/t/itself");
    to("/etc/hostname", "library/t/out");
    to("nothing", "library/t/dangling");
    let job = "job: links\nlibrary: { folder: library }\nsteps:\n  - id: land\n    transfer: { to: \"file:./out/{path}\" }\n";
    scratch.write("job.yaml", job);
    let summary = scratch.run_job("job.yaml", 3);
    assert_eq!(
        failed_assets(&summary),
        ["t/dangling", "t/itself", "t/out", "t/up"]
    );
    assert_failed(
        &summary,
        "t/out",
        "row_invalid",
        &["leads out of the folder"],
    );
    assert_failed(&summary, "t/up", "row_invalid", &["leads to a directory"]);
    assert_eq!(count(&summary, "/units/succeeded"), 1);
}

#[test]
fn asset_listed_twice_counts_once() {
    let scratch =
        between_good_ones("twice,t,document,in/good.bin,,\ntwice,t,document,in/other.bin,,\n");
    let summary = scratch
        .run(&["run", "job.yaml", "-o", "json"])
        .expect_code(3)
        .json();
    assert_failed(
        &summary,
        "twice",
        "row_invalid",
        &["line 4", "line 3", "first row counts"],
    );
    assert_eq!(count(&summary, "/units/succeeded"), 3);
}

#[test]
fn invalid_utf_8_is_reported_by_line() {
    let scratch = between_good_ones("");
    let mut text = fs::read(scratch.path("manifest.csv")).expect("it was written");
    text.extend(b"latin,t,document,in/gr\xfcn.bin,,\n");
    fs::write(scratch.path("manifest.csv"), text).expect("a scratch file can be written");
    let summary = scratch.run_job("job.yaml", 3);
    assert_eq!(
        summary["failures"].as_array().map(Vec::len),
        Some(1),
        "{summary:#}"
    );
    let message = summary["failures"][0]["message"]
        .as_str()
        .expect("a message is text");
    assert!(
        ["line 4", "column location", "UTF-8"]
            .iter()
            .all(|word| message.contains(word)),
        "{message}"
    );
    assert_good_arrived(&scratch, &summary);
}

#[test]
fn row_of_a_hundred_megabytes_is_skipped() {
    let scratch = between_good_ones("");
    let file =
        fs::File::create(scratch.path("manifest.csv")).expect("a scratch file can be written");
    let mut out = BufWriter::new(file);
    let mut write = |text: &[u8]| out.write_all(text).expect("a scratch file can be written");
    write(b"asset,title,role,location\nfirst,t,document,in/good.bin\nlong,t,document,");
    let block = vec![b'x'; 1 << 20];
    (0..LONG_ROW >> 20).for_each(|_| write(&block));
    write(b"\nlast,t2,document,in/good.bin\n");
    drop(out);
    let summary = scratch.run_job("job.yaml", 3);
    assert_eq!(
        summary["failures"].as_array().map(Vec::len),
        Some(1),
        "{summary:#}"
    );
    let message = summary["failures"][0]["message"]
        .as_str()
        .expect("a message is text");
    assert!(
        message.contains("line 3") && message.len() < 500,
        "{message}"
    );
    assert_good_arrived(&scratch, &summary);
}

#[test]
fn unreadable_library_fails_the_job_with_the_reason() {
    let scratch = Scratch::new();
    scratch.write("directory/x", "x");
    scratch.write("empty.csv", "");
    scratch.write("header.csv", "asset,titel,role,location\na,t,document,x\n");
    scratch.write("sheet.csv", b"PK\x03\x04....");
    scratch.write("wide.csv", b"\xff\xfea\0s\0");
    let expected: [(&str, &[&str]); 6] = [
        (
            "nowhere.csv",
            &["nowhere.csv", "does not exist", "job file"],
        ),
        ("directory", &["is a directory", "folder:"]),
        ("empty.csv", &["empty.csv:1", "asset,title,role,location"]),
        ("header.csv", &["header.csv:1", "titel", "title"]),
        ("sheet.csv", &["sheet.csv:1", "spreadsheet", "CSV"]),
        ("wide.csv", &["wide.csv:1", "UTF-16", "UTF-8"]),
    ];
    for (name, words) in expected {
        scratch.write("job.yaml", LAND.replace("manifest.csv", name));
        let summary = scratch.run_job("job.yaml", 1);
        assert_eq!(summary["state"], "failed");
        let message = summary["message"].as_str().unwrap_or_default();
        assert!(
            words.iter().all(|word| message.contains(word)),
            "{name}: {message:?} lacks one of {words:?}"
        );
    }
}

/// A job file with one thing wrong: what is written there and what must be said.
const WRONG_JOBS: [(&str, &str, &[&str]); 8] = [
    (
        "library:",
        "libary:",
        &["job.yaml:2:", "libary", "did you mean `library`"],
    ),
    (
        "transfer:",
        "transfr:",
        &["job.yaml:5:", "transfr", "did you mean `transfer`"],
    ),
    ("xxh128", "xxh182", &["job.yaml:5:", "xxh182", "xxh128"]),
    ("{title}", "{titel}", &["job.yaml:5:", "titel", "title"]),
    (
        "needs: [land]",
        "needs: [lnad]",
        &["job.yaml:8:", "lnad", "land"],
    ),
    (
        "scope: title",
        "scope: tilte",
        &["job.yaml:9:", "tilte", "title"],
    ),
    ("10ms..20ms", "10 parsecs", &["job.yaml:6:", "parsecs"]),
    ("id: complete", "id: land", &["job.yaml:", "land", "unique"]),
];

#[test]
fn unknown_key_is_reported_with_place_and_suggestion() {
    let scratch = Scratch::new();
    scratch.write("manifest.csv", manifest(&[]));
    for (right, wrong, words) in WRONG_JOBS {
        scratch.write("job.yaml", LAND.replacen(right, wrong, 1));
        for command in [
            &["validate", "job.yaml"][..],
            &["run", "job.yaml"],
            &["job", "submit", "job.yaml"],
        ] {
            let ran = scratch.run(command);
            ran.expect_code(2).expect_said(words);
            assert_eq!(ran.stdout, "", "{command:?}");
        }
    }
    assert!(
        !scratch.path("data/showrunner.db").exists(),
        "a wrong job file leaves no trace"
    );
}

#[test]
fn job_file_missing_or_not_yaml_is_reported() {
    let scratch = Scratch::new();
    for (content, words) in [
        ("", "job.yaml:1:1"),
        ("job: [", "job.yaml:1:"),
        ("- a\n- b\n", "job.yaml:1:1"),
    ] {
        scratch.write("job.yaml", content);
        scratch
            .run(&["run", "job.yaml"])
            .expect_code(2)
            .expect_said(&[words]);
    }
    scratch.write("job.yaml", b"job: \xff\n");
    scratch
        .run(&["run", "job.yaml"])
        .expect_code(2)
        .expect_said(&["job.yaml", "UTF-8"]);
    scratch
        .run(&["run", "nowhere.yaml"])
        .expect_code(5)
        .expect_said(&["nowhere.yaml"]);
    scratch
        .run(&["run", "."])
        .expect_code(2)
        .expect_said(&["directory"]);
}
