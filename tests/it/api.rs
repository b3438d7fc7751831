//! The HTTP API as its clients meet it, and the command line that asks it instead of a data directory.
use crate::jobs::{LAND, count, manifest, rehearsal};
use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::http::{Answer, ask, post};
use testkit::process::{get, wait_until};
use testkit::{Running, Scratch};

/// An `up` with a job that has ended with a failure; the job's id and the address.
fn served() -> (Scratch, Running, String, String) {
    let scratch = Scratch::new();
    scratch.write(
        "manifest.csv",
        manifest(&[("a", "t", "in/a.bin"), ("b", "t2", "in/b.bin")]),
    );
    scratch.write("odd.csv", manifest(&[("c/ü ?#", "t", "in/c.bin")]));
    scratch.write("in/a.bin", "a");
    scratch.write("job.yaml", LAND);
    let (running, address) = scratch.up("noop=256");
    let id = scratch
        .remote(&address, &["job", "submit", "job.yaml", "-o", "name"])
        .name();
    scratch
        .remote(&address, &["job", "wait", &id, "--timeout", "2m"])
        .expect_code(3);
    scratch
        .remote(&address, &["asset", "import", "odd.csv"])
        .expect_code(0);
    (scratch, running, address, id)
}

#[test]
fn commands_local_and_remote_give_the_same_answer() {
    let (scratch, _running, address, id) = served();
    let unit = format!("{id}/land/1");
    let odd = "c/ü ?#";
    let commands: [(&[&str], i32); _] = [
        (&["job", "list"], 0),
        (&["job", "list", "--state", "finished_with_failures"], 0),
        (&["job", "list", "--state", "running"], 0),
        (&["job", "list", "--state", "ded"], 2),
        (&["job", "list", "--limit", "0"], 0),
        (&["job", "get", &id], 0),
        (&["job", "get", "nope"], 5),
        (&["job", "get", "no/pe?#%00"], 5),
        (&["job", "wait", &id], 3),
        (&["job", "watch", &id], 3),
        (&["job", "wait", "nope"], 5),
        (&["job", "explain", &id], 0),
        (&["job", "explain", "nope"], 5),
        (&["job", "pause", &id], 6),
        (&["job", "resume", &id], 6),
        (&["job", "cancel", &id], 6),
        (&["job", "cancel", "nope"], 5),
        (&["job", "retry", &id, "--all", "--dry-run"], 0),
        (
            &[
                "job",
                "retry",
                &id,
                "--filter",
                "step=land",
                "--dry-run",
                "--reason",
                "why",
            ],
            0,
        ),
        (&["job", "retry", &id], 2),
        (&["job", "retry", "nope", "--all"], 5),
        (&["job", "submit", "nope.yaml"], 5),
        (&["job", "retry", &id, "--filter", "stp=land"], 2),
        (&["job", "operations", &id], 0),
        (&["job", "operations", "nope"], 5),
        (&["failure", "list"], 0),
        (&["failure", "list", "--job", "nope"], 5),
        (&["failure", "get", "nope"], 5),
        (&["failure", "waive", "nope", "--reason", "why"], 5),
        (&["operation", "pause", "99"], 5),
        (&["worker", "drain", "nope"], 5),
        (&["unit", "list", &id], 0),
        (&["unit", "list", &id, "--state", "dead", "--limit", "1"], 0),
        (&["unit", "list", &id, "--state", "ded"], 2),
        (&["unit", "list", &id, "--step", "lnd"], 2),
        (&["unit", "list", "nope"], 5),
        (&["unit", "get", &unit], 0),
        (&["unit", "get", "nope/land/1"], 5),
        (&["unit", "get", "nonsense"], 2),
        (&["unit", "explain", &unit], 0),
        (&["unit", "explain", &format!("{id}/land/999")], 5),
        (&["unit", "log", &unit], 0),
        (&["unit", "log", &format!("{id}/land/999")], 5),
        (&["asset", "list"], 0),
        (&["asset", "list", "--title", "t", "--after", "a"], 0),
        (&["asset", "get", "a"], 0),
        (&["asset", "get", odd], 0),
        (&["asset", "get", "nope"], 5),
    ];
    for (command, code) in commands {
        for output in ["table", "json", "jsonl", "name"] {
            let args = [command, &["-o", output]].concat();
            let local = scratch.run(&args);
            local.expect_code(code);
            let far = scratch.remote(&address, &args);
            assert_eq!(
                (far.code, &far.stdout, &far.stderr),
                (local.code, &local.stdout, &local.stderr),
                "{args:?}"
            );
        }
    }
    assert!(
        !scratch.path("nowhere").exists(),
        "asking a coordinator makes no directory"
    );
}

#[test]
fn job_is_submitted_changed_and_watched_remotely() {
    let scratch = Scratch::new();
    rehearsal(&scratch, 60_000, "50ms..100ms");
    let (running, address) = scratch.up("noop=256");
    let run = |args: &[&str]| scratch.remote(&address, args);
    let submit = [
        "job",
        "submit",
        "rehearsal.yaml",
        "-o",
        "name",
        "--idempotency-key",
        "monday",
    ];
    let id = run(&submit).name();
    assert_eq!(run(&submit).name(), id, "the same key is the same job");
    assert_eq!(
        run(&["job", "list", "-o", "json"])
            .json()
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    rehearsal(&scratch, 60_001, "50ms..100ms");
    scratch.write(
        "rehearsal.yaml",
        std::fs::read_to_string(scratch.path("rehearsal.yaml")).unwrap() + "\n# other\n",
    );
    run(&submit)
        .expect_code(6)
        .expect_said(&["idempotency key", &id]);

    let look = || {
        run(&["job", "get", &id, "-o", "json"])
            .expect_code(0)
            .json()
    };
    wait_until("it runs", || count(&look(), "/units/succeeded") > 0);
    assert_eq!(
        run(&["job", "pause", &id, "--dry-run", "-o", "json"])
            .expect_code(0)
            .json()["state"],
        "paused"
    );
    assert_eq!(look()["state"], "running", "a preview changes nothing");
    run(&["job", "pause", &id, "--reason", "lunch"]).expect_code(0);
    run(&["job", "wait", &id, "--timeout", "300ms"])
        .expect_code(7)
        .expect_said(&["paused", "job explain"]);
    run(&["job", "resume", &id]).expect_code(0);
    let mut watching = scratch.showrunner(&["job", "watch", &id, "-o", "json"]);
    watching.env("SHOWRUNNER_SERVER", format!("http://{address}"));
    let watching = Running::start(watching, &scratch.path("."));
    wait_until("progress is shown", || {
        watching.stderr().contains("running: ")
    });
    run(&["job", "cancel", &id]).expect_code(0);
    assert_eq!(watching.wait().expect_code(1).json()["state"], "cancelled");
    run(&["job", "retry", &id, "--all"])
        .expect_code(6)
        .expect_said(&["submit it again"]);

    running.signal(Signal::TERM);
    running.wait().expect_code(0);
    run(&["job", "list"])
        .expect_code(1)
        .expect_said(&["cannot be reached", "refused", "hint:"]);
    let canary = format!("http://me:canary@{address}/");
    let ran = scratch.run(&["job", "list", "--server", &canary]);
    ran.expect_code(1);
    assert!(!ran.stderr.contains("canary"), "{ran:#?}");
    scratch
        .run(&["job", "list", "--server", "ftp://x"])
        .expect_code(2)
        .expect_said(&["http"]);
    scratch
        .run(&["job", "list", "--server", &canary, "--data", "x"])
        .expect_code(2)
        .expect_said(&["--server"]);
}

#[test]
fn delivery_specs_and_manifests_travel_with_the_request() {
    let scratch = Scratch::new();
    scratch.write(
        "manifest.csv",
        manifest(&[("a", "t", "in/a.bin"), ("b", "t", "in/b.bin")]),
    );
    scratch.write(
        "specs/base.yaml",
        "spec: base\nqc:\n  container: { any: [mp4] }\n",
    );
    scratch.write(
        "specs/mine.yaml",
        "spec: mine\ninherits: base.yaml\nqc:\n  decode: {}\n",
    );
    let job = "job: far\nlibrary: { manifest: manifest.csv }\nsteps:\n  - id: check\n    qc: { policy: specs/mine.yaml }\n";
    scratch.write("job.yaml", job);
    let (_running, address) = scratch.up("noop=256");
    let checked = scratch.remote(
        &address,
        &["job", "submit", "job.yaml", "--dry-run", "-o", "json"],
    );
    assert_eq!(checked.expect_code(0).json()["dry_run"], true);
    assert_eq!(
        scratch
            .remote(&address, &["job", "list", "-o", "json"])
            .json(),
        json!([])
    );
    let id = scratch
        .remote(&address, &["job", "submit", "job.yaml", "-o", "name"])
        .name();
    scratch
        .remote(&address, &["job", "wait", &id, "--timeout", "2m"])
        .expect_code(3);

    let imported = scratch
        .remote(&address, &["asset", "import", "manifest.csv", "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(imported["assets"], 2);
    assert_eq!(
        scratch
            .remote(&address, &["asset", "list", "-o", "name"])
            .stdout,
        "a\nb\n"
    );
    // The coordinator validates the request; the check of the client is not trusted.
    let sent = json!({"file": "x.yaml", "base": "/b", "source": job, "policies": {}});
    let refused = post(&address, "/api/v1/jobs", &sent);
    assert_eq!(
        (refused.status, refused.json()["error"].as_str()),
        (422, Some("invalid"))
    );
    assert!(
        refused.json()["message"]
            .as_str()
            .unwrap()
            .contains("was not sent"),
        "{refused:?}"
    );
}

/// Method, path, headers and body of a request, with the status and code of its refusal.
type Refused<'a> = (
    &'a str,
    &'a str,
    &'a [(&'a str, &'a str)],
    &'a str,
    u16,
    &'a str,
);

#[test]
fn refusals_have_one_shape() {
    let (_scratch, _running, address, id) = served();
    let job = format!("/api/v1/jobs/{id}");
    let pause = format!("{job}/pause");
    let own = format!("http://{address}");
    let asked: [Refused; 18] = [
        ("GET", "/api/v1/jobs/nope", &[], "", 404, "not_found"),
        ("GET", "/api/v2/jobs", &[], "", 404, "not_found"),
        ("GET", "/api/v1/jobs?limit=0", &[], "", 400, "usage"),
        ("GET", "/api/v1/jobs?limit=1001", &[], "", 400, "usage"),
        ("GET", "/api/v1/jobs?limit=x", &[], "", 400, "usage"),
        ("GET", "/api/v1/jobs?lmit=1", &[], "", 400, "usage"),
        ("GET", "/api/v1/jobs/%00", &[], "", 400, "usage"),
        ("DELETE", &job, &[], "", 405, "method_not_allowed"),
        ("POST", &pause, &[], "", 409, "conflict"),
        (
            "POST",
            &pause,
            &[("content-type", "text/plain")],
            "{}",
            415,
            "unsupported_media_type",
        ),
        (
            "POST",
            &pause,
            &[("content-type", "application/json")],
            "{",
            400,
            "usage",
        ),
        (
            "POST",
            &pause,
            &[("content-type", "application/json")],
            r#"{"reason":1}"#,
            400,
            "usage",
        ),
        (
            "POST",
            &pause,
            &[("sec-fetch-site", "cross-site")],
            "",
            403,
            "forbidden",
        ),
        (
            "POST",
            &pause,
            &[("origin", "http://evil.example")],
            "",
            403,
            "forbidden",
        ),
        ("POST", &pause, &[("origin", "null")], "", 403, "forbidden"),
        ("POST", &pause, &[("origin", &own)], "", 409, "conflict"),
        (
            "GET",
            "http://evil.example/api/v1/jobs",
            &[],
            "",
            421,
            "misdirected",
        ),
        (
            "POST",
            "/api/v1/jobs",
            &[
                ("idempotency-key", "a b"),
                ("content-type", "application/json"),
            ],
            r#"{"file":"f","base":"/","source":"job: x"}"#,
            400,
            "usage",
        ),
    ];
    for (method, path, headers, body, status, code) in asked {
        let answer = ask(&address, method, path, headers, body.as_bytes());
        assert_eq!(
            (answer.status, answer.json()["error"].as_str()),
            (status, Some(code)),
            "{method} {path}: {answer:?}"
        );
        assert!(
            answer.json()["message"].is_string()
                && answer.header("x-content-type-options") == Some("nosniff")
        );
    }
    let large = vec![b' '; 9 << 20];
    let answer = ask(
        &address,
        "POST",
        "/api/v1/jobs",
        &[("content-type", "application/json")],
        &large,
    );
    assert_eq!(
        (answer.status, answer.json()["error"].as_str()),
        (413, Some("too_large"))
    );
    let allowed: Answer = ask(&address, "DELETE", &job, &[], b"");
    assert_eq!(allowed.header("allow"), Some("GET"));
}

#[test]
fn lists_continue_after_the_last_entry_of_a_page() {
    let scratch = Scratch::new();
    rehearsal(&scratch, 25, "0ms");
    let (_running, address) = scratch.up("noop=256");
    let id = scratch
        .remote(&address, &["job", "submit", "rehearsal.yaml", "-o", "name"])
        .name();
    scratch
        .remote(&address, &["job", "wait", &id, "--timeout", "2m"])
        .expect_code(0);
    let all: Value =
        serde_json::from_str(&get(&address, &format!("/api/v1/jobs/{id}/units")).1).unwrap();
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page = get(&address, &format!("/api/v1/jobs/{id}/units?limit=7{after}")).1;
        let page: Vec<Value> = serde_json::from_str(&page).unwrap();
        let Some(last) = page.last() else { break };
        after = format!("&after={}", last["unit"].as_str().unwrap());
        assert!(page.len() <= 7);
        paged.extend(page);
    }
    assert_eq!(Value::Array(paged), all);
    assert_eq!(all.as_array().map(Vec::len), Some(25));
}

/// `SHOWRUNNER_UPDATE=1` writes the file instead.
#[test]
fn openapi_reference_equals_the_served_document() {
    let scratch = Scratch::new();
    let (_running, address) = scratch.up("noop=256");
    let served = get(&address, "/api/v1/openapi.json").1;
    testkit::reference::assert_committed("docs/reference/openapi.json", &(served + "\n"));
}

/// Sends the head of a request and one byte of its body, and keeps the connection.
fn half_sent(address: &str) -> std::net::TcpStream {
    let mut stream =
        std::net::TcpStream::connect(address).expect("a printed address can be reached");
    stream
        .set_read_timeout(Some(std::time::Duration::from_secs(60)))
        .expect("a timeout above zero is allowed");
    let head = format!(
        "POST /api/v1/jobs HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{{"
    );
    std::io::Write::write_all(&mut stream, head.as_bytes()).expect("a head can be sent");
    stream
}

/// The status of what a server sends on a connection before it closes it.
fn status_of(mut stream: std::net::TcpStream) -> Option<u16> {
    let mut bytes = Vec::new();
    drop(std::io::Read::read_to_end(&mut stream, &mut bytes));
    String::from_utf8_lossy(&bytes)
        .split(' ')
        .nth(1)?
        .parse()
        .ok()
}

#[test]
fn health_answers_while_one_client_holds_many_bodies_open() {
    let (_scratch, _running, address, _) = served();
    let held: Vec<_> = (0..600).map(|_| half_sent(&address)).collect();
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(ask(&address, "GET", path, &[], b"").status, 200, "{path}");
    }
    let mut counts = std::collections::BTreeMap::<Option<u16>, usize>::new();
    held.into_iter()
        .for_each(|stream| *counts.entry(status_of(stream)).or_default() += 1);
    assert_eq!(counts, [(Some(408), 256), (Some(429), 344)].into());
    assert_eq!(
        ask(&address, "GET", "/api/v1/jobs", &[], b"").status,
        200,
        "its requests have ended"
    );
}

#[test]
fn request_by_an_unknown_name_is_misdirected() {
    let scratch = Scratch::new();
    let (_running, address) = scratch.up("noop=256");
    let port = address.rsplit(':').next().expect("a port");
    let by = |host: String, path: &str| {
        let mut stream =
            std::net::TcpStream::connect(&address).expect("a printed address can be reached");
        let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        std::io::Write::write_all(&mut stream, head.as_bytes()).expect("a head can be sent");
        status_of(stream)
    };
    assert_eq!(by(format!("localhost:{port}"), "/api/v1/jobs"), Some(200));
    assert_eq!(
        by(format!("rebound.example:{port}"), "/api/v1/jobs"),
        Some(421)
    );
    assert_eq!(
        by("rebound.example".into(), "/healthz"),
        Some(200),
        "probes come by any name"
    );
    let mut named = scratch.start(&[
        "up",
        "--listen",
        "127.0.0.1:0",
        "--data",
        "named",
        "--allow-host",
        "rebound.example",
    ]);
    let mut stream =
        std::net::TcpStream::connect(named.address()).expect("a printed address can be reached");
    let head = b"GET /api/v1/jobs HTTP/1.1\r\nHost: rebound.example\r\nConnection: close\r\n\r\n";
    std::io::Write::write_all(&mut stream, head).expect("a head can be sent");
    assert_eq!(status_of(stream), Some(200));
}

#[test]
fn listening_beyond_this_machine_without_insecure_is_refused() {
    let scratch = Scratch::new();
    scratch
        .run(&["up", "--listen", "0.0.0.0:0"])
        .expect_code(2)
        .expect_said(&["--insecure", "no login"]);
    let coordinator = [
        "coordinator",
        "--redis",
        "redis://127.0.0.1:1",
        "--listen",
        "[::]:0",
    ];
    scratch
        .run(&coordinator)
        .expect_code(2)
        .expect_said(&["--insecure"]);
}

#[test]
fn retry_filter_with_control_characters_is_refused() {
    let (scratch, _running, address, id) = served();
    for filter in ["asset=zzz\ngarbage", "asset=zzz\u{7}"] {
        for path in [
            format!("/api/v1/jobs/{id}/retry"),
            "/api/v1/failures/retry".to_owned(),
        ] {
            let answer = post(&address, &path, &json!({"filter": [filter]}));
            assert_eq!(answer.status, 400, "{}", answer.json());
            assert!(
                answer.json()["message"]
                    .as_str()
                    .is_some_and(|why| why.contains("control character"))
            );
        }
        let local = scratch.run(&["job", "retry", &id, "--filter", filter, "--dry-run"]);
        local.expect_code(2).expect_said(&["control character"]);
    }
    for rate in [1e-300, 1e300, 0.0, -1.0] {
        let answer = post(
            &address,
            &format!("/api/v1/jobs/{id}/retry"),
            &json!({"all": true, "rate": rate}),
        );
        assert_eq!(answer.status, 400, "{rate}: {}", answer.json());
    }
}
