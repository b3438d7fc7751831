//! Units and reports that exceed the message limit fail alone; all others continue.
use crate::jobs::count;
use protocol::wire::envelope::BYTES_MAX;
use std::fmt::Write;
use testkit::process::wait_until;
use tests::cluster::Cluster;

/// Assets of which the failures alone exceed a message.
const LONG: usize = 45_000;

fn submit(cluster: &Cluster, name: &str, job: &str) -> String {
    cluster.scratch.write(format!("{name}.yaml"), job);
    cluster
        .scratch
        .run(&["job", "submit", &format!("{name}.yaml"), "-o", "name", "-q"])
        .name()
}

/// Waits for the end of a job, and for what it says of its failures.
fn ended(cluster: &Cluster, id: &str) -> serde_json::Value {
    wait_until(&format!("{id} ends"), || {
        let summary = cluster.look(id);
        summary["state"] != "running" && summary["state"] != "queued"
    });
    cluster.look(id)
}

#[test]
fn report_too_long_fails_its_unit_and_no_other_job() {
    let cluster = Cluster::start();
    let _worker = cluster.worker_with(&[
        "--redis",
        &cluster.redis.url(),
        "--slots",
        "noop=8,transfer=2",
    ]);
    let mut rows = String::from("asset,title,role,location\n");
    for n in 0..LONG {
        writeln!(rows, "a{n:08},t,document,file:./none/{n}.mxf").expect("memory can be written");
    }
    cluster.scratch.write("long.csv", rows);
    let long = submit(
        &cluster,
        "long",
        "job: long\nlibrary: { manifest: long.csv }\npartition: { by: count, max_assets: 45000 }\nsteps:\n  - id: land\n    \
         transfer: { to: \"file:./out/{title}/{file}\" }\n    retry: { attempts: 1 }\n",
    );
    let summary = ended(&cluster, &long);
    // Rows that make more than half of a message go into two units, of which the first has too much to report.
    assert_eq!(
        count(&summary, "/units/dead"),
        count(&summary, "/units/total"),
        "{summary:#}"
    );
    let failures = summary["failures"].as_array().cloned().unwrap_or_default();
    assert!(
        failures
            .iter()
            .any(|cause| cause["reason"] == "report_too_long"),
        "{summary:#}"
    );
    // The same worker, afterwards.
    cluster.scratch.write(
        "short.csv",
        "asset,title,role,location\na,t,document,none/1\nb,t,document,none/2\n",
    );
    let steps = "steps:\n  - id: wait\n    noop: { duration: 1ms }\n";
    let short = submit(
        &cluster,
        "short",
        &format!("job: short\nlibrary: {{ manifest: short.csv }}\n{steps}"),
    );
    let summary = ended(&cluster, &short);
    assert_eq!(
        (
            count(&summary, "/units/succeeded"),
            count(&summary, "/units/total")
        ),
        (2, 2),
        "{summary:#}"
    );
    let worker = cluster
        .scratch
        .run(&["worker", "list", "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(worker[0]["state"], "working", "{worker:#}");
}

/// The title is in the path at the destination many times: what a later step has to open is much longer than any row was,
/// and than what the transfer has to report of it.
#[test]
fn unit_too_long_fails_alone_and_the_others_are_published() {
    let cluster = Cluster::start();
    let _worker = cluster.worker_with(&[
        "--redis",
        &cluster.redis.url(),
        "--slots",
        "noop=8,transfer=8",
    ]);
    let (title, folders) = ("t".repeat(240), ["{title}"; 14].join("/"));
    let landed = cluster.scratch.path("out").display().to_string().len() + 14 * 241;
    let assets = BYTES_MAX / (landed + 170);
    let mut rows = String::from("asset,title,role,location\n");
    for n in 0..assets {
        cluster.scratch.write(format!("in/{n:05}"), format!("{n}"));
        writeln!(rows, "a{n:05},{title},document,file:./in/{n:05}").expect("memory can be written");
    }
    cluster.scratch.write("long.csv", rows);
    let steps = format!(
        "steps:\n  - id: land\n    transfer: {{ to: \"file:./out/{folders}/{{file}}\" }}\n  - id: wait\n    needs: [land]\n    \
         noop: {{ duration: 1ms }}\n"
    );
    let partition = "partition: { by: count, max_assets: 5000 }";
    let long = submit(
        &cluster,
        "long",
        &format!("job: long\nlibrary: {{ manifest: long.csv }}\n{partition}\n{steps}"),
    );
    let others: String = (0..300)
        .map(|n| format!("a{n},t,document,none/{n}\n"))
        .collect();
    cluster
        .scratch
        .write("short.csv", format!("asset,title,role,location\n{others}"));
    let steps = "steps:\n  - id: wait\n    noop: { duration: 20ms }\n";
    let short = submit(
        &cluster,
        "short",
        &format!("job: short\nlibrary: {{ manifest: short.csv }}\n{steps}"),
    );
    let summary = ended(&cluster, &long);
    assert_eq!(
        (
            count(&summary, "/units/dead"),
            count(&summary, "/units/succeeded")
        ),
        (1, 1),
        "{summary:#}"
    );
    assert_eq!(
        summary["failures"][0]["reason"], "unit_too_long",
        "{summary:#}"
    );
    assert_eq!(count(&ended(&cluster, &short), "/units/succeeded"), 300);
    assert!(
        !cluster.coordinator.stderr().contains("ACL"),
        "{}",
        cluster.coordinator.stderr()
    );
}
