//! Secrets in locations: a canary in every place where one may be, and a search for it in everything that is printed and in
//! every name that is made.
use crate::jobs::LAND;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use testkit::Ran;
use testkit::Scratch;
use testkit::http::ask;

const CANARY: &str = "CANARY";

const MANIFEST: &str = "asset,title,role,location
signed,t,master,https://127.0.0.2:1/clips/a.mov?X-Amz-Signature=CANARY&X-Amz-Security-Token=CANARY/x
fragment,t,master,https://127.0.0.2:1/b.mov#token=CANARY
broken,t,master,https://[bad/f.mov?sig=CANARY
folder,t,master,https://127.0.0.2:1/clips/?sig=CANARY
login,t,master,https://ana:CANARY@127.0.0.2:1/c.mov
plain,t,master,http://ana:CANARY@127.0.0.2/d.mov?sig=CANARY
other,t,master,ftp://ana:CANARY@127.0.0.2/f.mov?sig=CANARY
control,t,master,\"https://127.0.0.2:1/e\t.mov?sig=CANARY\"
";

fn names(directory: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        found.push(entry.path().display().to_string());
        names(&entry.path(), found);
    }
}

/// Asserts that neither output nor a name in the scratch directory has the canary.
fn assert_secret(scratch: &Scratch, said: &[Ran]) {
    let mut made = Vec::new();
    names(&scratch.path("."), &mut made);
    for ran in said {
        let printed = [&ran.stdout, &ran.stderr]
            .into_iter()
            .flat_map(|text| text.lines());
        let found: Vec<&str> = printed.filter(|line| line.contains(CANARY)).collect();
        assert!(
            found.is_empty(),
            "{} prints {found:#?}",
            ran.line.replace(CANARY, "*")
        );
    }
    assert!(made.iter().all(|name| !name.contains(CANARY)), "{made:#?}");
}

/// Every kind of step over signed addresses of a server that does not answer. With one that does: `worker::it storage::secrets`.
#[test]
fn secrets_in_locations_stay_hidden_from_every_step() {
    let scratch = Scratch::new();
    let mut rows = String::from("asset,title,role,location\n");
    for (name, secret) in [
        ("good.mov", "?X-Amz-Signature=CANARY"),
        ("fragment.mov", "#token=CANARY"),
        ("c.mov", "?CANARY"),
    ] {
        rows += &format!("{name},t,master,https://127.0.0.2:1/{name}{secret}\n");
    }
    scratch.write("manifest.csv", rows);
    let endpoint = "{ prefix: \"https://127.0.0.2:1/\", allow_private: [\"127.0.0.0/8\"] }";
    scratch.write("storage.yaml", format!("endpoints:\n  - {endpoint}\n"));
    scratch.write("spec.yaml", "spec: s\nqc: { naming: { pattern: '.*' } }\n");
    let retry = "retry: { attempts: 1 }";
    let land = format!(
        "  - id: land\n    transfer: {{ to: \"file:./out/{{file}}\", mhl: true }}\n    {retry}\n    on_failure: continue\n"
    );
    let purge = "purge: { keep: land, ordered_by: ana, reason: space }";
    let steps = [
        ("transfer", land.clone()),
        (
            "qc",
            format!("  - id: s\n    qc: {{ policy: spec.yaml }}\n    {retry}\n"),
        ),
        (
            "checksum",
            format!("  - id: s\n    checksum: {{}}\n    {retry}\n"),
        ),
        (
            "archive",
            format!("  - id: s\n    archive: {{ class: GLACIER }}\n    {retry}\n"),
        ),
        (
            "restore",
            format!("  - id: s\n    restore: {{ days: 1 }}\n    {retry}\n"),
        ),
        (
            "purge",
            format!("{land}  - id: s\n    needs: [land]\n    {purge}\n    {retry}\n"),
        ),
        (
            "chain",
            format!(
                "{land}  - id: s\n    needs: [land]\n    transfer: {{ to: \"file:./two/{{file}}\", mhl: true }}\n    {retry}\n"
            ),
        ),
        (
            "dry purge",
            format!(
                "{land}  - id: s\n    needs: [land]\n    {}\n    {retry}\n",
                purge.replace(" }", ", dry_run: true }")
            ),
        ),
    ];
    let mut said: Vec<Ran> = Vec::new();
    for (name, steps) in steps {
        scratch.write(
            "job.yaml",
            format!(
                "job: {}\nlibrary: {{ manifest: manifest.csv }}\nsteps:\n{steps}",
                name.replace(' ', "-")
            ),
        );
        let ran = scratch.run(&[
            "-vv",
            "--storage",
            "storage.yaml",
            "run",
            "job.yaml",
            "-o",
            "json",
        ]);
        let summary = ran.expect_code(3).json();
        assert!(
            summary["failures"]
                .as_array()
                .is_some_and(|failures| failures.len() > 2),
            "{name}: {summary:#}"
        );
        let job = summary["job"].as_str().expect("an id").to_owned();
        said.push(ran);
        for command in [
            &["job", "explain", &job, "-o", "json"][..],
            &["unit", "list", &job, "-o", "json"],
            &["failure", "list", "--job", &job, "-o", "json"],
        ] {
            said.push(scratch.run(command));
        }
        said.push(scratch.run(&[
            "unit",
            "explain",
            &format!("{job}/{}/1", if name == "transfer" { "land" } else { "s" }),
        ]));
    }
    for asset in ["good.mov", "fragment.mov"] {
        said.push(scratch.run(&["asset", "get", asset, "-o", "json"]));
        said.push(scratch.run(&["asset", "get", asset]));
    }
    assert_secret(&scratch, &said);
}

/// The API and the page, over the same jobs.
#[test]
fn secrets_in_locations_stay_hidden_from_the_api() {
    let scratch = Scratch::new();
    scratch.write("manifest.csv", MANIFEST);
    scratch.write("job.yaml", LAND.replace("attempts: 2", "attempts: 1"));
    let (_running, address) = scratch.up("noop=1");
    let (events, ended) = (events(&address), Arc::new(AtomicBool::new(false)));
    let over = Arc::clone(&ended);
    let events = std::thread::spawn(move || read_until(events, &over));
    let job = scratch
        .remote(&address, &["job", "submit", "job.yaml", "-o", "name"])
        .name();
    scratch
        .remote(&address, &["job", "wait", &job, "--timeout", "2m"])
        .expect_code(3);
    let paths = [
        format!("/api/v1/jobs/{job}"),
        format!("/api/v1/jobs/{job}/units?limit=100"),
        format!("/api/v1/jobs/{job}/explain"),
        "/api/v1/jobs".to_owned(),
        "/api/v1/assets?limit=100".to_owned(),
        "/api/v1/assets/signed".to_owned(),
        "/api/v1/failures".to_owned(),
        "/api/v1/tasks".to_owned(),
        "/metrics".to_owned(),
        "/".to_owned(),
    ];
    for path in paths {
        let answer = ask(&address, "GET", &path, &[], b"");
        assert!(!answer.body.contains(CANARY), "{path}: {}", answer.body);
        assert!(matches!(answer.status, 200 | 404), "{path}: {answer:?}");
    }
    ended.store(true, Ordering::Relaxed);
    let told = events.join().expect("the stream is read");
    assert!(
        told.contains("listening") && !told.contains(CANARY),
        "{told}"
    );
    assert_secret(
        &scratch,
        &[scratch.remote(&address, &["job", "watch", &job, "-o", "jsonl"])],
    );
}

/// The stream of events, from now on.
fn events(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("a printed address can be reached");
    stream
        .set_read_timeout(Some(Duration::from_millis(200)))
        .expect("a timeout above zero is allowed");
    write!(
        stream,
        "GET /api/v1/events HTTP/1.1\r\nHost: {address}\r\n\r\n"
    )
    .expect("a request can be sent");
    stream
}

fn read_until(mut stream: TcpStream, ended: &AtomicBool) -> String {
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(bytes) => text.extend_from_slice(&piece[..bytes]),
            Err(_) if ended.load(Ordering::Relaxed) => break,
            Err(_) => {}
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn secrets_in_locations_are_never_printed_or_used_as_names() {
    let scratch = Scratch::new();
    scratch.write("manifest.csv", MANIFEST);
    scratch.write("job.yaml", LAND.replace("attempts: 2", "attempts: 1"));
    let mut said: Vec<Ran> = Vec::new();
    let first = scratch.run(&["-vv", "run", "job.yaml", "-o", "json"]);
    let job = first.json()["job"].as_str().expect("an id").to_owned();
    said.push(first);
    let correction = "asset.location=https://127.0.0.2:1/again.mov?sig=CANARY";
    let commands: [&[&str]; 15] = [
        &["job", "get", &job],
        &["job", "get", &job, "-o", "json"],
        &["job", "explain", &job],
        &["failure", "list"],
        &["failure", "list", "-o", "json"],
        &["asset", "import", "manifest.csv"],
        &["asset", "list"],
        &["asset", "list", "-o", "json"],
        &["asset", "get", "signed"],
        &["asset", "get", "login", "-o", "json"],
        &["unit", "list", &job, "-o", "json"],
        &[
            "job",
            "retry",
            &job,
            "--filter",
            "asset=signed",
            "--set",
            correction,
        ],
        &["job", "operations", &job, "-o", "json"],
        &["run", "job.yaml"],
        &["asset", "list", "-o", "jsonl"],
    ];
    said.extend(commands.iter().map(|command| scratch.run(command)));
    assert_secret(&scratch, &said);
    let assets = scratch.run(&["asset", "list", "-o", "json"]).json();
    let text = assets.to_string();
    assert!(
        text.contains("https://127.0.0.2:1/clips/a.mov?…"),
        "the address itself is shown: {text}"
    );
}
