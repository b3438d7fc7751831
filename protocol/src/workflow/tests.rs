use super::compile::{absolute, compile};
use super::*;
use crate::media::path_filter::PathFilter;
use crate::model::restore_tier::RestoreTier;
use crate::wire::step::archive::{ArchiveTask, RestoreTask};
use crate::wire::step::qc::QcTask;
use crate::wire::step::scan::ScanSource;
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
        Ok(QcTask {
            policy: "{}".into(),
            digest: "d".into(),
        })
    };
    compile(
        "job.yaml",
        source,
        "/jobs",
        "j-1",
        Timestamp(0),
        &mut policies,
    )
}

fn first_problem(source: &str) -> String {
    run(source)
        .expect_err("has a problem")
        .remove(0)
        .to_string()
}

#[test]
fn the_documented_job_compiles() {
    let workflow = run(JOB).expect("valid");
    assert_eq!(
        workflow
            .steps
            .iter()
            .map(|s| s.id.as_str())
            .collect::<Vec<_>>(),
        ["land", "check", "title-complete", "land.mhl"]
    );
    assert!(workflow.partition.by_title);
    assert_eq!(workflow.partition.bytes_max, 50 << 30);
    let Action::Units { reads, .. } = &workflow.steps[1].action else {
        panic!("check has units")
    };
    assert_eq!(*reads, Some(StepNo(0)));
    let TaskSpec::Transfer(land) = (match &workflow.steps[0].action {
        Action::Units { task, .. } => task.as_ref(),
        _ => panic!("land has units"),
    }) else {
        panic!("land transfers")
    };
    assert_eq!(land.to, "file:/jobs/landing/{title}/{file}");
    assert_eq!(
        workflow.scan_task().map(|s| s.root.as_str()),
        Some("/jobs/library")
    );
}

#[test]
fn replacing_is_asked_for_and_goes_with_no_history() {
    let with = |more: &str| JOB.replace("verify: xxh128, mhl: true", more);
    let workflow = run(&with("replace: versioned")).expect("valid");
    let Action::Units { task, .. } = &workflow.steps[0].action else {
        panic!("land has units")
    };
    assert!(
        matches!(task.as_ref(), TaskSpec::Replace(land) if land.to.starts_with("file:")),
        "{task:?}"
    );
    let Action::Units { reads, .. } = &workflow.steps[1].action else {
        panic!("check has units")
    };
    assert_eq!(
        *reads,
        Some(StepNo(0)),
        "what replaces is a transfer like others"
    );
    let problem = first_problem(&with("replace: versioned, mhl: true"));
    assert!(
        problem.contains("mhl: true") && problem.starts_with("job.yaml:8:"),
        "{problem}"
    );
    let problem = first_problem(&with("replace: always"));
    assert!(problem.contains("versioned"), "{problem}");
}

#[test]
fn a_workflow_reads_back_from_its_stored_form() {
    let workflow = run(JOB).expect("valid");
    let stored = serde_json::to_string(&workflow).expect("serialises");
    assert_eq!(
        serde_json::from_str::<Workflow>(&stored).expect("reads"),
        workflow
    );
}

fn approval(parameters: &str) -> String {
    JOB.replace(
        "qc: { policy: specs/hd.yaml }",
        &format!("approval: {parameters}"),
    )
}

#[test]
fn an_approval_has_units_that_no_worker_takes() {
    let workflow = run(&approval(
        "{ role: approver, when: \"asset.role == 'master'\", due: 4h }",
    ))
    .expect("valid");
    let step = &workflow.steps[1];
    assert!(step.has_units() && step.kind().is_none() && step.qc().is_none());
    assert_eq!(
        (step.kind_word(), step.due_us),
        ("approval", Some(4 * 3_600_000_000))
    );
}

#[test]
fn each_mistake_has_a_place_and_a_hint() {
    let cases = [
        (
            JOB.replace("needs: [check]", "needs: [chek]"),
            "job.yaml:15:13: step \"title-complete\" needs \"chek\"",
            "did you mean `check`?",
        ),
        (
            JOB.replace("scope: title", "scope: titel"),
            "job.yaml:16:",
            "did you mean `title`?",
        ),
        (
            JOB.replace("verify: xxh128", "verify: xxh12"),
            "job.yaml:8:",
            "did you mean `xxh128`?",
        ),
        (
            JOB.replace("{title}/{file}", "{titel}/{file}"),
            "job.yaml:8:",
            "unknown placeholder {titel}",
        ),
        (
            JOB.replace("backoff: 2s..5m", "backoff: soon"),
            "job.yaml:9:",
            "250ms",
        ),
        (
            JOB.replace("by: title", "by: count"),
            "job.yaml:5:",
            "by: title",
        ),
        (
            JOB.replace("qc: { policy: specs/hd.yaml }", "notify: {}"),
            "job.yaml:12:",
            "not available",
        ),
        (
            approval("{ role: approver, when: \"asset.rol == 'x'\" }"),
            "job.yaml:12:",
            "did you mean `asset.role`?",
        ),
        (approval("{ role: '' }"), "job.yaml:12:", "role: approver"),
        (
            approval("{ role: approver }").replace("    needs: [land]\n", ""),
            "job.yaml:10:",
            "nothing to approve yet",
        ),
        (
            JOB.replace("needs: [land]", "needs: [title-complete]"),
            "job.yaml:",
            "circle",
        ),
        (
            JOB.replace("manifest:", "manifst:"),
            "job.yaml:3:",
            "did you mean `manifest`?",
        ),
        (
            JOB.replace("deadline: 2026-12-01T18:00:00Z", "deadline: friday"),
            "job.yaml:4:",
            "2026-12-01",
        ),
    ];
    for (source, place, words) in cases {
        let problem = first_problem(&source);
        assert!(problem.starts_with(place), "{problem}\nwanted {place}");
        assert!(problem.contains(words), "{problem}\nwanted {words}");
    }
}

#[test]
fn buckets_are_targets_when_they_name_objects() {
    let to = |to: &str| JOB.replace("file:./landing/{title}/{file}", to);
    for target in ["s3://bucket/{title}/{file}", "gs://bucket/a b/{path}"] {
        let workflow = run(&to(target)).expect("valid");
        let Action::Units { task, .. } = &workflow.steps[0].action else {
            panic!("land has units")
        };
        assert!(
            matches!(task.as_ref(), TaskSpec::Transfer(land) if land.to == target),
            "{task:?}"
        );
    }
    for (target, words) in [
        ("s3://{title}/{file}", "names no object of a bucket"),
        ("s3://bucket-{title}", "names no object of a bucket"),
        ("s3://bucket//{file}", "names no object of a bucket"),
        ("gs://bucket/../{file}", "names no object of a bucket"),
        ("s3://bucket/master.mov", "the same file for every asset"),
        ("https://host/{file}", "no place that can be written to"),
    ] {
        let problem = first_problem(&to(target));
        assert!(
            problem.starts_with("job.yaml:8:") && problem.contains(words),
            "{problem}"
        );
    }
}

#[test]
fn all_problems_are_reported_together() {
    let source = JOB
        .replace("needs: [check]", "needs: [chek]")
        .replace("by: title", "by: count");
    assert_eq!(run(&source).expect_err("two problems").len(), 2);
}

#[test]
fn paths_are_joined_lexically() {
    assert_eq!(absolute("/a/b", "../c/./d"), "/a/c/d");
    assert_eq!(absolute("/a", "/x//y"), "/x/y");
    assert_eq!(absolute("/a", "../../.."), "/");
}

const ARCHIVES: &str = "
job: vault
library: { folder: \"s3://cards/day-1/\" }
steps:
  - id: thaw
    restore: { days: 3, tier: bulk, look: 30m }
  - id: land
    needs: [thaw]
    transfer: { to: \"file:/landing/{path}\" }
  - id: vault
    needs: [land]
    transfer: { to: \"file:/vault/{title}/{file}\" }
  - id: cold
    needs: [vault]
    archive: { class: DEEP_ARCHIVE }
  - id: free
    needs: [cold]
    purge: { of: land, keep: vault, ordered_by: ana, reason: space, dry_run: true }
";

fn task<'a>(workflow: &'a Workflow, id: &str) -> (&'a TaskSpec, Option<StepNo>) {
    let step = workflow
        .step_no(id)
        .and_then(|no| workflow.step(no))
        .expect("a step");
    let Action::Units { task, reads, .. } = &step.action else {
        panic!("{id} has units")
    };
    (task.as_ref(), *reads)
}

#[test]
fn archives_libraries_in_buckets_and_purges_compile() {
    let workflow = run(ARCHIVES).expect("valid");
    let scan = workflow.scan_task().expect("a scan");
    let bucket = ScanSource::Bucket {
        location: "s3://cards/day-1".into(),
        pattern: None,
        after: None,
    };
    assert_eq!(
        (&scan.source, scan.root.as_str()),
        (&bucket, "s3://cards/day-1")
    );
    let restore = RestoreTask {
        days: 3,
        tier: RestoreTier::Bulk,
        look_again_us: 1_800_000_000,
    };
    assert_eq!(task(&workflow, "thaw"), (&TaskSpec::Restore(restore), None));
    let archive = TaskSpec::Archive(ArchiveTask {
        class: "DEEP_ARCHIVE".into(),
    });
    assert_eq!(task(&workflow, "cold"), (&archive, Some(StepNo(2))));
    let (TaskSpec::Purge(purge), None) = task(&workflow, "free") else {
        panic!("a purge opens the library's file")
    };
    assert_eq!(purge.of, ["file:/landing/{path}"]);
    assert_eq!(
        purge.keep,
        ["file:/landing/{path}", "file:/vault/{title}/{file}"]
    );
    let words: Vec<_> = workflow.steps.iter().map(Step::kind_word).collect();
    assert_eq!(
        words,
        ["restore", "transfer", "transfer", "archive", "purge"]
    );
    assert_eq!(workflow.targets_to(StepNo(2)), purge.keep);
    for (form, location) in [
        ("{ s3: cards/day-1 }", "s3://cards/day-1"),
        ("{ s3: \"s3://cards\" }", "s3://cards"),
        ("{ gcs: cards/day-1 }", "gs://cards/day-1"),
    ] {
        let workflow =
            run(&ARCHIVES.replace("{ folder: \"s3://cards/day-1/\" }", form)).expect(form);
        assert_eq!(
            workflow.scan_task().map(|scan| scan.root.as_str()),
            Some(location)
        );
    }
}

#[test]
fn a_purge_says_what_proves_it_who_orders_it_and_why() {
    let cases = [
        ("keep: vault", "keep: valt", "did you mean `vault`?"),
        ("keep: vault", "keep: cold", "is no transfer step"),
        ("keep: vault", "keep: land", "purges the copy it keeps"),
        ("needs: [cold]", "needs: [thaw]", "does not need \"vault\""),
        ("ordered_by: ana", "ordered_by: \"\"", "say who orders it"),
        (", reason: space", "", "reason"),
        (
            "class: DEEP_ARCHIVE",
            "class: DEEP_ARCHIV",
            "did you mean `DEEP_ARCHIVE`?",
        ),
        ("days: 3", "days: 0", "at least a day"),
        (
            "folder: \"s3://cards/day-1/\"",
            "folder: \"s3://cards/../x\"",
            "names no bucket",
        ),
        (
            "folder: \"s3://cards/day-1/\"",
            "s3: a/b, gcs: c",
            "both s3 and gcs",
        ),
        (
            "folder: \"s3://cards/day-1/\"",
            "gcs: \"s3://cards\"",
            "no gcs library",
        ),
    ];
    for (good, bad, says) in cases {
        let problems = run(&ARCHIVES.replace(good, bad)).expect_err(bad);
        assert!(
            problems
                .iter()
                .any(|problem| problem.to_string().contains(says)),
            "{bad}: {problems:?}"
        );
    }
}

#[test]
fn target_inside_the_listed_library_is_refused() {
    let job = |folder: &str, to: &str| {
        format!(
            "job: t\nlibrary: {{ folder: \"{folder}\" }}\nsteps:\n  - id: land\n    transfer: {{ to: \"{to}\" }}\n"
        )
    };
    for (folder, to) in [
        ("./in", "file:./in/landing/{path}"),
        ("./in", "file:./in/{path}"),
        ("./in/", "file:./x/../in/landing/{file}"),
        ("s3://bucket/in", "s3://bucket/in/{path}"),
        ("s3://bucket", "s3://bucket/out/{path}"),
    ] {
        let problem = first_problem(&job(folder, to));
        assert!(
            problem.contains("lies inside the library"),
            "{folder} {to}: {problem}"
        );
    }
    for (folder, to) in [
        ("./in", "file:./in2/{path}"),
        ("./in/a", "file:./in/b/{path}"),
        ("s3://bucket/in", "s3://bucket/in2/{path}"),
        ("./in", "s3://bucket/in/{path}"),
    ] {
        run(&job(folder, to)).unwrap_or_else(|problems| panic!("{folder} {to}: {problems:?}"));
    }
}

#[test]
fn units_of_more_assets_than_fit_into_a_message_are_refused() {
    let with = |count: &str| JOB.replace("max_assets: 100", &format!("max_assets: {count}"));
    assert!(run(&with("50000")).is_ok());
    let problem = first_problem(&with("50001"));
    assert!(
        problem.contains("max_assets is 50001; 50000 are allowed"),
        "{problem}"
    );
}

fn listing(library: &str) -> Result<Workflow, Vec<Problem>> {
    run(&format!(
        "job: j\nlibrary:\n{library}\nsteps:\n  - id: a\n    noop: {{}}\n"
    ))
}

#[test]
fn include_and_exclude_compile_into_the_scan() {
    let task = |library| listing(library).expect(library).scan.as_ref().clone();
    let filter = |include: &[&str], exclude: &[&str]| {
        let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        PathFilter {
            include: owned(include),
            exclude: owned(exclude),
        }
    };
    for (library, expected) in [
        (
            "  folder: m\n  include: [\"*.mov\", sound/]\n  exclude: Thumbs.db",
            filter(&["*.mov", "sound/"], &["Thumbs.db"]),
        ),
        (
            "  s3: cards/day-1\n  exclude: [\"**/tmp/**\"]",
            filter(&[], &["**/tmp/**"]),
        ),
        (
            "  gcs: cards/day-1\n  include: \"*.mxf\"",
            filter(&["*.mxf"], &[]),
        ),
    ] {
        let TaskSpec::ScanSelected { scan, filter } = task(library) else {
            panic!("{library} selects")
        };
        assert_eq!(filter, expected, "{library}");
        assert!(listing(library).expect(library).lists_its_library() && !scan.root.is_empty());
    }
    assert!(matches!(
        task("  folder: m\n  on_link: skip"),
        TaskSpec::ScanWithoutLinks { .. }
    ));
    assert!(matches!(
        task("  folder: m\n  on_link: fail"),
        TaskSpec::Scan(_)
    ));
    assert!(listing("  s3: cards/day-1\n  on_link: skip").is_err());
    // Workers of earlier versions list what has no patterns.
    assert!(matches!(task("  folder: m"), TaskSpec::Scan(_)));
}

#[test]
fn patterns_that_cannot_be_used_are_blamed_at_their_place() {
    for (library, place, says) in [
        (
            "  folder: \"[a\"\n  include: [\"*.mov\", \"[a\"]",
            "4:22",
            "does not close it",
        ),
        (
            "  folder: m\n  include: \"[a\"\n  exclude:\n    - x\n    - \"{b\"",
            "7:7",
            "does not close them",
        ),
        (
            "  s3: cards/day-1\n  exclude: ../x",
            "4:12",
            "matches nothing",
        ),
        (
            "  folder: m\n  exclude: []",
            "4:3",
            "exclude has no pattern",
        ),
        (
            "  manifest: m.csv\n  include: \"*.mov\"",
            "4:3",
            "a manifest lists its assets itself",
        ),
        (
            "  folder: m\n  include: 7",
            "4:3",
            "a pattern or a list of patterns",
        ),
        (
            "  folder: m\n  include: *.mov",
            "4:12",
            "quote what begins with `*`",
        ),
    ] {
        let problems = listing(library)
            .expect_err(library)
            .iter()
            .map(Problem::to_string)
            .collect::<String>();
        assert!(
            problems.contains(&format!(":{place}: ")) && problems.contains(says),
            "{library}: {problems}"
        );
    }
}
