//! A Prometheus of a test's own: it scrapes what the test starts, with the rules that the project ships.
use crate::process::{Running, get, wait_until};
use crate::ran::Ran;
use crate::redis::free_port;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Labels and value of one answer.
pub type Sample = (BTreeMap<String, String>, f64);

/// Where the shipped rules lie.
pub fn shipped(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../ops/prometheus")
        .join(file)
}

/// Whether both programs are there; says so when they are not.
pub fn is_installed() -> bool {
    let runs = |program: &str| {
        let mut command = Command::new(program);
        command
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let there = runs("prometheus") && runs("promtool");
    if !there {
        println!("SKIP: prometheus and promtool are not installed: ops/setup.sh test");
    }
    there
}

/// Runs promtool.
///
/// # Panics
/// When it is not installed.
pub fn promtool(args: &[&str]) -> Ran {
    let mut command = Command::new("promtool");
    command.args(args);
    Ran::of(command)
}

/// Lets promtool judge what a process exports.
///
/// # Panics
/// When promtool finds anything to say.
#[track_caller]
pub fn assert_wellformed(exposition: &str) {
    let mut command = Command::new("promtool");
    command
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool starts");
    let mut stdin = child.stdin.take().expect("its stdin is a pipe");
    stdin
        .write_all(exposition.as_bytes())
        .expect("promtool reads");
    drop(stdin);
    let said = child.wait_with_output().expect("promtool ends");
    let words = [said.stdout, said.stderr].concat();
    assert!(
        said.status.success() && words.is_empty(),
        "promtool: {}",
        String::from_utf8_lossy(&words)
    );
}

/// A running server.
pub struct Prometheus {
    _running: Running,
    address: String,
}

impl Prometheus {
    /// Starts one below `dir` that scrapes these targets, addresses by job, every second.
    ///
    /// # Panics
    /// When it does not serve.
    pub fn start(dir: &Path, targets: &[(&str, &[&str])]) -> Prometheus {
        let mut config = String::from(
            "global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }\n",
        );
        let rules = shipped("alerts.yml")
            .canonicalize()
            .expect("the rules are shipped");
        writeln!(config, "rule_files: [{rules:?}]\nscrape_configs:")
            .expect("writing to memory cannot fail");
        for (job, addresses) in targets {
            writeln!(
                config,
                "  - job_name: {job}\n    static_configs: [{{ targets: {addresses:?} }}]"
            )
            .expect("writing to memory cannot fail");
        }
        let file = dir.join("prometheus.yml");
        std::fs::write(&file, config).expect("a scratch file can be written");
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!(
            "--storage.tsdb.path={}",
            dir.join("prometheus").display()
        ));
        command.arg(format!("--web.listen-address={address}"));
        let mut running = Running::start(command, dir);
        wait_until("prometheus is ready", || {
            assert!(
                !running.has_ended(),
                "prometheus ended: {}",
                running.stderr()
            );
            std::net::TcpStream::connect(&address).is_ok() && get(&address, "/-/ready").0 == 200
        });
        Prometheus {
            _running: running,
            address,
        }
    }

    /// What its HTTP API answers.
    ///
    /// # Panics
    /// When it refuses.
    #[track_caller]
    pub fn api(&self, path: &str) -> Value {
        let (_, body) = get(&self.address, &format!("/api/v1/{path}"));
        let answer: Value = serde_json::from_str(&body).expect("Prometheus answers in JSON");
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].clone()
    }

    /// The samples that an expression has now.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn query(&self, expression: &str) -> Vec<Sample> {
        let data = self.api(&format!("query?query={}", escaped(expression)));
        let result = data["result"].as_array().cloned().unwrap_or_default();
        let labels = |metric: &Value| {
            let labels = metric.as_object().into_iter().flatten();
            labels
                .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect()
        };
        let value = |sample: &Value| {
            sample["value"][1]
                .as_str()
                .and_then(|text| text.parse().ok())
        };
        result
            .iter()
            .map(|sample| (labels(&sample["metric"]), value(sample).unwrap_or(f64::NAN)))
            .collect()
    }

    /// The one number that an expression has now; none when it has no series.
    ///
    /// # Panics
    /// When it has several.
    #[track_caller]
    pub fn number(&self, expression: &str) -> Option<f64> {
        let samples = self.query(expression);
        assert!(
            samples.len() < 2,
            "{expression} has several values: {samples:?}"
        );
        samples.first().map(|(_, value)| *value)
    }

    /// Waits until an expression has this value: it is scraped once a second.
    #[track_caller]
    pub fn wait_for(&self, expression: &str, value: f64) {
        let mut last = None;
        let look = || {
            last = self.number(expression);
            last == Some(value)
        };
        let patient = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until(expression, look)
        }));
        assert!(
            patient.is_ok(),
            "{expression} is {last:?}, {value} was expected"
        );
    }
}

fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to memory cannot fail");
        }
        out
    })
}
