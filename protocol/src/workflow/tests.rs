use super::compile::{absolute, compile};
use super::*;
use crate::wire::unit::QcTask;
use crate::yaml::Problem;

const JOB: &str = "
job: autumn-ingest
library: { manifest: library/manifest.csv }
deadline: 2026-12-01T18:00:00Z
partition: { by: title, max_assets: 100, max_bytes: 50GiB }
steps:
  - id: land
    transfer: { to: \"file:./landing/{title}/{file}\", verify: xxh128, mhl: true }
    retry: { attempts: 5, backoff: 2s..5m }
  - id: check
    needs: [land]
    qc: { policy: specs/hd.yaml }
    on_failure: task
  - id: title-complete
    needs: [check]
    barrier: { scope: title, require: all, deadline: 12h }
";

fn run(source: &str) -> Result<Workflow, Vec<Problem>> {
    let mut policies = |path: &str| {
        assert!(path.starts_with('/'));
        Ok(QcTask { policy: "{}".into(), digest: "d".into() })
    };
    compile("job.yaml", source, "/jobs", "j-1", Timestamp(0), &mut policies)
}

fn first_problem(source: &str) -> String {
    run(source).expect_err("has a problem").remove(0).to_string()
}

#[test]
fn the_documented_job_compiles() {
    let workflow = run(JOB).expect("valid");
    assert_eq!(
        workflow.steps.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(),
        ["land", "check", "title-complete", "land.mhl"]
    );
    assert!(workflow.partition.by_title);
    assert_eq!(workflow.partition.bytes_max, 50 << 30);
    let Action::Units { reads, .. } = &workflow.steps[1].action else { panic!("check has units") };
    assert_eq!(*reads, Some(StepNo(0)));
    let TaskSpec::Transfer(land) = (match &workflow.steps[0].action {
        Action::Units { task, .. } => task.as_ref(),
        _ => panic!("land has units"),
    }) else {
        panic!("land transfers")
    };
    assert_eq!(land.to, "file:/jobs/landing/{title}/{file}");
    assert_eq!(workflow.scan_task().map(|s| s.root.as_str()), Some("/jobs/library"));
}

#[test]
fn a_workflow_reads_back_from_its_stored_form() {
    let workflow = run(JOB).expect("valid");
    let stored = serde_json::to_string(&workflow).expect("serialises");
    assert_eq!(serde_json::from_str::<Workflow>(&stored).expect("reads"), workflow);
}

#[test]
fn each_mistake_has_a_place_and_a_hint() {
    let cases = [
        (
            JOB.replace("needs: [check]", "needs: [chek]"),
            "job.yaml:15:13: step \"title-complete\" needs \"chek\"",
            "did you mean `check`?",
        ),
        (JOB.replace("scope: title", "scope: titel"), "job.yaml:16:", "did you mean `title`?"),
        (JOB.replace("verify: xxh128", "verify: xxh12"), "job.yaml:8:", "did you mean `xxh128`?"),
        (JOB.replace("{title}/{file}", "{titel}/{file}"), "job.yaml:8:", "unknown placeholder {titel}"),
        (JOB.replace("backoff: 2s..5m", "backoff: soon"), "job.yaml:9:", "250ms"),
        (JOB.replace("by: title", "by: count"), "job.yaml:5:", "by: title"),
        (JOB.replace("qc:", "approval:"), "job.yaml:12:", "not available"),
        (JOB.replace("needs: [land]", "needs: [title-complete]"), "job.yaml:", "circle"),
        (JOB.replace("manifest:", "manifst:"), "job.yaml:3:", "did you mean `manifest`?"),
        (JOB.replace("deadline: 2026-12-01T18:00:00Z", "deadline: friday"), "job.yaml:4:", "2026-12-01"),
    ];
    for (source, place, words) in cases {
        let problem = first_problem(&source);
        assert!(problem.starts_with(place), "{problem}\nwanted {place}");
        assert!(problem.contains(words), "{problem}\nwanted {words}");
    }
}

#[test]
fn all_problems_are_reported_together() {
    let source = JOB.replace("needs: [check]", "needs: [chek]").replace("by: title", "by: count");
    assert_eq!(run(&source).expect_err("two problems").len(), 2);
}

#[test]
fn paths_are_joined_lexically() {
    assert_eq!(absolute("/a/b", "../c/./d"), "/a/c/d");
    assert_eq!(absolute("/a", "/x//y"), "/x/y");
    assert_eq!(absolute("/a", "../../.."), "/");
}
