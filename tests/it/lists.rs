//! Lists as people and spreadsheets read them: CSV with a header, tables that fit the terminal, colours.
use crate::jobs::{LAND, manifest};
use std::process::Command;
use testkit::{Ran, Scratch};

/// A data directory with one job of which an asset has failed; the job's id.
fn after_a_job() -> (Scratch, String) {
    let scratch = Scratch::new();
    let rows = [("a", "t", "in/a.bin"), ("=b", "t2, \"two\"", "in/b.bin")];
    let rows = manifest(&rows.map(|(asset, title, at)| (asset, title, at)));
    scratch.write(
        "manifest.csv",
        rows.replace("t2, \"two\"", "\"t2, \"\"two\"\"\""),
    );
    scratch.write("in/a.bin", "a");
    scratch.write("job.yaml", LAND);
    let id = scratch.run_job("job.yaml", 3)["job"]
        .as_str()
        .expect("an id")
        .to_owned();
    (scratch, id)
}

/// What a command prints in a terminal of this width.
fn in_terminal(
    scratch: &Scratch,
    columns: u32,
    args: &[&str],
    variables: &[(&str, &str)],
) -> String {
    let shown = scratch.showrunner(args);
    let mut words = vec![shown.get_program().to_string_lossy().into_owned()];
    words.extend(
        shown
            .get_args()
            .map(|arg| arg.to_string_lossy().into_owned()),
    );
    let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let inside = format!("stty cols {columns} rows 40; {}", words.join(" "));
    let mut command = Command::new("script");
    command
        .args(["-qec", &inside, "/dev/null"])
        .env("TERM", "xterm");
    for (name, value) in shown.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(directory) = shown.get_current_dir() {
        command.current_dir(directory);
    }
    command
        .env_remove("NO_COLOR")
        .envs(variables.iter().copied());
    let ran = Ran::of(command);
    ran.expect_code(0).stdout.replace('\r', "")
}

fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => drop(chars.by_ref().find(|c| c.is_ascii_alphabetic())),
            c => plain.push(c),
        }
    }
    plain
}

#[test]
fn csv_has_a_header_and_the_row_location_and_size_of_failed_assets() {
    let (scratch, id) = after_a_job();
    let causes = scratch.run(&["failure", "list", "-o", "name"]);
    let cause = causes.expect_code(0).stdout.trim().to_owned();
    let failed = scratch.run(&["failure", "get", &cause, "-o", "csv"]);
    let lines: Vec<&str> = failed.expect_code(0).stdout.split("\r\n").collect();
    assert_eq!(
        lines[0],
        "asset,title,role,supplier,location,bytes,row,unit,reason,message"
    );
    let location = format!("file:{}", scratch.path("in/b.bin").display());
    let start = format!("'=b,\"t2, \"\"two\"\"\",document,,{location},,3,{id}/land/");
    assert!(lines[1].starts_with(&start), "{lines:#?}");
    assert_eq!(
        lines.len(),
        3,
        "a header, a row and the end of the last line"
    );

    let jobs = scratch.run(&["job", "list", "-o", "csv"]);
    let jobs = &jobs.expect_code(0).stdout;
    assert!(
        jobs.starts_with("job,name,state,assets,units.total,"),
        "{jobs}"
    );
    assert!(jobs.contains(&format!("\r\n{id},")), "{jobs}");
    let unit = scratch.run(&["unit", "get", &format!("{id}/land/1"), "-o", "csv"]);
    assert_eq!(
        unit.expect_code(0).stdout.split("\r\n").count(),
        3,
        "{unit:?}"
    );
    for list in [
        &["unit", "list", &id][..],
        &["asset", "list"],
        &["failure", "list"],
        &["operation", "list"],
        &["task", "list"],
        &["worker", "list"],
        &["config", "view"],
        &["unit", "log", &format!("{id}/land/1")],
    ] {
        let shown = scratch.run(&[list, &["-o", "csv"]].concat());
        let header = shown
            .expect_code(0)
            .stdout
            .split("\r\n")
            .next()
            .unwrap_or_default();
        assert!(
            header.contains(',') && !header.contains(' '),
            "{list:?}: {shown:?}"
        );
    }
}

#[test]
fn list_that_fails_prints_only_its_error() {
    let (scratch, _) = after_a_job();
    for output in ["json", "csv"] {
        let ran = scratch.run(&["unit", "list", "nope", "-o", output]);
        ran.expect_code(5);
        match output {
            "json" => assert_eq!(ran.json()["exit"], 5, "{ran:?}"),
            _ => assert_eq!(ran.stdout, ""),
        }
    }
}

#[test]
fn tables_fit_the_terminal_and_colours_can_be_refused() {
    let (scratch, id) = after_a_job();
    for columns in [80, 140] {
        let shown = in_terminal(&scratch, columns, &["job", "list"], &[]);
        assert!(shown.contains("\u{1b}["), "states have colours: {shown:?}");
        let plain = without_colours(&shown);
        assert!(
            plain
                .lines()
                .all(|line| line.chars().count() <= columns as usize),
            "{plain}"
        );
        assert!(plain.contains(&id), "ids are whole: {plain}");
        let wide = in_terminal(&scratch, columns, &["job", "list", "-o", "wide"], &[]);
        assert!(
            without_colours(&wide).contains("finished_with_failures"),
            "{wide}"
        );
    }
    let refused = in_terminal(&scratch, 80, &["job", "list"], &[("NO_COLOR", "1")]);
    assert!(!refused.contains('\u{1b}'), "{refused:?}");
    let piped = scratch.run(&["job", "list"]);
    assert!(!piped.expect_code(0).stdout.contains('\u{1b}') && !piped.stdout.contains('…'));
}

#[test]
fn beginning_of_an_id_and_the_newest_job_are_enough() {
    let (scratch, first) = after_a_job();
    scratch.write("job2.yaml", LAND.replace("job: land", "job: lane"));
    let second = scratch.run_job("job2.yaml", 3)["job"]
        .as_str()
        .expect("an id")
        .to_owned();
    let (_up, address) = scratch.up("transfer=1");
    for remote in [false, true] {
        let run = |args: &[&str]| match remote {
            true => scratch.remote(&address, args),
            false => scratch.run(args),
        };
        for (typed, id) in [
            ("land", &first),
            (&first, &first),
            ("lane", &second),
            ("@last", &second),
        ] {
            let got = run(&["job", "get", typed, "-o", "json"]);
            assert_eq!(got.expect_code(0).json()["job"], *id.as_str(), "{typed}");
            let units = run(&["unit", "list", typed, "-o", "name"]);
            assert!(
                units.expect_code(0).stdout.starts_with(id.as_str()),
                "{typed}: {units:?}"
            );
        }
        let unit = run(&["unit", "get", "@last/land/1", "-o", "name"]);
        unit.expect_code(0);
        let retried = run(&["job", "retry", "land-", "--all", "--dry-run", "-o", "json"]);
        assert_eq!(retried.expect_code(0).json()["job"], first.as_str());
        let causes = run(&["failure", "list", "--job", "@last", "-o", "json"]);
        assert_eq!(causes.expect_code(0).json()[0]["jobs"][0], second.as_str());
        let several = run(&["job", "pause", "lan"]);
        several
            .expect_code(2)
            .expect_said(&[&first, &second, "write as much of the id"]);
        run(&["job", "get", "lanx"]).expect_code(5);
    }
    let empty = Scratch::new();
    let (_up, address) = empty.up("transfer=1");
    let none = empty.remote(&address, &["job", "get", "@last"]);
    none.expect_code(5).expect_said(&["there is no job yet"]);
}
