//! Commands that name a job, unit, task or cause that does not exist: the answer says which of them is missing.
use testkit::Scratch;

const JOB: &str =
    "job: one\nlibrary: { manifest: one.csv }\nsteps:\n  - id: wait\n    noop: { duration: 0ms }\n";

/// A data directory with one job that has ended, and the id of the job.
fn with_one_job() -> (Scratch, String) {
    let scratch = Scratch::new();
    scratch.write(
        "one.csv",
        "asset,title,role,location\na-1,t-1,document,none/1\n",
    );
    scratch.write("one.yaml", JOB);
    let id = scratch.run_job("one.yaml", 0)["job"]
        .as_str()
        .map(str::to_owned);
    (scratch, id.expect("an id"))
}

#[test]
fn command_with_an_unknown_job_says_that_there_is_no_such_job() {
    let (scratch, _) = with_one_job();
    let commands: [&[&str]; 17] = [
        &["unit", "log", "nojob/wait/1"],
        &["unit", "get", "nojob/wait/1"],
        &["unit", "list", "nojob"],
        &["unit", "explain", "nojob/wait/1"],
        &["job", "explain", "nojob"],
        &["job", "get", "nojob"],
        &["job", "wait", "nojob"],
        &["job", "watch", "nojob"],
        &["job", "operations", "nojob"],
        &["job", "retry", "nojob", "--all"],
        &["job", "pause", "nojob"],
        &["job", "resume", "nojob"],
        &["job", "cancel", "nojob"],
        &["job", "priority", "nojob", "urgent"],
        &["operation", "list", "--job", "nojob"],
        &["task", "list", "--job", "nojob"],
        &["failure", "list", "--job", "nojob"],
    ];
    for command in commands {
        let ran = scratch.run(command);
        assert_eq!(ran.code, 5, "{command:?}: {ran:#?}");
        let said = ran.stderr.to_lowercase();
        assert!(
            said.contains("no such job") && !said.contains("no unit"),
            "{command:?}: {said}"
        );
    }
}

#[test]
fn command_with_an_unknown_unit_of_a_known_job_names_the_unit() {
    let (scratch, id) = with_one_job();
    for unit in [format!("{id}/wait/2"), format!("{id}/nostep/1")] {
        for command in ["log", "get", "explain"] {
            let ran = scratch.run(&["unit", command, &unit]);
            assert_eq!(ran.code, 5, "{command}: {ran:#?}");
            ran.expect_said(&["no unit", &unit]);
        }
    }
}
