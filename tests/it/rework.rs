//! Deliveries that fail, are waived, delivered anew and approved: what is measured once stays known, and what waits says for
//! whom.
use crate::jobs::{assert_failed, count, failed_assets};
use protocol::time::Timestamp;
use serde_json::Value;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use testkit::process::wait_until;
use testkit::{Scratch, reference};
use tests::fleet::Fleet;

/// Sample clips with a picture that moves, black from 1 s for so long.
fn clip(scratch: &Scratch, path: &str, hue: u32, black: f64) {
    let file = scratch.path(path);
    fs::create_dir_all(file.parent().expect("it is in a directory"))
        .expect("a scratch directory can be made");
    let end = 1.0 + black;
    let filter = format!("hue=h={hue},drawbox=color=black:t=fill:enable='gte(t,1)*lt(t,{end})'");
    let input = [
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=320x180:rate=25:duration=4",
    ];
    let output = [
        "-vf",
        &filter,
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
    ];
    let path = file.to_str().expect("temporary paths are UTF-8");
    reference::ffmpeg(&[&input[..], &output[..], &["-movflags", "+faststart", path]].concat());
}

fn spec(scratch: &Scratch, longest: &str) {
    let text = format!("spec: hd\nqc:\n  decode: {{}}\n  black: {{ longest: {longest} }}\n");
    scratch.write("spec.yaml", text);
}

const CHECK: &str = "job: check
library: { manifest: manifest.csv }
steps:
  - id: check
    qc: { policy: spec.yaml }
";

/// Two clips; the second is black for 1.2 s.
fn library() -> Scratch {
    let scratch = Scratch::new();
    fill(&scratch);
    scratch
}

fn fill(scratch: &Scratch) {
    clip(scratch, "in/a.mp4", 0, 0.0);
    clip(scratch, "in/b.mp4", 90, 1.2);
    scratch.write(
        "manifest.csv",
        "asset,title,role,location,supplier\na,t,master,in/a.mp4,north\nb,t,master,in/b.mp4,south\n",
    );
    spec(scratch, "0.5s");
    scratch.write("check.yaml", CHECK);
}

fn qc(summary: &Value) -> (u64, u64) {
    (count(summary, "/qc/judged"), count(summary, "/qc/decoded"))
}

fn tasks(scratch: &Scratch, state: &str) -> Vec<Value> {
    let listed = scratch
        .run(&["task", "list", "--state", state, "-o", "json"])
        .expect_code(0)
        .json();
    listed.as_array().expect("a list").clone()
}

fn task(scratch: &Scratch, no: &Value) -> Value {
    scratch
        .run(&["task", "get", &no.to_string(), "-o", "json"])
        .expect_code(0)
        .json()
}

fn events(task: &Value) -> Vec<&str> {
    task["history"]
        .as_array()
        .expect("a history")
        .iter()
        .filter_map(|event| event["event"].as_str())
        .collect()
}

#[test]
fn cached_facts_are_rejudged_without_decoding() {
    let scratch = library();
    let first = scratch.run_job("check.yaml", 3);
    assert_eq!(
        (qc(&first), failed_assets(&first)),
        ((2, 2), vec!["b"]),
        "{first:#}"
    );
    let again = scratch.run_job("check.yaml", 3);
    assert_eq!(
        (qc(&again), failed_assets(&again)),
        ((2, 0), vec!["b"]),
        "{again:#}"
    );
    assert_eq!(first["failures"], again["failures"]);

    spec(&scratch, "2s");
    let wider = scratch.run_job("check.yaml", 0);
    assert_eq!(qc(&wider), (2, 0), "{wider:#}");
    spec(&scratch, "0.3s");
    let narrower = scratch.run_job("check.yaml", 3);
    assert_eq!(
        (qc(&narrower), failed_assets(&narrower)),
        ((2, 0), vec!["b"]),
        "{narrower:#}"
    );
    assert_failed(&narrower, "b", "qc_failed", &["0.30 s allowed"]);
    let asset = scratch
        .run(&["asset", "get", "b", "-o", "json"])
        .expect_code(0)
        .json();
    let verdicts: Vec<&str> = asset["verdicts"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|v| v["verdict"].as_str())
        .collect();
    assert_eq!(
        verdicts,
        ["fail", "pass", "fail"],
        "one for each policy, the latest first: {asset:#}"
    );

    // Another check is configured: the missing facts are measured and cached.
    scratch.write(
        "spec.yaml",
        "spec: hd\nqc: { decode: {}, black: { longest: 2s }, freeze: { longest: 3s } }\n",
    );
    assert_eq!(qc(&scratch.run_job("check.yaml", 0)), (2, 2));
    assert_eq!(qc(&scratch.run_job("check.yaml", 0)), (2, 0));
    // New bytes are looked at, the others are not.
    clip(&scratch, "in/b.mp4", 180, 0.0);
    assert_eq!(qc(&scratch.run_job("check.yaml", 0)), (2, 1));
    let text = scratch
        .run(&["run", "check.yaml"])
        .expect_code(0)
        .stdout
        .clone();
    assert!(text.contains("2 judged, 0 decoded"), "{text}");
}

#[test]
fn postgres_cluster_reuses_facts_and_closes_tasks() {
    let fleet = Fleet::start();
    let _coordinator = fleet.coordinator();
    let mut command = fleet
        .scratch
        .showrunner(&["worker", "--redis", &fleet.transport, "-v"]);
    command.args(["--slots", "qc=2,transfer=2,noop=2"]);
    let _worker = fleet.worker_of(command);
    let scratch = &fleet.scratch;
    fill(scratch);
    let wait = |id: &str| {
        fleet
            .run(&["job", "wait", id, "--timeout", "2m", "-o", "json"])
            .json()
    };
    let submit = |file: &str, longest: &str| {
        spec(scratch, longest);
        wait(
            &fleet
                .run(&["job", "submit", file, "-o", "name", "-q"])
                .name(),
        )
    };
    let first = submit("check.yaml", "0.5s");
    assert_eq!(
        (qc(&first), failed_assets(&first)),
        ((2, 2), vec!["b"]),
        "{first:#}"
    );
    let again = submit("check.yaml", "0.5s");
    assert_eq!(
        (qc(&again), failed_assets(&again)),
        ((2, 0), vec!["b"]),
        "{again:#}"
    );
    let wider = submit("check.yaml", "2s");
    assert_eq!(
        (qc(&wider), failed_assets(&wider)),
        ((2, 0), vec![]),
        "{wider:#}"
    );
    let closed = fleet
        .run(&["task", "list", "--state", "closed", "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(
        closed.as_array().map(Vec::len),
        Some(1),
        "the same bytes pass under the changed limit: {closed:#}"
    );

    scratch.write("round.yaml", ROUND);
    let failed = submit("round.yaml", "0.5s");
    let id = failed["job"].as_str().expect("an id");
    assert_eq!(
        (released(&failed), qc(&failed)),
        (0, (2, 0)),
        "landed copies are known by their bytes: {failed:#}"
    );
    clip(scratch, "again/b_v2.mp4", 90, 0.0);
    let set = format!(
        "asset.location={}",
        scratch.path("again/b_v2.mp4").display()
    );
    fleet
        .run(&["job", "retry", id, "--filter", "asset=b", "--set", &set])
        .expect_code(0);
    let mended = wait(id);
    assert_eq!((released(&mended), qc(&mended)), (1, (3, 1)), "{mended:#}");
    let pending = fleet
        .run(&["task", "list", "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(pending.as_array().map(Vec::len), Some(0), "{pending:#}");
}

const ROUND: &str = "job: round
library: { manifest: manifest.csv }
deadline: 2099-01-01T00:00:00Z
steps:
  - id: land
    transfer: { to: \"file:./landing/{title}/{file}\" }
  - id: check
    needs: [land]
    qc: { policy: spec.yaml, due: 48h }
  - id: complete
    needs: [check]
    barrier: { scope: title }
  - id: publish
    needs: [complete]
    noop: {}
";

fn released(summary: &Value) -> u64 {
    count(summary, "/barriers/0/released")
}

#[test]
fn redelivery_closes_rework_and_opens_the_barrier() {
    let scratch = library();
    scratch.write("round.yaml", ROUND);
    let failed = scratch.run_job("round.yaml", 3);
    let job = failed["job"].as_str().expect("an id").to_owned();
    assert_eq!(
        (
            released(&failed),
            qc(&failed),
            count(&failed, "/steps/2/units/succeeded")
        ),
        (0, (2, 2), 0)
    );

    let open = tasks(&scratch, "pending");
    assert_eq!(open.len(), 1, "{open:#?}");
    let told = |key: &str| open[0][key].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (told("asset"), told("kind"), told("state"), told("supplier")),
        ("b".into(), "rework".into(), "open".into(), "south".into())
    );
    assert_eq!(
        (&open[0]["checks"], &open[0]["round"]),
        (&serde_json::json!(["black"]), &1.into())
    );
    assert!(
        !told("due_at").is_empty() && told("due_at").as_str() < "2099",
        "the step's own time goes first"
    );
    let explained = scratch
        .run(&["job", "explain", &job, "-o", "json"])
        .expect_code(0)
        .json();
    let waits = explained["barriers"][0]["tasks"][0]
        .as_str()
        .expect("it says for what");
    assert!(
        waits.contains("rework of b by south (black), round 1"),
        "{waits}"
    );
    let words = scratch
        .run(&["job", "explain", &job])
        .expect_code(0)
        .stdout
        .clone();
    assert!(words.contains("waits for task 1"), "{words}");

    // A delivery that is no better is a round of its own.
    clip(&scratch, "again/b_v2.mp4", 91, 1.0);
    let retry = |path: &str, more: &[&str]| {
        scratch.write("again.csv", format!("asset,location\nb,{path}\n"));
        let select = ["--filter", "step=check", "--reason", "delivered anew"];
        scratch.run(
            &[
                &["job", "retry", &job, "--input", "again.csv"][..],
                &select,
                more,
            ]
            .concat(),
        )
    };
    assert!(
        retry("again/b_v2.mp4", &["--dry-run"])
            .expect_code(0)
            .stdout
            .contains("1 of 1 matching units would run again")
    );
    assert_eq!(tasks(&scratch, "pending"), open, "nothing has changed");
    retry("again/b_v2.mp4", &[]).expect_code(0);
    let second = scratch.run_job("round.yaml", 3);
    assert_eq!(
        (second["job"].as_str(), qc(&second)),
        (Some(job.as_str()), (3, 3)),
        "only the new bytes: {second:#}"
    );
    let rounds = tasks(&scratch, "pending");
    assert_eq!(
        (rounds.len(), &rounds[0]["task"], &rounds[0]["round"]),
        (1, &open[0]["task"], &2.into()),
        "{rounds:#?}"
    );

    clip(&scratch, "again/b_v3.mp4", 92, 0.2);
    retry("again/b_v3.mp4", &[]).expect_code(0);
    let third = scratch.run_job("round.yaml", 0);
    assert_eq!((released(&third), qc(&third)), (1, (4, 4)), "{third:#}");
    assert_eq!(
        count(&third, "/steps/2/units/succeeded"),
        2,
        "what waited behind the barrier has run: {third:#}"
    );
    assert_eq!(tasks(&scratch, "pending"), Vec::<Value>::new());
    let closed = task(&scratch, &open[0]["task"]);
    assert_eq!(
        (&closed["state"], &closed["round"]),
        (&"closed".into(), &3.into()),
        "{closed:#}"
    );
    assert_eq!(
        events(&closed),
        ["opened", "redelivered", "closed"],
        "{closed:#}"
    );
    let operations = scratch
        .run(&["job", "operations", &job, "-o", "json"])
        .expect_code(0)
        .json();
    assert!(
        operations
            .as_array()
            .is_some_and(|all| all.iter().all(|o| o["reason"] == "delivered anew")),
        "{operations:#}"
    );
}

#[test]
fn redelivery_by_a_new_job_completes_the_old_job() {
    let scratch = library();
    scratch.write("round.yaml", ROUND);
    let old = scratch.run_job("round.yaml", 3)["job"]
        .as_str()
        .expect("an id")
        .to_owned();
    clip(&scratch, "in/b_v2.mp4", 90, 0.0);
    scratch.write(
        "new.csv",
        "asset,title,role,location\nb,t,master,in/b_v2.mp4\n",
    );
    scratch.write(
        "new.yaml",
        ROUND
            .replace("manifest.csv", "new.csv")
            .replace("job: round", "job: anew"),
    );
    let (_running, address) = scratch.up("qc=2,transfer=2,noop=8");
    let new = scratch
        .remote(&address, &["job", "submit", "new.yaml", "-o", "name"])
        .name();
    let ended = |id: &str| {
        scratch.remote(
            &address,
            &["job", "wait", id, "--timeout", "2m", "-o", "json"],
        )
    };
    assert_eq!(qc(&ended(&new).expect_code(0).json()), (1, 1));
    let job = || {
        scratch
            .remote(&address, &["job", "get", &old, "-o", "json"])
            .expect_code(0)
            .json()
    };
    wait_until("the old job has the new delivery", || {
        job()["state"] == "succeeded"
    });
    let summary = job();
    assert_eq!(
        (released(&summary), qc(&summary)),
        (1, (3, 2)),
        "the new bytes are known already: {summary:#}"
    );
    let closed = scratch
        .remote(
            &address,
            &["task", "list", "--state", "closed", "-o", "json"],
        )
        .expect_code(0)
        .json();
    assert_eq!(
        (&closed[0]["round"], closed.as_array().map(Vec::len)),
        (&2.into(), Some(1)),
        "{closed:#}"
    );
    let operations = scratch
        .remote(&address, &["job", "operations", &old, "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(
        (&operations[0]["action"], &operations[0]["actor"]),
        (&"redeliver".into(), &"coordinator".into())
    );
}

#[test]
fn waiver_releases_a_delivery_and_expires() {
    let scratch = library();
    scratch.write("round.yaml", ROUND);
    let failed = scratch.run_job("round.yaml", 3);
    let no = tasks(&scratch, "pending")[0]["task"].to_string();
    scratch
        .run(&["task", "approve", &no])
        .expect_code(6)
        .expect_said(&["waive"]);
    scratch
        .run(&["task", "waive", &no])
        .expect_code(2)
        .expect_said(&["needs a reason"]);
    let waive = |more: &[&str]| {
        scratch.run(
            &[
                &[
                    "task",
                    "waive",
                    &no,
                    "--reason",
                    "creative intent",
                    "--by",
                    "ada",
                    "-o",
                    "json",
                ][..],
                more,
            ]
            .concat(),
        )
    };
    waive(&["--check", "freeze"])
        .expect_code(2)
        .expect_said(&["does not stand in the way"]);
    waive(&["--until", "2020-01-01T00:00:00Z"])
        .expect_code(2)
        .expect_said(&["ended already"]);
    let would = waive(&["--dry-run"]).expect_code(0).json();
    assert_eq!(
        (&would["state"], &would["units"], &would["operation"]),
        (&"waived".into(), &1.into(), &Value::Null)
    );
    assert_eq!(tasks(&scratch, "pending").len(), 1, "nothing has changed");
    scratch
        .run(&["task", "waive", "99", "--reason", "x"])
        .expect_code(5);

    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("it is later than 1970");
    let soon = Timestamp(0).after(since + Duration::from_secs(30));
    let decided = waive(&["--until", &soon.to_string()]).expect_code(0).json();
    assert_eq!(
        (&decided["state"], &decided["units"]),
        (&"waived".into(), &1.into()),
        "{decided:#}"
    );
    let summary = scratch.run_job("round.yaml", 0);
    assert_eq!(
        (summary["job"].as_str(), released(&summary), qc(&summary)),
        (failed["job"].as_str(), 1, (3, 2)),
        "{summary:#}"
    );
    let waived = &summary["waived"][0];
    assert_eq!(
        (
            &waived["asset"],
            &waived["waived"][0]["by"],
            &waived["waived"][0]["reason"]
        ),
        (&"b".into(), &"ada".into(), &"creative intent".into()),
        "{summary:#}"
    );
    assert_eq!(
        (count(&failed, "/qc/failed"), count(&failed, "/qc/waived")),
        (1, 0),
        "{failed:#}"
    );
    assert_eq!(
        (count(&summary, "/qc/failed"), count(&summary, "/qc/waived")),
        (0, 1),
        "{summary:#}"
    );
    let text = |job: &Value| {
        scratch
            .run(&["job", "get", job["job"].as_str().expect("an id")])
            .expect_code(0)
            .stdout
            .clone()
    };
    let said = text(&summary);
    assert!(
        said.contains("decoded, 1 waived")
            && said.contains("\n1 waived\n")
            && !said.contains("failure"),
        "{said}"
    );
    let asset = || {
        scratch
            .run(&["asset", "get", "b", "-o", "json"])
            .expect_code(0)
            .json()
    };
    let shown = asset();
    assert_eq!(
        (&shown["verdict"], &shown["waived"][0]["holds"]),
        (&"fail".into(), &true.into()),
        "never a pass: {shown:#}"
    );
    scratch
        .run(&["task", "waive", &no, "--reason", "x"])
        .expect_code(6)
        .expect_said(&["waived already"]);

    wait_until("the waiver has ended", || {
        asset()["waived"][0]["holds"] == false
    });
    scratch.write("check.yaml", CHECK);
    let after = scratch.run_job("check.yaml", 3);
    assert_eq!(
        (failed_assets(&after), qc(&after)),
        (vec!["b"], (2, 0)),
        "{after:#}"
    );
    let said = text(&after);
    assert!(
        said.contains("black waived by ada") && said.contains("expired"),
        "{said}"
    );
    assert!(
        said.contains("decoded, 1 failed") && said.contains("\n1 failure\n"),
        "{said}"
    );
    assert_eq!(
        tasks(&scratch, "pending").len(),
        1,
        "somebody has to decide again"
    );
}

#[test]
fn qc_without_a_job_shows_waivers_and_their_end() {
    let scratch = library();
    let qc = |waivers: &str, code: i32| {
        scratch.write("waivers.yaml", waivers);
        let args = [
            "qc",
            "in/b.mp4",
            "--policy",
            "spec.yaml",
            "--waivers",
            "waivers.yaml",
            "-o",
            "json",
        ];
        scratch.run(&args).expect_code(code).json()
    };
    let waiver =
        |more: &str| format!("waivers:\n  - {{ check: black, by: ada, reason: titles{more} }}\n");
    let shown = qc(&waiver(", until: 2099-01-01T00:00:00Z"), 0);
    assert_eq!(
        (&shown["verdict"], &shown["waived"][0]["by"]),
        (&"fail".into(), &"ada".into()),
        "{shown:#}"
    );
    let ended = qc(&waiver(", until: 2020-01-01T00:00:00Z"), 1);
    assert_eq!(ended["waived"][0]["holds"], false, "{ended:#}");
    assert_eq!(
        qc(&waiver(", file: in/a.mp4"), 1).get("waived"),
        None,
        "another file's"
    );
    scratch.write("waivers.yaml", waiver(", until: friday"));
    let args = [
        "qc",
        "in/b.mp4",
        "--policy",
        "spec.yaml",
        "--waivers",
        "waivers.yaml",
    ];
    scratch
        .run(&args)
        .expect_code(2)
        .expect_said(&["waivers.yaml:2", "not a time"]);
}

const SIGN_OFF: &str = "job: sign-off
library: { manifest: manifest.csv }
steps:
  - id: make
    noop: {}
  - id: sign-off
    needs: [make]
    approval: { role: approver, when: \"asset.role == 'master'\", due: 4h }
  - id: publish
    needs: [sign-off]
    noop: {}
";

#[test]
fn approvals_block_until_given_or_refused() {
    let scratch = Scratch::new();
    scratch.write(
        "manifest.csv",
        "asset,title,role,location\na,t,master,in/a\nb,t,audio,in/b\nc,u,master,in/c\n",
    );
    scratch.write("job.yaml", SIGN_OFF);
    let (_running, address) = scratch.up("qc=2,transfer=2,noop=8");
    let ask = |args: &[&str]| scratch.remote(&address, args);
    let job = ask(&["job", "submit", "job.yaml", "-o", "name"]).name();
    let pending = || {
        ask(&["task", "list", "--job", &job, "-o", "json"])
            .expect_code(0)
            .json()
    };
    wait_until("both masters wait", || {
        pending().as_array().is_some_and(|all| all.len() == 2)
    });
    let listed = pending();
    assert_eq!(
        (&listed[0]["kind"], &listed[0]["role"]),
        (&"approval".into(), &"approver".into())
    );
    let of = |asset: &str| {
        let found = listed
            .as_array()
            .expect("a list")
            .iter()
            .find(|task| task["asset"] == asset)
            .expect("it waits");
        (
            found["task"].to_string(),
            found["units"][0].as_str().expect("a unit").to_owned(),
        )
    };
    let ((a, unit), (c, _)) = (of("a"), of("c"));
    let explained = ask(&["unit", "explain", &unit, "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(explained["reason"], "task_open", "{explained:#}");
    assert!(
        explained["message"]
            .as_str()
            .is_some_and(|m| m.contains("approval by approver of a")),
        "{explained:#}"
    );
    ask(&["task", "reject", &c])
        .expect_code(2)
        .expect_said(&["needs a reason"]);
    ask(&["task", "reject", &c, "--reason", "wrong cut", "--by", "eve"]).expect_code(0);
    ask(&["task", "approve", &a, "--dry-run"]).expect_code(0);
    assert_eq!(
        pending().as_array().map(Vec::len),
        Some(1),
        "a dry run decides nothing"
    );
    ask(&["task", "approve", &a, "--by", "ada"]).expect_code(0);
    let summary = ask(&["job", "wait", &job, "--timeout", "2m", "-o", "json"])
        .expect_code(3)
        .json();
    assert_failed(&summary, "c", "rejected", &["eve", "wrong cut"]);
    assert_eq!(
        count(&summary, "/steps/2/units/succeeded"),
        2,
        "a and what nobody had to approve: {summary:#}"
    );
    ask(&["task", "approve", &c])
        .expect_code(6)
        .expect_said(&["rejected already"]);

    // Asked again after a retry.
    ask(&["job", "retry", &job, "--all", "--reason", "cut again"]).expect_code(0);
    wait_until("it is asked for again", || {
        pending().as_array().is_some_and(|all| all.len() == 1)
    });
    let again = pending()[0]["task"].to_string();
    ask(&["task", "waive", &again, "--reason", "the approver is away"]).expect_code(0);
    ask(&["job", "wait", &job, "--timeout", "2m"]).expect_code(0);
    let history = ask(&["task", "get", &again, "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(events(&history), ["opened", "waive"], "{history:#}");

    // What is cancelled asks no more.
    let second = ask(&["job", "submit", "job.yaml", "-o", "name"]).name();
    let of_second = || {
        ask(&["task", "list", "--job", &second, "-o", "json"])
            .expect_code(0)
            .json()
    };
    wait_until("both masters wait", || {
        of_second().as_array().is_some_and(|all| all.len() == 2)
    });
    ask(&["job", "cancel", &second]).expect_code(0);
    wait_until("nobody waits", || {
        of_second().as_array().is_some_and(Vec::is_empty)
    });
}

#[test]
fn task_keeps_picture_and_waveform_until_it_closes() {
    let scratch = library();
    // Sound that is too loud, and black with it.
    let path = scratch.path("in/b.mp4");
    let path = path.to_str().expect("temporary paths are UTF-8");
    let inputs = [
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=320x180:rate=25:duration=4",
        "-f",
        "lavfi",
        "-i",
        "sine=duration=4",
    ];
    let filter = [
        "-vf",
        "drawbox=color=black:t=fill:enable='gte(t,1)*lt(t,2.2)'",
    ];
    let codecs = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
    ];
    reference::ffmpeg(&[&inputs[..], &filter, &codecs, &[path]].concat());
    let spec =
        "spec: hd\nqc:\n  decode: {}\n  black: { longest: 0.5s }\n  true_peak: { max: -40dBTP }\n";
    scratch.write("spec.yaml", spec);
    scratch.write(
        "manifest.csv",
        "asset,title,role,location\nb,t,master,in/b.mp4\n",
    );
    scratch.run_job("check.yaml", 3);
    let no = tasks(&scratch, "pending")[0]["task"].to_string();
    let pictures = scratch
        .run(&["task", "pictures", &no, "-o", "json"])
        .expect_code(0)
        .json();
    let kinds: Vec<(&str, &str)> = pictures
        .as_array()
        .expect("a list")
        .iter()
        .map(|picture| {
            (
                picture["kind"].as_str().unwrap_or_default(),
                picture["media_type"].as_str().unwrap_or_default(),
            )
        })
        .collect();
    assert_eq!(
        kinds,
        [("still", "image/jpeg"), ("waveform", "image/png")],
        "{pictures:#}"
    );
    assert!(
        pictures[0]["at"]
            .as_f64()
            .is_some_and(|at| (1.0..2.2).contains(&at)),
        "{pictures:#}"
    );
    let listed = scratch
        .run(&["task", "pictures", &no, "--to", "looks", "-o", "name"])
        .expect_code(0)
        .stdout
        .clone();
    assert_eq!(
        listed,
        format!("task-{no}-1-black.jpg\ntask-{no}-2-waveform.png\n")
    );
    // The picture at that moment is black; the waveform has its declared width.
    let jpeg = scratch.path(format!("looks/task-{no}-1-black.jpg"));
    let png = fs::read(scratch.path(format!("looks/task-{no}-2-waveform.png"))).expect("written");
    assert_eq!(
        (&png[1..4], &png[16..20]),
        (&b"PNG"[..], &640u32.to_be_bytes()[..])
    );
    let luma = scratch.path("luma");
    let (jpeg, raw) = (jpeg.to_str().expect("UTF-8"), luma.to_str().expect("UTF-8"));
    reference::ffmpeg(&["-i", jpeg, "-vf", "format=gray", "-f", "rawvideo", raw]);
    let luma = fs::read(&luma).expect("written");
    assert!(
        luma.len() > 240 * 100 && luma.iter().all(|value| *value < 20),
        "the still is not the black moment"
    );

    scratch
        .run(&["task", "waive", &no, "--reason", "titles"])
        .expect_code(0);
    let gone = scratch
        .run(&["task", "pictures", &no, "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(gone, serde_json::json!([]));
    scratch.run(&["task", "pictures", "99"]).expect_code(5);
}

#[test]
fn versioned_replace_keeps_previous_object() {
    let scratch = library();
    let job = "job: land
library: { manifest: manifest.csv }
steps:
  - id: land
    transfer: { to: \"file:./landing/{file}\", replace: versioned }
  - id: check
    needs: [land]
    qc: { policy: spec.yaml }
";
    scratch.write("land.yaml", job);
    let failed = scratch.run_job("land.yaml", 3);
    assert_eq!(failed_assets(&failed), ["b"], "{failed:#}");
    let id = failed["job"].as_str().expect("an id").to_owned();
    let old = fs::read(scratch.path("landing/b.mp4")).expect("landed");
    // The supplier delivers anew, as suppliers do: under the same name.
    clip(&scratch, "in/b.mp4", 120, 0.0);
    let new = fs::read(scratch.path("in/b.mp4")).expect("made");
    scratch.write("again.csv", "asset,location\nb,in/b.mp4\n");
    let retry = [
        "job",
        "retry",
        &id,
        "--input",
        "again.csv",
        "--filter",
        "step=check",
        "--reason",
        "delivered anew",
    ];
    scratch.run(&retry).expect_code(0);
    let passed = scratch.run_job("land.yaml", 0);
    assert_eq!(
        (passed["job"].as_str(), tasks(&scratch, "pending").len()),
        (Some(id.as_str()), 0),
        "{passed:#}"
    );
    assert_eq!(
        fs::read(scratch.path("landing/b.mp4")).expect("landed"),
        new
    );
    let kept = testkit::content::files(&scratch.path("landing/.showrunner/versions"));
    let kept: Vec<Vec<u8>> = kept
        .values()
        .map(|path| fs::read(path).expect("kept"))
        .collect();
    assert_eq!(kept, [old], "what was there stays as an older version");
}
