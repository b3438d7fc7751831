//! The API against its own document: Schemathesis makes requests of every kind, sound and broken, and judges the answers.
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use testkit::Ran;
use testkit::process::{promised, wait_until};
use testkit::reference::schemathesis;
use tests::fleet::Fleet;

/// The seed of a usual run; `SHOWRUNNER_SEED` sets another.
const SEED: u64 = 20_261_125;
/// Requests made up for each operation, beside those that cover its schema.
const EXAMPLES: &str = "15";
/// The promise: it is quick enough to be run every time.
const TOOK_MAX: Duration = Duration::from_secs(180);

/// Bodies that mean something beyond any schema: a job file, a choice of what to change or to retry, a moment, a whole
/// number that JSON may write with a point. Sound ones of these may be refused.
const MEANT: &str = r#"["jobs_add", "jobs_priority", "jobs_retry", "failures_retry", "failures_waive", "assets_import"]"#;

/// The tool's settings; `names` are values of parameters that exist, or none, for any that can be made up.
fn settings(names: &str) -> String {
    format!(
        "[generation]\nallow-x00 = false\ndatabase = \"none\"\n[parameters]\n{names}\n\
         [[operations]]\ninclude-operation-id = {MEANT}\nchecks.positive_data_acceptance.enabled = false\n\
         [[operations]]\ninclude-operation-id = \"units_list\"\nchecks.positive_data_acceptance.enabled = false\n\
         [[operations]]\ninclude-operation-id = \"cluster_events\"\nenabled = false\n"
    )
}

fn judged(program: &Path, fleet: &Fleet, address: &str, name: &str, names: &str, seed: u64) {
    let file = fleet.scratch.write(format!("{name}.toml"), settings(names));
    let mut command = Command::new(program);
    command
        .current_dir(fleet.scratch.path("."))
        .arg("--config-file")
        .arg(&file);
    command.args([
        "run",
        "--no-color",
        "--continue-on-failure",
        "-n",
        EXAMPLES,
        "--seed",
        &seed.to_string(),
    ]);
    command.arg(format!("http://{address}/api/v1/openapi.json"));
    let ran = Ran::of(command);
    let summary: Vec<&str> = ran
        .stdout
        .lines()
        .rev()
        .take(6)
        .filter(|line| !line.is_empty())
        .collect();
    println!("{name}: {summary:?}");
    assert!(
        ran.code == 0,
        "{name}, SHOWRUNNER_SEED={seed}:\n{}\n{}",
        ran.stdout,
        ran.stderr
    );
}

#[test]
fn api_answers_conform_to_the_openapi_document() {
    let Some(program) = schemathesis() else {
        return;
    };
    let seed = std::env::var("SHOWRUNNER_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(SEED);
    println!("SHOWRUNNER_SEED={seed}");
    let fleet = Fleet::start();
    let mut coordinator = fleet.coordinator();
    wait_until("it leads", || coordinator.leads());
    let _worker = fleet.worker(16, &[]);
    fleet.scratch.write(
        "manifest.csv",
        "asset,title,role,location\na,t,master,none/a\nb,u,audio,none/b\n",
    );
    let job = "job: sample\nlibrary: { manifest: manifest.csv }\nsteps:\n  - id: work\n    noop: { fail: 1.0 }\n    \
               retry: { attempts: 1 }\n  - id: whole\n    needs: [work]\n    barrier: { scope: title }\n";
    fleet.scratch.write("job.yaml", job);
    let id = fleet
        .run(&["job", "submit", "job.yaml", "-o", "name", "-q"])
        .name();
    fleet
        .run(&["job", "wait", &id, "--timeout", "1m"])
        .expect_code(3);
    fleet
        .run(&["asset", "import", "manifest.csv"])
        .expect_code(0);
    let cause = fleet.run(&["failure", "list", "-o", "name"]).name();
    fleet
        .run(&["failure", "waive", &cause, "--reason", "it is a sample"])
        .expect_code(0);
    let mut worker = String::new();
    wait_until("the worker is known", || {
        worker = fleet
            .run(&["worker", "list", "-o", "name"])
            .stdout
            .trim()
            .to_owned();
        !worker.is_empty()
    });

    let started = Instant::now();
    let known = format!(
        "\"path.job\" = \"{id}\"\n\"path.step\" = \"work\"\n\"path.part\" = 1\n\"path.operation\" = 1\n\
         \"path.cause\" = \"{cause}\"\n\"path.worker\" = \"{worker}\"\n\"path.asset\" = \"a\""
    );
    judged(
        &program,
        &fleet,
        &coordinator.address,
        "known names",
        &known,
        seed,
    );
    judged(
        &program,
        &fleet,
        &coordinator.address,
        "any names",
        "",
        seed,
    );
    let took = started.elapsed();
    promised("the whole round", took, TOOK_MAX);

    assert!(!coordinator.running.has_ended() && coordinator.leads());
    let said = coordinator.running.stderr();
    assert!(
        !said.contains("panicked") && !said.contains("ERROR"),
        "{said}"
    );
}
