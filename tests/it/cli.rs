//! The command line: what goes to stdout, what to stderr, and with which exit code.
use crate::jobs::{LAND, manifest};
use rusqlite::Connection;
use serde_json::Value;
use testkit::bucket::Bucket;
use testkit::weed::Weed;
use testkit::{Ran, Scratch};

/// A data directory with one job that has ended with a failure; the job's id.
fn after_a_job() -> (Scratch, String) {
    let scratch = Scratch::new();
    scratch.write(
        "manifest.csv",
        manifest(&[("a", "t", "in/a.bin"), ("b", "t2", "in/b.bin")]),
    );
    scratch.write("in/a.bin", "a");
    scratch.write("job.yaml", LAND);
    let id = scratch.run_job("job.yaml", 3)["job"]
        .as_str()
        .expect("an id is text")
        .to_owned();
    (scratch, id)
}

#[test]
fn json_output_is_alone_on_stdout() {
    let (scratch, id) = after_a_job();
    let unit = format!("{id}/land/1");
    let commands: [(&[&str], i32); 16] = [
        (&["run", "job.yaml"], 3),
        (&["job", "list"], 0),
        (&["job", "get", &id], 0),
        (&["job", "wait", &id], 3),
        (&["job", "watch", &id], 3),
        (&["job", "explain", &id], 0),
        (&["job", "retry", &id, "--all", "--dry-run"], 0),
        (&["job", "submit", "job.yaml", "--dry-run"], 0),
        (&["unit", "list", &id], 0),
        (&["unit", "get", &unit], 0),
        (&["unit", "explain", &unit], 0),
        (&["asset", "list"], 0),
        (&["asset", "get", "a"], 0),
        (&["asset", "import", "manifest.csv", "--dry-run"], 0),
        (&["config", "view", "--show-origin"], 0),
        (&["doctor"], 0),
    ];
    for (command, code) in commands {
        let json = scratch.run(&[command, &["-o", "json"]].concat());
        json.expect_code(code).json();
        let lines = scratch.run(&[command, &["-o", "jsonl"]].concat());
        assert_eq!(lines.code, code, "{lines:#?}");
        for line in lines.stdout.lines() {
            assert!(
                serde_json::from_str::<Value>(line).is_ok(),
                "{line:?} of {lines:#?}"
            );
        }
    }
    assert!(scratch.run(&["schema", "job"]).expect_code(0).json()["properties"].is_object());
    assert!(scratch.run(&["schema", "spec"]).expect_code(0).json()["properties"].is_object());
}

#[test]
fn missing_region_is_reported_without_client_warnings() {
    let scratch = Scratch::new();
    let job =
        "job: j\nlibrary: { folder: \"s3://no-such-bucket/p\" }\nsteps: [{ id: a, noop: {} }]\n";
    scratch.write("job.yaml", job);
    let mut command = scratch.showrunner(&["run", "job.yaml", "-q"]);
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"] {
        command.env_remove(name);
    }
    command
        .env("AWS_CONFIG_FILE", "/nowhere")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nowhere");
    let output = command.output().expect("it starts");
    let (said, warned) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        said.contains("no region is known: set `region`") && !said.contains("credentials"),
        "{said}"
    );
    assert_eq!(warned, "");
}

#[test]
fn explain_of_a_succeeded_unit_advises_nothing() {
    let (scratch, id) = after_a_job();
    let units = scratch
        .run(&["unit", "list", &id, "--state", "succeeded", "-o", "json"])
        .expect_code(0)
        .json();
    let unit = units[0]["unit"].as_str().expect("a unit succeeded");
    let explained = scratch
        .run(&["unit", "explain", unit, "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(
        explained["next"], "nothing: its work is done",
        "{explained:#}"
    );
    let said = scratch
        .run(&["unit", "explain", unit])
        .expect_code(0)
        .stdout
        .clone();
    assert!(
        said.contains("it has succeeded") && !said.contains("job retry"),
        "{said}"
    );
}

#[test]
fn error_with_json_output_is_one_json_document() {
    let (scratch, id) = after_a_job();
    scratch.write("bad.yaml", LAND.replace("[land]", "[lnad]"));
    let commands: [(&[&str], i32, &str); 9] = [
        (&["job", "get", "nope"], 5, "not_found"),
        (&["unit", "get", "nonsense"], 2, "usage"),
        (&["job", "pause", &id], 6, "conflict"),
        (&["job", "submit", "nope.yaml"], 5, "not_found"),
        (&["run", "bad.yaml"], 2, "usage"),
        (&["frob"], 2, "usage"),
        (&["mhl", "verify", "nope"], 5, "not_found"),
        (&["qc", "nope.mov", "--policy", "nope.yaml"], 2, "usage"),
        (&["up", "--listen", "0.0.0.0:0"], 2, "usage"),
    ];
    for (command, code, error) in commands {
        for format in [&["-o", "json"][..], &["--output=jsonl"]] {
            let ran = scratch.run(&[command, format].concat());
            let document = ran.expect_code(code).json();
            let found = (
                document["error"].as_str(),
                document["exit"].as_i64(),
                document["message"].is_string(),
            );
            assert_eq!(
                found,
                (Some(error), Some(i64::from(code)), true),
                "{ran:#?}"
            );
        }
    }
}

#[test]
fn terminal_control_characters_are_escaped() {
    let scratch = Scratch::new();
    let name = "a\u{1b}]0;owned\u{7}\u{202e}b.bin";
    scratch.write(
        "manifest.csv",
        manifest(&[("a", "crème \u{202e}brûlée", "in/a.bin")]),
    );
    scratch.write("in/a.bin", "a");
    scratch.write("job.yaml", LAND);
    scratch.run_job("job.yaml", 0);
    let steers = |text: &str| {
        text.chars()
            .any(|c| (c.is_control() && c != '\n') || c == '\u{202e}')
    };
    for command in [
        &["asset", "list"][..],
        &["asset", "get", "a"],
        &["mhl", "verify", name],
        &["job", "get", name],
    ] {
        let ran = scratch.run(command);
        assert!(!steers(&ran.stdout) && !steers(&ran.stderr), "{ran:#?}");
    }
    assert!(
        scratch
            .run(&["asset", "list"])
            .stdout
            .contains("crème \\u{202e}brûlée"),
        "it is shown escaped"
    );
}

#[test]
fn data_directory_is_readable_by_its_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (scratch, _) = after_a_job();
    let mode = |name: &str| {
        std::fs::metadata(scratch.path(name))
            .unwrap_or_else(|e| panic!("{name}: {e}"))
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("data"), 0o700);
    assert_eq!(
        (mode("data/showrunner.db"), mode("data/lock")),
        (0o600, 0o600)
    );
    let warned = |scratch: &Scratch| {
        scratch
            .run(&["run", "job.yaml"])
            .stderr
            .contains("warning: data directory")
    };
    assert!(!warned(&scratch));
    std::fs::set_permissions(scratch.path("data"), std::fs::Permissions::from_mode(0o755))
        .expect("set");
    assert!(warned(&scratch), "others may read it");
    scratch.write("file", "x");
    scratch
        .run(&["run", "job.yaml", "--data", "file/data"])
        .expect_code(1)
        .expect_said(&["file/data"]);
}

#[test]
fn name_output_is_ids_only() {
    let (scratch, id) = after_a_job();
    assert_eq!(scratch.run(&["job", "list", "-o", "name"]).name(), id);
    assert_eq!(scratch.run(&["job", "get", &id, "-o", "name"]).name(), id);
    let units = scratch.run(&["unit", "list", &id, "-o", "name"]).stdout;
    assert_eq!(
        units.lines().collect::<Vec<_>>(),
        [format!("{id}/land/1"), format!("{id}/land/2")]
    );
    for unit in units.lines() {
        scratch.run(&["unit", "get", unit]).expect_code(0);
    }
    // An asset that was never delivered is not in the catalogue.
    assert_eq!(scratch.run(&["asset", "list", "-o", "name"]).name(), "a");
    let submitted = scratch
        .run(&["job", "submit", "job.yaml", "-o", "name"])
        .name();
    assert_eq!(
        scratch
            .run(&["job", "get", &submitted, "-o", "name"])
            .name(),
        submitted
    );
}

#[test]
fn piped_output_has_no_colour_and_no_progress() {
    let (scratch, _) = after_a_job();
    for colour in [None, Some("1")] {
        let mut command = scratch.showrunner(&["run", "job.yaml"]);
        command.envs(colour.map(|value| ("NO_COLOR", value)));
        let ran = Ran::of(command);
        ran.expect_code(3);
        assert_eq!(
            ran.stderr, "",
            "a run that is piped says nothing beside its data"
        );
        assert!(!ran.stdout.contains('\u{1b}'), "{ran:#?}");
        for words in [
            "finished_with_failures",
            "1 of 2 succeeded, 1 dead",
            "1 held",
            "source_missing",
            "in/b.bin",
        ] {
            assert!(ran.stdout.contains(words), "{words:?} is not in {ran:#?}");
        }
    }
}

#[test]
fn unknown_object_exits_5_with_a_hint() {
    let (scratch, id) = after_a_job();
    let commands: [&[&str]; 13] = [
        &["job", "get", "nope"],
        &["job", "wait", "nope"],
        &["job", "watch", "nope"],
        &["job", "pause", "nope"],
        &["job", "resume", "nope"],
        &["job", "cancel", "nope"],
        &["job", "retry", "nope", "--all"],
        &["job", "explain", "nope"],
        &["unit", "list", "nope"],
        &["unit", "get", "nope/land/1"],
        &["asset", "get", "nope"],
        &["mhl", "verify", "nope"],
        &["job", "submit", "nope.yaml"],
    ];
    for command in commands {
        let ran = scratch.run(command);
        ran.expect_code(5).expect_said(&["error:"]);
        assert_eq!(ran.stdout, "", "{command:?}");
    }
    for unit in [
        format!("{id}/land/99"),
        format!("{id}/nope/1"),
        format!("{id}/land/0"),
    ] {
        scratch.run(&["unit", "get", &unit]).expect_code(5);
        scratch.run(&["unit", "explain", &unit]).expect_code(5);
    }
    let ran = scratch.run(&["job", "list", "--data", "nowhere"]);
    ran.expect_code(5).expect_said(&["nowhere", "--data"]);
    assert!(
        !scratch.path("nowhere").exists(),
        "asking makes no directory"
    );
}

#[test]
fn wrong_usage_exits_2_with_a_hint() {
    let (scratch, id) = after_a_job();
    let commands: [(&[&str], &str); 11] = [
        (&["frob"], "Usage"),
        (&["job", "pasue"], "pause"),
        (&["run"], "JOB"),
        (&["job", "list", "-o", "xml"], "json"),
        (&["job", "list", "--state", "ded"], "known: running"),
        (
            &["unit", "list", &id, "--state", "ded"],
            "did you mean `dead`",
        ),
        (
            &["unit", "list", &id, "--step", "lnd"],
            "did you mean `land`",
        ),
        (&["unit", "get", "nonsense"], "job/step/partition"),
        (&["job", "retry", &id], "--all"),
        (&["job", "wait", &id, "--timeout", "soon"], "soon"),
        (
            &["run", "job.yaml", "--slots", "tranfer=2"],
            "did you mean `transfer`",
        ),
    ];
    for (command, hint) in commands {
        let ran = scratch.run(command);
        ran.expect_code(2).expect_said(&[hint]);
        assert_eq!(ran.stdout, "", "{command:?}");
    }
}

#[test]
fn newer_database_is_refused_and_unchanged() {
    let (scratch, id) = after_a_job();
    let path = scratch.path("data/showrunner.db");
    let database = Connection::open(&path).expect("the database opens");
    database
        .pragma_update(None, "user_version", 99)
        .expect("a version can be set");
    drop(database);
    let commands: [&[&str]; 4] = [
        &["run", "job.yaml"],
        &["job", "list"],
        &["job", "get", &id],
        &["up"],
    ];
    for command in commands {
        scratch.run(command).expect_code(6).expect_said(&["99"]);
    }
    let database = Connection::open(&path).expect("the database opens");
    let jobs: i64 = database
        .query_row("SELECT count(*) FROM job", [], |row| row.get(0))
        .expect("a plain query");
    assert_eq!(jobs, 1);
}

#[test]
fn validate_prints_every_problem_of_every_file() {
    let scratch = Scratch::new();
    scratch.write("good.yaml", LAND);
    scratch.write("manifest.csv", manifest(&[]));
    let bad = LAND
        .replace("{title}", "{titel}")
        .replace("[land]", "[lnad]")
        .replace("id: complete", "id: land");
    scratch.write("bad.yaml", bad);
    scratch.write("spec.yaml", "spec: x\nqc:\n  blakc: { longest: 1s }\n");
    let ran = scratch.run(&["validate", "bad.yaml", "good.yaml", "spec.yaml"]);
    ran.expect_code(2).expect_said(&[
        "bad.yaml:5:",
        "titel",
        "bad.yaml:8:",
        "lnad",
        "two steps",
        "3 problems",
    ]);
    ran.expect_said(&["spec.yaml:3:", "blakc", "black"]);
    assert_eq!(ran.stdout, "good.yaml: job ok\n");
    scratch.run(&["validate", "good.yaml"]).expect_code(0);
}

#[test]
fn validate_recognizes_each_kind_of_file_and_points_at_the_node() {
    let scratch = Scratch::new();
    scratch.write("manifest.csv", manifest(&[]));
    scratch.write(
        "storage.yaml",
        "roots: [/media]\nendpoints:\n  - { prefix: 's3://b', region: eu }\n",
    );
    scratch.write(
        "no-storage.yaml",
        "endpoints:\n  - { prefix: s3://b, regoin: eu }\n",
    );
    scratch.write(
        "waivers.yaml",
        "waivers: [{ check: blak, by: ada, reason: r }]\n",
    );
    scratch.write("config.toml", "[default]\nlsiten = \"x\"\n");
    let needs = "job: b\nlibrary: { manifest: manifest.csv }\nsteps:\n  - id: a\n    needs: [b]\n    noop: {}\n";
    scratch.write("needs.yaml", needs);
    let files = [
        "storage.yaml",
        "no-storage.yaml",
        "waivers.yaml",
        "config.toml",
        "needs.yaml",
        "absent.yaml",
    ];
    let ran = scratch.run(&[&["validate", "-o", "json"], &files[..]].concat());
    let found = ran.expect_code(2).json();
    let problem = |n: usize, member: &str| found[n]["problems"][0][member].clone();
    let kinds: Vec<_> = (0..6)
        .map(|n| found[n]["kind"].as_str().unwrap_or("none"))
        .collect();
    assert_eq!(
        kinds,
        [
            "storage file",
            "storage file",
            "waivers",
            "configuration file",
            "job",
            "none"
        ]
    );
    assert_eq!(found[0]["ok"], true);
    assert_eq!(problem(1, "line"), 2);
    assert!(
        problem(1, "hint")
            .as_str()
            .is_some_and(|hint| hint.contains("region")),
        "{found}"
    );
    assert!(
        problem(2, "hint")
            .as_str()
            .is_some_and(|hint| hint.contains("black")),
        "{found}"
    );
    assert!(
        problem(3, "hint")
            .as_str()
            .is_some_and(|hint| hint.contains("listen")),
        "{found}"
    );
    assert_eq!(
        (problem(4, "line"), problem(4, "column")),
        (5.into(), 13.into()),
        "{found}"
    );
    assert_eq!(problem(4, "hint"), "there is none to choose from");
    for kind in ["storage", "profile", "waivers", "manifest", "mapping"] {
        assert_eq!(
            scratch.run(&["schema", kind]).expect_code(0).json()["type"],
            "object",
            "{kind}"
        );
    }
}

#[test]
fn doctor_probes_buckets() {
    let scratch = Scratch::new();
    scratch.write("served/cards/a.mov", "abc");
    let gcs = Bucket::serve(&scratch.path("served"));
    let finding = |location: &str, code: i32| {
        let ran = scratch.run(&[
            "doctor",
            "--storage",
            "storage.yaml",
            "-o",
            "json",
            location,
        ]);
        let findings = ran.expect_code(code).json();
        let all = findings.as_array().cloned().unwrap_or_default();
        let last = all
            .into_iter()
            .rfind(|finding| finding["check"] == "endpoint")
            .expect("the location is tried");
        last["message"].as_str().unwrap_or_default().to_owned()
    };
    scratch.write("storage.yaml", gcs.settings());
    let said = finding("gs://library/cards", 0);
    assert!(said.starts_with("gs://library/cards: list"), "{said}");
    let Some(weed) = Weed::start(&scratch.path("."), "probed") else {
        return;
    };
    scratch.write("storage.yaml", format!("endpoints:\n{}", weed.settings("")));
    let said = finding("s3://probed/folder", 0);
    assert!(
        said.contains("list, put, multipart upload, delete"),
        "{said}"
    );
}

#[test]
fn doctor_probes_each_endpoint_with_an_object() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path("media")).expect("a folder can be made");
    let root = scratch.path("media").display().to_string();
    let settings = format!(
        "roots: ['{root}', '{root}/absent']\nendpoints:\n  - {{ prefix: 's3:' }}\n  - {{ prefix: 'file:{root}' }}\n"
    );
    scratch.write("storage.yaml", settings);
    let ran = scratch.run(&[
        "doctor",
        "--storage",
        "storage.yaml",
        "-o",
        "json",
        "file:/etc",
    ]);
    let findings = ran.expect_code(1).json();
    let of = |check: &str| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let all = findings
            .as_array()
            .into_iter()
            .flatten()
            .filter(|finding| finding["check"] == check);
        all.map(|finding| (text(&finding["state"]), text(&finding["message"])))
            .collect()
    };
    let states = |check: &str| {
        of(check)
            .into_iter()
            .map(|(state, _)| state)
            .collect::<Vec<_>>()
    };
    assert_eq!(states("root"), ["ok", "failed"], "{findings:#}");
    assert_eq!(states("endpoint"), ["ok", "ok", "failed"], "{findings:#}");
    assert!(
        of("endpoint")[1]
            .1
            .contains("list, put, multipart upload, delete"),
        "{findings:#}"
    );
    assert!(of("endpoint")[2].1.contains("roots"), "{findings:#}");
    let left = std::fs::read_dir(scratch.path("media"))
        .expect("it is there")
        .count();
    assert_eq!(left, 0, "nothing of the probe stays");
}

#[test]
fn completion_and_help_are_printed() {
    let scratch = Scratch::new();
    let bash = scratch.run(&["completion", "bash"]);
    assert!(
        bash.expect_code(0)
            .stdout
            .contains("complete -F _showrunner"),
        "{bash:#?}"
    );
    let help = scratch.run(&["--help"]);
    for word in ["demo", "run", "validate", "Exit codes", "130"] {
        assert!(
            help.expect_code(0).stdout.contains(word),
            "{word:?} is not in the help"
        );
    }
    assert!(
        scratch
            .run(&["--version"])
            .expect_code(0)
            .stdout
            .starts_with("showrunner ")
    );
}

#[test]
fn closed_output_pipe_is_no_error() {
    let (scratch, id) = after_a_job();
    let commands: [&[&str]; 6] = [
        &["schema", "job"],
        &["completion", "bash"],
        &["validate", "job.yaml"],
        &["job", "list"],
        &["job", "get", &id, "-o", "json"],
        &["--help"],
    ];
    for command in commands {
        let (reader, writer) = std::io::pipe().expect("a pipe can be made");
        drop(reader);
        let output = scratch
            .showrunner(command)
            .stdout(writer)
            .output()
            .expect("a command that exists starts");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{command:?}");
        assert!(
            output.status.code().is_some_and(|code| code <= 1),
            "{command:?}: {:?}",
            output.status
        );
    }
}

#[test]
fn secrets_are_never_printed() {
    const CANARY: &str = "canary-4711";
    let (scratch, id) = after_a_job();
    let commands: [&[&str]; 9] = [
        &["config", "view"],
        &["config", "view", "--show-origin", "-o", "json"],
        &["doctor"],
        &["doctor", "-o", "json"],
        &["-vv", "run", "job.yaml"],
        &["-vv", "job", "list"],
        &["-vv", "job", "get", &id],
        &["-vv", "up", "--listen", "256.0.0.1:1"],
        &["--help"],
    ];
    let places = [
        format!("postgres://me:{CANARY}@db.example/x"),
        format!("rediss://:{CANARY}@cache.example/0"),
        format!("postgres://db.example/x?user=me&password={CANARY}&sslmode=require"),
        format!("host=db.example password={CANARY}"),
        format!("https://me:{CANARY}@show.example/"),
    ];
    for place in &places {
        for command in commands {
            let mut told = scratch.showrunner(command);
            for name in [
                "SHOWRUNNER_DATABASE",
                "SHOWRUNNER_REDIS",
                "SHOWRUNNER_SERVER",
            ] {
                told.env(name, place);
            }
            let ran = Ran::of(told);
            assert!(
                !ran.stdout.contains(CANARY) && !ran.stderr.contains(CANARY),
                "{ran:#?}"
            );
        }
    }
}

#[test]
fn settings_name_their_source() {
    let scratch = Scratch::new();
    scratch.write(
        ".config/showrunner/config.toml",
        "[default]\nslots = \"qc=1\"\n[studio]\nlisten = \"127.0.0.1:1\"\n",
    );
    let view = |args: &[&str]| {
        let ran = scratch.run(&[args, &["config", "view", "--show-origin", "-o", "json"]].concat());
        let list = ran.expect_code(0).json();
        list.as_array().cloned().unwrap_or_default()
    };
    let origin = |list: &[Value], name: &str| {
        let found = list.iter().find(|setting| setting["name"] == name);
        found
            .and_then(|setting| setting["origin"].as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let list = view(&[]);
    assert_eq!(origin(&list, "data"), "env SHOWRUNNER_DATA");
    assert_eq!(origin(&list, "ffmpeg"), "default");
    assert!(origin(&list, "slots").starts_with("file "), "{list:#?}");
    let list = view(&["--data", "elsewhere", "--profile", "studio"]);
    assert_eq!(origin(&list, "data"), "flag");
    assert!(origin(&list, "listen").starts_with("file "), "{list:#?}");
    scratch
        .run(&["config", "view", "--profile", "stduio"])
        .expect_code(2)
        .expect_said(&["did you mean `studio`"]);
}
