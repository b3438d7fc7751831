//! A title whose manifest row cannot be used is incomplete: no barrier opens as if it were whole.
use serde_json::Value;
use testkit::Scratch;

/// A job whose first step's units are held together by this barrier, with what runs behind it.
fn job(barrier: &str) -> String {
    format!(
        "job: held\nlibrary: {{ manifest: m.csv }}\npartition: {{ by: title, max_assets: 1 }}\nsteps:\n\
         \x20 - id: work\n    noop: {{ duration: 0ms }}\n\
         \x20 - id: complete\n    needs: [work]\n    barrier: {barrier}\n\
         \x20 - id: whole\n    needs: [complete]\n    barrier: {{ scope: job, require: {{ count: 1 }} }}\n\
         \x20 - id: ship\n    needs: [complete]\n    noop: {{ duration: 0ms }}\n"
    )
}

/// Ten rows of one title, of which the seventh cannot be used, two good ones of another, and a title with a bad one only.
fn manifest() -> String {
    let mut text = String::from("asset,title,role,location,bytes\n");
    for n in 0..10 {
        let bytes = if n == 6 { "many" } else { "4" };
        text += &format!("cb-{n},Crème brûlée 5,document,none/{n},{bytes}\n");
    }
    text + "d-1,dry run,document,none/d1,4\nd-2,dry run,document,none/d2,4\ne-1,empty,mastr,none/e1,4\n"
}

fn run(barrier: &str) -> (Scratch, Value) {
    let scratch = Scratch::new();
    scratch.write("m.csv", manifest());
    scratch.write("job.yaml", job(barrier));
    let summary = scratch.run_job("job.yaml", 3);
    (scratch, summary)
}

fn barrier(summary: &Value, id: &str) -> (u64, u64, u64) {
    let all = summary["barriers"].as_array().expect("a list");
    let found = all
        .iter()
        .find(|barrier| barrier["id"] == id)
        .unwrap_or_else(|| panic!("{id}: {summary:#}"));
    let count = |name: &str| found[name].as_u64().expect("a count");
    (count("total"), count("released"), count("held"))
}

fn shipped(summary: &Value) -> u64 {
    let steps = summary["steps"].as_array().expect("a list");
    let ship = steps
        .iter()
        .find(|step| step["id"] == "ship")
        .expect("a step");
    ship["units"]["succeeded"].as_u64().expect("a count")
}

#[test]
fn title_with_a_rejected_row_stays_held() {
    let (scratch, summary) = run("{ scope: title, require: all }");
    assert_eq!(barrier(&summary, "complete"), (3, 1, 2), "{summary:#}");
    assert_eq!(
        barrier(&summary, "whole"),
        (1, 1, 0),
        "one of three titles is whole: {summary:#}"
    );
    assert_eq!(
        (shipped(&summary), &summary["state"]),
        (2, &Value::from("finished_with_failures"))
    );
    let row = summary["failures"]
        .as_array()
        .and_then(|all| all.first())
        .expect("a failure");
    assert_eq!(
        (&row["title"], &row["asset"]),
        (&Value::from("Crème brûlée 5"), &Value::from("cb-6"))
    );
    let id = summary["job"].as_str().expect("an id");
    let held = scratch
        .run(&["job", "explain", id, "-o", "json"])
        .expect_code(0)
        .json();
    let held = held["barriers"].as_array().expect("a list");
    let of = |key: &str| {
        held.iter()
            .find(|barrier| barrier["key"] == key)
            .unwrap_or_else(|| panic!("{key}: {held:#?}"))
    };
    for (key, line, what) in [
        ("Crème brûlée 5", "m.csv line 8", "many"),
        ("empty", "m.csv line 14", "did you mean master?"),
    ] {
        let barrier = of(key);
        assert_eq!(barrier["state"], "held", "{barrier:#}");
        let (missing, next) = (
            barrier["missing"][0].to_string(),
            barrier["next"].to_string(),
        );
        assert!(
            missing.contains(line) && missing.contains(what),
            "{barrier:#}"
        );
        assert!(
            next.contains("correct line") && next.contains("m.csv"),
            "{barrier:#}"
        );
    }
    let unit = scratch
        .run(&["unit", "explain", &format!("{id}/ship/1"), "-o", "json"])
        .expect_code(0)
        .json();
    assert!(unit.to_string().contains("m.csv line 8"), "{unit:#}");
    // A retry mends no row: the title stays where it is.
    scratch.run(&["job", "retry", id, "--all"]);
    let again = scratch
        .run(&["job", "get", id, "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(
        (barrier(&again, "complete"), shipped(&again)),
        ((3, 1, 2), 2),
        "{again:#}"
    );
}

#[test]
fn policies_count_a_rejected_row_as_failed() {
    // Of 12 good rows and 2 bad ones; ten partitions make no whole batch.
    let cases = [
        ("{ scope: title, require: { count: 9 } }", (3, 2, 1), 11),
        (
            "{ scope: title, require: { fraction: 0.9 } }",
            (3, 2, 1),
            11,
        ),
        (
            "{ scope: title, require: { fraction: 0.91 } }",
            (3, 1, 2),
            2,
        ),
        ("{ scope: title, failure_budget: 1 }", (3, 3, 0), 11),
        ("{ scope: title, failure_budget: 10% }", (3, 2, 1), 11),
        ("{ scope: job, require: all }", (1, 0, 1), 0),
        ("{ scope: job, failure_budget: 2 }", (1, 1, 0), 11),
        (
            "{ scope: batch, batch_units: 4, require: all }",
            (3, 1, 2),
            4,
        ),
        (
            "{ scope: batch, batch_units: 4, failure_budget: 1 }",
            (3, 3, 0),
            11,
        ),
    ];
    for (policy, released, units) in cases {
        let (_scratch, summary) = run(policy);
        assert_eq!(
            (barrier(&summary, "complete"), shipped(&summary)),
            (released, units),
            "{policy}: {summary:#}"
        );
    }
}
