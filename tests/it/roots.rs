//! `roots` of the storage file: no job, manifest, library, sidecar or QC step reaches a file outside of them.
use serde_json::Value;
use std::os::unix::fs::symlink;
use testkit::Scratch;
use testkit::process::wait_until;

/// Media below a root, a file outside of it, and links between them.
fn with_roots() -> Scratch {
    let scratch = Scratch::new();
    scratch.write("media/a.bin", "inside");
    scratch.write("outside/secret.bin", "outside");
    symlink(scratch.path("outside"), scratch.path("media/out")).expect("a link can be made");
    scratch.write(
        "storage.yaml",
        format!("roots: ['{}']\n", scratch.path("media").display()),
    );
    scratch.write("spec.yaml", "spec: s\nqc: { naming: { pattern: '.*' } }\n");
    scratch
}

/// Runs a job over a library with one step; its summary.
fn run(scratch: &Scratch, library: &str, step: &str, code: i32) -> Value {
    scratch.write(
        "job.yaml",
        format!("job: r\nlibrary: {{ {library} }}\nsteps:\n  - id: s\n    {step}\n"),
    );
    let ran = scratch.run(&["--storage", "storage.yaml", "run", "job.yaml", "-o", "json"]);
    ran.expect_code(code).json()
}

/// A manifest below the root with one asset at an absolute path.
fn list(scratch: &Scratch, location: &str) {
    let location = format!("file:{}", scratch.path(location).display());
    scratch.write(
        "media/m.csv",
        format!("asset,title,role,location\na,t,master,{location}\n"),
    );
}

fn reasons(summary: &Value) -> Vec<&str> {
    summary["failures"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|failure| failure["reason"].as_str())
        .collect()
}

const LAND: &str = "transfer: { to: \"file:./media/landed/{asset}.bin\" }";

#[test]
fn transfer_outside_of_the_roots_is_refused_at_both_ends() {
    let scratch = with_roots();
    for (from, to, name) in [
        ("outside/secret.bin", "media/landed", "source"),
        (
            "media/out/secret.bin",
            "media/landed",
            "source behind a link",
        ),
        ("media/a.bin", "outside/landed", "target"),
        ("media/a.bin", "media/out/landed", "target behind a link"),
    ] {
        list(&scratch, from);
        let step = format!("transfer: {{ to: \"file:./{to}/{{asset}}.bin\" }}");
        let summary = run(&scratch, "manifest: media/m.csv", &step, 3);
        let found = reasons(&summary);
        assert!(
            matches!(found[..], ["outside_roots"] | ["destination_escapes"]),
            "{name}: {summary:#}"
        );
        let copy = scratch.path(format!("{to}/a.bin"));
        assert!(
            !copy.exists() && !scratch.path("outside/landed").exists(),
            "{name}: nothing was written"
        );
    }
    list(&scratch, "media/a.bin");
    run(&scratch, "manifest: media/m.csv", LAND, 0);
    assert_eq!(
        std::fs::read_to_string(scratch.path("media/landed/a.bin"))
            .ok()
            .as_deref(),
        Some("inside")
    );
}

#[test]
fn library_and_qc_outside_of_the_roots_are_refused() {
    let scratch = with_roots();
    scratch.write("outside/m.csv", "secret header line\n");
    for library in [
        "manifest: outside/m.csv",
        "manifest: media/out/m.csv",
        "folder: outside",
        "folder: media/out",
    ] {
        let summary = run(&scratch, library, LAND, 1);
        let message = summary["message"].as_str().unwrap_or_default();
        assert_eq!(summary["state"], "failed", "{library}: {summary:#}");
        assert!(
            message.contains("roots") && !message.contains("secret header"),
            "{library}: {summary:#}"
        );
    }
    list(&scratch, "outside/secret.bin");
    let summary = run(
        &scratch,
        "manifest: media/m.csv",
        "qc: { policy: spec.yaml }",
        3,
    );
    assert_eq!(reasons(&summary), ["outside_roots"], "{summary:#}");
}

#[test]
fn sidecar_outside_the_library_or_a_pipe_is_not_read() {
    let scratch = with_roots();
    scratch.write("lib/a.bin", "a");
    scratch.write("lib/b.bin", "b");
    scratch.write("private.txt", "0123456789 CANARY-4711");
    let pipe = std::process::Command::new("mkfifo")
        .arg(scratch.path("lib/a.bin.md5"))
        .status();
    assert!(
        pipe.is_ok_and(|status| status.success()),
        "a pipe can be made"
    );
    symlink(scratch.path("private.txt"), scratch.path("lib/b.bin.md5"))
        .expect("a link can be made");
    scratch.write(
        "job.yaml",
        "job: s\nlibrary: { folder: lib }\nsteps:\n  - id: s\n    transfer: { to: \"file:./o/{path}\" }\n",
    );
    let ran = scratch.run(&["run", "job.yaml", "-o", "json"]);
    let summary = ran.expect_code(3).json();
    assert!(
        !ran.stdout.contains("CANARY") && !ran.stderr.contains("CANARY"),
        "{ran:#?}"
    );
    for name in ["a.bin", "b.bin"] {
        assert!(
            scratch.path("o").join(name).exists(),
            "{name} lands without its sidecar: {summary:#}"
        );
    }
}

const SWAPPED: &str = "job: swapped
library: { folder: lib }
steps:
  - id: begin
    noop: {}
  - id: go
    needs: [begin]
    approval: { role: operator }
  - id: land
    needs: [go]
    transfer: { to: \"file:./out/{path}\" }
  - id: replace
    needs: [go]
    transfer: { to: \"file:./replaced/{path}\", replace: versioned }
  - id: check
    needs: [go]
    qc: { policy: spec.yaml }
";

#[test]
fn directory_swapped_between_scan_and_step_leads_no_step_out_of_the_library() {
    let scratch = with_roots();
    scratch.write("lib/d/secret.bin", "listed");
    scratch.write("job.yaml", SWAPPED);
    run_with_swap(&scratch, "lib/d");
}

/// Runs the job; while it waits for its approval, a directory is replaced by a link to another one.
fn run_with_swap(scratch: &Scratch, swapped: &str) {
    let (_running, address) = scratch.up("qc=1,transfer=1,noop=1");
    let ask = |args: &[&str]| scratch.remote(&address, args);
    let job = ask(&["job", "submit", "job.yaml", "-o", "name"]).name();
    let tasks = || {
        ask(&["task", "list", "--job", &job, "-o", "json"])
            .expect_code(0)
            .json()
    };
    wait_until("the steps before the approval are done", || {
        tasks().as_array().is_some_and(|all| all.len() == 1)
    });
    std::fs::remove_dir_all(scratch.path(swapped)).expect("removed");
    symlink(scratch.path("outside"), scratch.path(swapped)).expect("a link can be made");
    ask(&[
        "task",
        "approve",
        &tasks()[0]["task"].to_string(),
        "--by",
        "ada",
    ])
    .expect_code(0);
    let summary = ask(&["job", "wait", &job, "--timeout", "2m", "-o", "json"])
        .expect_code(3)
        .json();
    assert_eq!(reasons(&summary), ["source_escapes"; 3], "{summary:#}");
    for landed in ["out", "replaced"] {
        assert!(
            !scratch.path(landed).join("d/secret.bin").exists(),
            "{landed}: {summary:#}"
        );
    }
}

const COPY_SWAPPED: &str = "job: swapped
library: { folder: lib }
steps:
  - id: land
    transfer: { to: \"file:./landed/{path}\" }
  - id: go
    needs: [land]
    approval: { role: operator }
  - id: copy
    needs: [go]
    transfer: { to: \"file:./out/{path}\" }
  - id: replace
    needs: [go]
    transfer: { to: \"file:./replaced/{path}\", replace: versioned }
  - id: check
    needs: [go]
    qc: { policy: spec.yaml }
";

#[test]
fn copy_behind_a_directory_swapped_for_a_link_is_read_by_no_later_step() {
    let scratch = with_roots();
    scratch.write("lib/d/secret.bin", "listed");
    scratch.write("job.yaml", COPY_SWAPPED);
    run_with_swap(&scratch, "landed/d");
}
