//! Content that comes back from an archive, and content that is removed for good, as an operator meets them.
use crate::jobs::{assert_failed, count, failed_assets};
use rustix::process::Signal;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use testkit::Scratch;
use testkit::process::wait_until;

/// The part of S3 that a restore uses: one archived object, which the test makes available.
#[derive(Default)]
struct Glacier {
    asked: AtomicU32,
    there: AtomicBool,
}

impl Glacier {
    fn start() -> (Arc<Glacier>, String) {
        let glacier = Arc::new(Glacier::default());
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let inside = Arc::clone(&glacier);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let glacier = Arc::clone(&inside);
                std::thread::spawn(move || while glacier.answer(&stream).is_some() {});
            }
        });
        (glacier, url)
    }

    fn answer(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let (mut line, mut first, mut length) = (String::new(), String::new(), 0);
        loop {
            line.clear();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_ascii_lowercase();
            if first.is_empty() {
                first.clone_from(&line);
            } else if line.is_empty() {
                break;
            } else if let Some(text) = line.strip_prefix("content-length:") {
                length = text.trim().parse().ok()?;
            }
        }
        std::io::copy(
            &mut std::io::Read::take(&mut reader, length),
            &mut std::io::sink(),
        )
        .ok()?;
        let head = "etag: \"e\"\r\ncontent-length: 9\r\nx-amz-storage-class: GLACIER\r\n";
        let told = match (first.starts_with("post"), self.there.load(Ordering::SeqCst)) {
            (true, _) => {
                self.asked.fetch_add(1, Ordering::SeqCst);
                "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_owned()
            }
            (false, true) => format!(
                "HTTP/1.1 200 OK\r\n{head}x-amz-restore: ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2029 00:00:00 GMT\"\r\n\r\n"
            ),
            (false, false) if self.asked.load(Ordering::SeqCst) > 0 => {
                format!("HTTP/1.1 200 OK\r\n{head}x-amz-restore: ongoing-request=\"true\"\r\n\r\n")
            }
            (false, false) => format!("HTTP/1.1 200 OK\r\n{head}\r\n"),
        };
        { stream }.write_all(told.as_bytes()).ok()
    }
}

const THAW: &str = "job: thaw
library: { manifest: cold.csv }
steps:
  - id: thaw
    restore: { days: 2, tier: bulk, look: 500ms }
    retry: { attempts: 1 }
  - id: rest
    needs: [thaw]
    noop: {}
";

/// The unit waits for hours with one attempt and a worker of one slot: the slot stays free, and nothing fails.
#[test]
fn restore_waits_without_a_slot_and_explains_why() {
    let (glacier, url) = Glacier::start();
    let scratch = Scratch::new();
    scratch.write(
        "credentials",
        "[default]\naws_access_key_id = a\naws_secret_access_key = b\n",
    );
    let credentials = scratch.path("credentials");
    let storage = format!(
        "endpoints: [{{ prefix: 's3://vault', url: '{url}', region: us-east-1, credentials_file: {} }}]\n",
        credentials.display()
    );
    scratch.write("storage.yaml", storage);
    scratch.write(
        "cold.csv",
        "asset,title,role,location\na,t,master,s3://vault/a.mov\n",
    );
    scratch.write("job.yaml", THAW);
    let args = [
        "up",
        "--listen",
        "127.0.0.1:0",
        "--slots",
        "transfer=1",
        "--storage",
        "storage.yaml",
    ];
    let mut running = scratch.start(&args);
    running.address();
    let id = scratch
        .run(&["job", "submit", "job.yaml", "-o", "name"])
        .name();
    let unit = format!("{id}/thaw/1");
    let explain = || scratch.run(&["unit", "explain", &unit, "-o", "json"]);
    wait_until("it waits for the archive", || {
        explain().stdout.contains("\"restoring\"")
    });
    let mut why = explain().expect_code(0).json();
    // It may be looked at just now.
    wait_until("it waits", || {
        why = explain().expect_code(0).json();
        why["reason"] == "restoring"
    });
    let message = why["message"].as_str().expect("words");
    assert!(
        message.contains("s3://vault/a.mov") && message.contains("no slot"),
        "{why:#}"
    );
    assert!(why["changes_at"].is_string(), "{why:#}");
    let seen = |unit: &str| {
        scratch
            .run(&["unit", "get", unit, "-o", "json"])
            .expect_code(0)
            .json()
    };
    wait_until("it was looked at three times", || {
        count(&seen(&unit), "/epoch") >= 3
    });
    assert_eq!(
        (
            count(&seen(&unit), "/attempt"),
            glacier.asked.load(Ordering::SeqCst)
        ),
        (0, 1)
    );
    // The only slot of its kind stays free for other units.
    scratch.write("in/x.bin", "x");
    scratch.write(
        "other.yaml",
        "job: other\nlibrary: { folder: in }\nsteps:\n  - { id: land, transfer: { to: \"file:./out/{path}\" } }\n",
    );
    let other = scratch
        .run(&["job", "submit", "other.yaml", "-o", "name"])
        .name();
    scratch
        .run(&["job", "wait", &other, "--timeout", "2m"])
        .expect_code(0);
    glacier.there.store(true, Ordering::SeqCst);
    let waited = scratch.run(&["job", "wait", &id, "--timeout", "2m", "-o", "json"]);
    let summary = waited.expect_code(0).json();
    assert_eq!(
        (
            count(&summary, "/units/succeeded"),
            summary["steps"][0]["kind"].as_str()
        ),
        (2, Some("restore"))
    );
    assert_eq!(
        failed_assets(&summary),
        Vec::<&str>::new(),
        "waiting is no failure"
    );
    running.signal(Signal::TERM);
    running.wait().expect_code(0);
}

const FREE: &str = "job: free
library: { folder: card }
steps:
  - id: land
    transfer: { to: \"file:./vault/{path}\", mhl: true }
  - id: free
    needs: [land]
    purge: { keep: land, ordered_by: \"ana@channel\", reason: card is needed, dry_run: DRY }
";

fn tombstones(scratch: &Scratch, asset: &str) -> Vec<Value> {
    let found = scratch
        .run(&["asset", "get", asset, "-o", "json"])
        .expect_code(0)
        .json();
    found["tombstones"].as_array().cloned().unwrap_or_default()
}

#[test]
fn purge_is_previewed_executed_and_recorded() {
    let scratch = Scratch::new();
    scratch.write("card/a.mov", "picture");
    scratch.write("card/b/c.wav", "sound");
    scratch.write("job.yaml", FREE.replace("DRY", "true"));
    let rehearsed = scratch.run_job("job.yaml", 0);
    assert_eq!(rehearsed["steps"][1]["kind"], "purge");
    assert!(
        scratch.path("card/a.mov").is_file(),
        "a rehearsal removes nothing"
    );
    let told = tombstones(&scratch, "b/c.wav");
    assert_eq!(
        (told.len(), &told[0]["dry_run"]),
        (1, &Value::Bool(true)),
        "{told:#?}"
    );
    scratch.write("job.yaml", FREE.replace("DRY", "false"));
    let carried_out = scratch.run_job("job.yaml", 0);
    assert!(!scratch.path("card/a.mov").exists() && !scratch.path("card/b/c.wav").exists());
    scratch.run(&["mhl", "verify", "vault"]).expect_code(0);
    let told = tombstones(&scratch, "b/c.wav");
    let grave = &told[1];
    assert_eq!(
        (grave["ordered_by"].as_str(), grave["reason"].as_str()),
        (Some("ana@channel"), Some("card is needed"))
    );
    assert_eq!(
        (grave["job"].clone(), grave["step"].as_str()),
        (carried_out["job"].clone(), Some("free"))
    );
    assert_eq!(
        (count(grave, "/bytes"), &grave["dry_run"]),
        (5, &Value::Bool(false))
    );
    assert!(
        grave["location"]
            .as_str()
            .is_some_and(|place| place.ends_with("/card/b/c.wav")),
        "{grave:#}"
    );
    assert!(
        grave["copy"]
            .as_str()
            .is_some_and(|place| place.ends_with("/vault/b/c.wav")),
        "{grave:#}"
    );
    assert!(
        grave["hash"]
            .as_str()
            .is_some_and(|hash| hash.starts_with("xxh128:")),
        "{grave:#}"
    );
    let words = scratch.run(&["asset", "get", "a.mov"]);
    assert!(
        words.stdout.contains("purged  file:") && words.stdout.contains("ordered by ana@channel"),
        "{words:#?}"
    );
}

#[test]
fn purge_without_a_valid_copy_removes_nothing() {
    let scratch = Scratch::new();
    scratch.write("card/a.mov", "picture");
    scratch.write("card/b.mov", "other");
    // The copy is altered between the transfer and the purge.
    let job = FREE.replace("DRY", "false").replace(
        "  - id: free\n    needs: [land]",
        "  - id: pause\n    needs: [land]\n    noop: { duration: 1s }\n  - id: free\n    needs: [pause]",
    );
    scratch.write("job.yaml", job);
    let running = scratch.start(&["run", "job.yaml", "-o", "json"]);
    wait_until("it landed", || scratch.path("vault/a.mov").is_file());
    scratch.write("vault/a.mov", "PICTURE");
    let summary = running.wait().expect_code(3).json();
    assert_failed(
        &summary,
        "a.mov",
        "purge_unproven",
        &["card/a.mov", "was not removed", "vault/a.mov"],
    );
    assert!(scratch.path("card/a.mov").is_file() && !scratch.path("card/b.mov").exists());
    assert_eq!(tombstones(&scratch, "a.mov"), Vec::<Value>::new());
}

#[test]
fn sidecar_hashes_are_checked_and_wrong_ones_reported() {
    let scratch = Scratch::new();
    for (name, content) in [
        ("a.mov", "abc"),
        ("b.mov", "abc"),
        ("c.mov", "abc"),
        ("d.mov", "abc"),
    ] {
        scratch.write(format!("card/{name}"), content);
    }
    scratch.write(
        "card/a.mov.md5",
        "900150983cd24fb0d6963f7d28e17f72  a.mov\n",
    );
    scratch.write(
        "card/b.mov.md5",
        "000150983cd24fb0d6963f7d28e17f72 *b.mov\n",
    );
    scratch.write(
        "card/c.mov.sha1",
        "a9993e364706816aba3e25717850c26c9cd0d89d",
    );
    scratch.write("card/d.mov.xxh", "nonsense");
    scratch.write(
        "job.yaml",
        "job: card\nlibrary: { folder: card }\nsteps:\n  - { id: land, transfer: { to: \"file:./out/{path}\" } }\n",
    );
    let summary = scratch.run_job("job.yaml", 3);
    assert_failed(
        &summary,
        "b.mov",
        "hash_mismatch",
        &["b.mov", "md5:000150983cd24fb0d6963f7d28e17f72"],
    );
    assert_failed(
        &summary,
        "d.mov",
        "row_invalid",
        &["d.mov.xxh", "no digest"],
    );
    assert_eq!(failed_assets(&summary).len(), 2);
    for landed in ["a.mov", "a.mov.md5", "c.mov", "d.mov", "d.mov.xxh"] {
        assert!(scratch.path(format!("out/{landed}")).is_file(), "{landed}");
    }
    assert!(!scratch.path("out/b.mov").exists());
}

/// The history of a delivered card is continued, and differences from it are reported.
#[test]
fn delivered_history_is_continued() {
    let scratch = Scratch::new();
    scratch.write("card/a.mov", "picture");
    let job = "job: card\nlibrary: { folder: FROM }\nsteps:\n  - { id: land, transfer: { to: \"file:./TO/{path}\", mhl: true } }\n";
    scratch.write(
        "first.yaml",
        job.replace("FROM", "card").replace("TO", "one"),
    );
    scratch.run_job("first.yaml", 0);
    scratch.write("one/b.mov", "added");
    scratch.write(
        "second.yaml",
        job.replace("FROM", "one").replace("TO", "two"),
    );
    scratch.run_job("second.yaml", 0);
    let verified = scratch
        .run(&["mhl", "verify", "two", "-o", "json"])
        .expect_code(0)
        .json();
    assert_eq!(
        (count(&verified, "/generations"), count(&verified, "/files")),
        (2, 2)
    );
    // Altered since it was recorded: the copy is faithful, and the history says that it is a copy of the wrong thing.
    scratch.write("two/a.mov", "PICTURE");
    scratch.write(
        "third.yaml",
        job.replace("FROM", "two").replace("TO", "three"),
    );
    scratch.run(&["run", "third.yaml"]).expect_code(3);
    scratch.run(&["mhl", "verify", "three"]).expect_code(1);
}
