//! Histories of sources: no copy, in any layout, makes an original of a file that was damaged after it was sealed.
use serde_json::Value;
use testkit::Scratch;

/// A card with a history, made by a job of its own.
fn card() -> Scratch {
    let scratch = Scratch::new();
    for (name, content) in [
        ("clips/a.mov", "one"),
        ("clips/b.mov", "two"),
        ("notes.txt", "notes"),
    ] {
        scratch.write(format!("shot/{name}"), content);
    }
    let step = "  - id: seal\n    transfer: { to: \"file:./card/{path}\", mhl: true }\n";
    assert_eq!(
        reasons(&run(&scratch, "folder: shot", step, 0)),
        [] as [&str; 0]
    );
    let clips = scratch.path("card/clips");
    let rows =
        ["a", "b"].map(|name| format!("{name},t,master,file:{}/{name}.mov\n", clips.display()));
    scratch.write(
        "card.csv",
        format!("asset,title,role,location\n{}", rows.concat()),
    );
    scratch
}

fn run(scratch: &Scratch, library: &str, steps: &str, code: i32) -> Value {
    scratch.write(
        "job.yaml",
        format!("job: c\nlibrary: {{ {library} }}\nsteps:\n{steps}"),
    );
    scratch
        .run(&["run", "job.yaml", "-o", "json"])
        .expect_code(code)
        .json()
}

fn reasons(summary: &Value) -> Vec<&str> {
    summary["failures"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|failure| failure["reason"].as_str())
        .collect()
}

/// A step that copies and seals.
fn sealing(id: &str, to: &str) -> String {
    format!("  - id: {id}\n    transfer: {{ to: \"file:./{to}\", mhl: true }}\n")
}

/// A step without a history, and one that reads its copies and seals.
fn chain(first: &str, second: &str) -> String {
    let land = format!("  - id: land\n    transfer: {{ to: \"file:./{first}\" }}\n");
    land + &sealing("again", second).replace("    transfer", "    needs: [land]\n    transfer")
}

#[test]
fn damaged_file_is_no_original_in_any_layout() {
    for (name, library, steps) in [
        ("paths", "folder: card", sealing("copy", "out/{path}")),
        (
            "directories",
            "folder: card",
            sealing("copy", "out/{title}/{role}/{file}"),
        ),
        ("flat", "folder: card", sealing("copy", "out/{file}")),
        (
            "chain with paths",
            "folder: card",
            chain("one/{path}", "out/{path}"),
        ),
        (
            "flat chain",
            "folder: card",
            chain("one/{path}", "out/{file}"),
        ),
        (
            "chain over a flat copy",
            "folder: card",
            chain("one/{file}", "out/{path}"),
        ),
        (
            "manifest",
            "manifest: card.csv",
            sealing("copy", "out/{asset}.mov"),
        ),
        (
            "chain of a manifest",
            "manifest: card.csv",
            chain("one/{file}", "out/{asset}.mov"),
        ),
        (
            "part of the card",
            "folder: card/clips",
            sealing("copy", "out/{path}"),
        ),
    ] {
        let scratch = card();
        run(&scratch, library, &steps, 0);
        scratch.run(&["mhl", "verify", "out"]).expect_code(0);
        for made in ["out", "one"] {
            drop(std::fs::remove_dir_all(scratch.path(made)));
        }
        scratch.write("card/clips/a.mov", "ONE");
        // The job that finds the damage, and the next one, whose journal says nothing of it.
        for job in ["first", "second"] {
            let summary = run(&scratch, library, &steps, 3);
            assert_eq!(
                reasons(&summary),
                ["mhl_mismatch"],
                "{name}, {job} job: {summary:#}"
            );
            assert!(
                summary["failures"][0]["message"]
                    .to_string()
                    .contains("a.mov: "),
                "{name}: {summary:#}"
            );
        }
        let verified = scratch
            .run(&["mhl", "verify", "out", "-o", "json"])
            .expect_code(1)
            .json();
        let found = verified["new"]
            .as_array()
            .into_iter()
            .chain(verified["mismatched"].as_array())
            .flatten()
            .count();
        assert_eq!(found, 1, "{name}: {verified:#}");
    }
}

#[test]
fn copy_that_keeps_paths_continues_the_history_over_a_chain() {
    let scratch = card();
    run(
        &scratch,
        "folder: card",
        &chain("one/{title}-{file}", "out/{path}"),
        0,
    );
    let generations = std::fs::read_dir(scratch.path("out/ascmhl"))
        .expect("a history")
        .flatten();
    let names = generations.map(|entry| entry.file_name().to_string_lossy().into_owned());
    assert_eq!(
        names.filter(|name| name.ends_with(".mhl")).count(),
        2,
        "that of the card, and that of the copy"
    );
}

#[test]
fn refusal_is_forgotten_once_the_file_is_restored() {
    let scratch = card();
    scratch.write("card/clips/a.mov", "ONE");
    let steps = sealing("copy", "out/{file}");
    run(&scratch, "folder: card", &steps, 3);
    assert!(
        scratch.path("out/.showrunner").is_dir(),
        "the refusal is kept for the next job"
    );
    std::fs::remove_file(scratch.path("out/a.mov")).expect("removed");
    scratch.write("card/clips/a.mov", "one");
    run(&scratch, "folder: card", &steps, 0);
    assert!(!scratch.path("out/.showrunner").exists());
    scratch.run(&["mhl", "verify", "out"]).expect_code(0);
}

#[test]
fn refused_file_stays_refused_without_its_source() {
    let scratch = card();
    scratch.write("card/clips/a.mov", "ONE");
    let steps = sealing("copy", "out/{file}");
    run(&scratch, "folder: card", &steps, 3);
    std::fs::rename(scratch.path("card"), scratch.path("ejected")).expect("moved");
    scratch.write("other/c.mov", "three");
    let summary = run(&scratch, "folder: other", &steps, 3);
    assert_eq!(reasons(&summary), ["mhl_mismatch"], "{summary:#}");
}
