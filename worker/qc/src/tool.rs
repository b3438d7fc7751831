//! Runs ffprobe and ffmpeg so that none of them outlives its unit, floods memory or waits for input.
use super::media::Media;
use protocol::failure::Failure;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use std::path::Path;
use std::process::Stdio;
use std::sync::{LazyLock, mpsc};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

/// Niceness of outside programs: decoding fills every core, and leases must still be renewed at the same time.
const NICE: i32 = 10;
/// Longest line kept of a log; the rest of a longer one is dropped.
const LINE_BYTES_MAX: usize = 4096;
/// Largest file a program may write. Two hours of measurements are a few megabytes.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Address space a program may take. The largest picture that is decoded needs a fraction of it; a trap needs more.
const MEMORY_BYTES_MAX: u64 = 8 << 30;

/// How a program ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// What it printed, cut at the limit that was given.
    pub(super) stdout: Vec<u8>,
    /// Why it did not end well, if so.
    pub(super) trouble: Option<String>,
}

/// One run of a program.
pub(super) struct Run<'a> {
    pub(super) program: &'a str,
    pub(super) arguments: Vec<String>,
    /// Where it writes; what it takes for the user's home, too.
    pub(super) directory: Option<&'a Path>,
    /// The file it reads, as its standard input.
    pub(super) media: Option<&'a Media>,
    /// Bytes of standard output kept; the program is killed when it prints more.
    pub(super) stdout_max: usize,
    pub(super) timeout: Duration,
}

/// Kills the whole process group unless it was reaped: also when the future that waits for it is dropped.
struct Group(Option<Pid>);

impl Group {
    fn kill(&self) {
        if let Some(pid) = self.0 {
            // It may have ended by itself a moment ago: that is what was wanted.
            rustix::process::kill_process_group(pid, Signal::KILL).ok();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Run<'_> {
    /// Runs to the end, handing every line of standard error to `line`. An error means the program could not be started
    /// or the unit was cancelled; a program that failed, hung or was killed is `trouble`.
    pub(super) async fn finish(
        self,
        cancel: &CancellationToken,
        line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Ended, Failure> {
        let mut child = self.spawn().await?;
        let pid = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        let mut group = Group(pid);
        calm(pid);
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(Failure::transient(
                "tool_failed",
                format!("{}: no pipes", self.program),
            ));
        };
        let work = async {
            let output = async {
                let bytes = read_bounded(stdout, self.stdout_max).await;
                if bytes.len() > self.stdout_max {
                    group.kill();
                }
                bytes
            };
            let (stdout, ()) = tokio::join!(output, each_line(stderr, line));
            (stdout, child.wait().await)
        };
        let (mut stdout, status) = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(cancelled()),
            ended = tokio::time::timeout(self.timeout, work) => match ended {
                Ok(ended) => ended,
                Err(_) => {
                    let trouble = format!("{} did not end within {} s and was stopped", self.program, self.timeout.as_secs());
                    return Ok(Ended { stdout: Vec::new(), trouble: Some(trouble) });
                }
            },
        };
        group.0 = None;
        let flooded = stdout.len() > self.stdout_max;
        stdout.truncate(self.stdout_max);
        let trouble = match status {
            _ if flooded => Some(format!(
                "{} printed more than {} bytes",
                self.program, self.stdout_max
            )),
            Ok(status) if status.success() => None,
            Ok(status) => Some(format!("{} ended with {status}", self.program)),
            Err(error) => Some(format!("{}: {error}", self.program)),
        };
        Ok(Ended { stdout, trouble })
    }

    async fn spawn(&self) -> Result<Child, Failure> {
        let stdin = match self.media.map(Media::stdin) {
            Some(file) => file.map_err(|error| {
                Failure::transient(
                    "tool_failed",
                    format!("{} could not be started: {error}", self.program),
                )
            })?,
            None => Stdio::null(),
        };
        let mut command = guarded(self.program);
        command
            .args(&self.arguments)
            // A program that reads hostile media gets none of the worker's secrets.
            .env_clear()
            .envs(
                ENVIRONMENT
                    .iter()
                    .filter_map(|name| Some((name, std::env::var_os(name)?))),
            )
            // The log is parsed: it must not depend on who started the worker.
            .env("LC_ALL", "C")
            .env("AV_LOG_FORCE_NOCOLOR", "1")
            // MediaConch keeps a database in the home directory.
            .env("HOME", self.directory.unwrap_or(Path::new("/")))
            .current_dir(self.directory.unwrap_or(Path::new("/")))
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        launch(command).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => Failure::permanent(
                "tool_missing",
                format!(
                    "{} cannot be run ({error}): install ffmpeg or set its path; `showrunner doctor` checks it",
                    self.program
                ),
            ),
            _ => Failure::transient("tool_failed", format!("{} could not be started: {error}", self.program)),
        })
    }
}

/// Variables that a program is started with: where it and its libraries are found, and where it may write.
const ENVIRONMENT: [&str; 3] = ["PATH", "LD_LIBRARY_PATH", "TMPDIR"];

/// A media program that is started without measuring media. It gets none of the secrets of this process either.
pub fn bare_command(program: &str) -> std::process::Command {
    let mut command = std::process::Command::new(program);
    command.env_clear().envs(
        ENVIRONMENT
            .iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?))),
    );
    command
}

/// The program behind those that set its limits and its fate before it runs, where the machine has them. What is not there is
/// started alone, so that the system reports the error.
fn guarded(program: &str) -> Command {
    let mut words = Vec::new();
    if runnable(program) {
        if *LIMITS {
            let limits = [
                ("fsize", FILE_BYTES_MAX),
                ("as", MEMORY_BYTES_MAX),
                ("core", 0),
            ];
            words.push("prlimit".to_owned());
            words.extend(limits.map(|(limit, value)| format!("--{limit}={value}")));
            words.push("--".to_owned());
        }
        if *GUARD {
            words.extend(["setpriv", "--pdeathsig", "KILL", "--"].map(str::to_owned));
        }
    }
    words.push(program.to_owned());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

/// Whether the machine has the program that bounds ours before it starts. Without it, ours is bounded a moment later.
static LIMITS: LazyLock<bool> = LazyLock::new(|| cfg!(target_os = "linux") && runnable("prlimit"));

/// Whether the machine has the program that makes the kernel kill ours when this process is killed and can no longer do so.
static GUARD: LazyLock<bool> = LazyLock::new(|| cfg!(target_os = "linux") && runnable("setpriv"));

/// Whether a program is there to be run.
fn runnable(program: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let executable = |path: &Path| {
        std::fs::metadata(path)
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return executable(Path::new(program));
    }
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .any(|folder| executable(&folder.join(program)))
}

/// A start waiting for the launcher.
type Start = Box<dyn FnOnce() + Send>;

/// The thread that starts programs. The kernel takes the end of the *thread* that started a program for the end of its
/// parent, and threads of a runtime come and go: this one stays.
static LAUNCHER: LazyLock<mpsc::Sender<Start>> = LazyLock::new(|| {
    let (send, receive) = mpsc::channel::<Start>();
    let launching = std::thread::Builder::new()
        .name("launcher".to_owned())
        .spawn(move || {
            for start in receive {
                start();
            }
        });
    // Without it, the caller starts the program itself: see below.
    drop(launching);
    send
});

async fn launch(mut command: Command) -> std::io::Result<Child> {
    let runtime = tokio::runtime::Handle::current();
    let (answer, started) = tokio::sync::oneshot::channel();
    let start: Start = Box::new(move || {
        let _inside = runtime.enter();
        // The receiver is gone: the child is dropped here, which kills it.
        answer.send(command.spawn()).ok();
    });
    if let Err(mpsc::SendError(start)) = LAUNCHER.send(start) {
        start();
    }
    started
        .await
        .unwrap_or_else(|_| Err(std::io::Error::other("the launching thread stopped")))
}

/// The failure of an inspection whose unit was revoked.
pub(super) fn cancelled() -> Failure {
    Failure::transient("cancelled", "stopped because the unit was revoked")
}

/// Lowers the program's priority and bounds what it writes and how much memory it takes. Threads it starts later inherit both.
fn calm(pid: Option<Pid>) {
    if pid.is_some() {
        // A program that has already ended needs neither.
        rustix::process::setpriority_process(pid, NICE).ok();
        let limit = Rlimit {
            current: Some(FILE_BYTES_MAX),
            maximum: Some(FILE_BYTES_MAX),
        };
        rustix::process::prlimit(pid, Resource::Fsize, limit).ok();
        let limit = Rlimit {
            current: Some(MEMORY_BYTES_MAX),
            maximum: Some(MEMORY_BYTES_MAX),
        };
        rustix::process::prlimit(pid, Resource::As, limit).ok();
    }
}

/// Reads up to one byte more than `max`, so that the caller sees that there was more.
async fn read_bounded(reader: impl AsyncRead + Unpin, max: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A broken pipe ends the output like its end does; the exit status tells the two apart.
    reader
        .take(max as u64 + 1)
        .read_to_end(&mut bytes)
        .await
        .ok();
    bytes
}

/// Hands over each line, cut at [`LINE_BYTES_MAX`]; a carriage return ends a line, too.
async fn each_line(reader: impl AsyncRead + Unpin, line: &mut (dyn FnMut(&str) + Send)) {
    let mut reader = BufReader::new(reader);
    let mut held: Vec<u8> = Vec::new();
    loop {
        let chunk = match reader.fill_buf().await {
            Ok(chunk) if !chunk.is_empty() => chunk,
            _ => break,
        };
        for &byte in chunk {
            if byte == b'\n' || byte == b'\r' {
                line(&String::from_utf8_lossy(&held));
                held.clear();
            } else if held.len() < LINE_BYTES_MAX {
                held.push(byte);
            }
        }
        let read = chunk.len();
        reader.consume(read);
    }
    if !held.is_empty() {
        line(&String::from_utf8_lossy(&held));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn shell(script: &str, timeout: Duration) -> Run<'static> {
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        Run {
            program: "sh",
            arguments,
            directory: None,
            media: None,
            stdout_max: 1000,
            timeout,
        }
    }

    fn alive(pid: &str) -> bool {
        // A killed process whose parent has not reaped it is dead: state Z.
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z "))
    }

    async fn gone(pid: &str) -> bool {
        for _ in 0..200 {
            if !alive(pid) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    /// A script whose grandchild would outlive a kill of the child alone; its pid comes as the first line.
    const FAMILY: &str = "sleep 60 & echo $! >&2; wait";

    #[tokio::test]
    async fn a_hanging_program_and_its_children_are_stopped_in_time() {
        let mut pid = String::new();
        let started = Instant::now();
        let run = shell(FAMILY, Duration::from_millis(300));
        let ended = run
            .finish(&CancellationToken::new(), &mut |line| pid = line.to_owned())
            .await
            .expect("ran");
        assert!(ended.trouble.expect("trouble").contains("did not end"));
        assert!(started.elapsed() < Duration::from_secs(10));
        assert!(gone(&pid).await, "{pid} lives");
    }

    #[tokio::test]
    async fn cancelling_stops_the_whole_group() {
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        let mut pid = String::new();
        let mut line = |text: &str| {
            pid = text.to_owned();
            stop.cancel();
        };
        let failure = shell(FAMILY, Duration::from_secs(60))
            .finish(&cancel, &mut line)
            .await
            .expect_err("cancelled");
        assert_eq!(failure.reason, "cancelled");
        assert!(gone(&pid).await, "{pid} lives");
    }

    #[tokio::test]
    async fn dropping_the_future_stops_the_whole_group() {
        let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
        let waiting = tokio::spawn(async move {
            let mut line = |text: &str| send.send(text.to_owned()).expect("received");
            shell(FAMILY, Duration::from_secs(60))
                .finish(&CancellationToken::new(), &mut line)
                .await
                .map(drop)
        });
        let pid = receive.recv().await.expect("a pid");
        waiting.abort();
        assert!(gone(&pid).await, "{pid} lives");
    }

    /// Run by the test below in a process of its own, which is then killed.
    #[tokio::test]
    #[ignore = "run by the test below"]
    async fn holds_a_program() {
        let mut line = |text: &str| println!("\npid {text}");
        let run = shell("echo $$ >&2; exec sleep 60", Duration::from_secs(60));
        run.finish(&CancellationToken::new(), &mut line)
            .await
            .expect("ran");
    }

    #[tokio::test]
    async fn a_program_dies_with_a_worker_that_is_killed() {
        use std::io::BufRead;
        let mut worker = std::process::Command::new(std::env::current_exe().expect("there"))
            .args([
                "--exact",
                "tool::tests::holds_a_program",
                "--ignored",
                "--nocapture",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .expect("runs");
        let output = std::io::BufReader::new(worker.stdout.take().expect("piped"));
        let pid = output
            .lines()
            .map_while(Result::ok)
            .find_map(|line| Some(line.strip_prefix("pid ")?.to_owned()));
        let pid = pid.expect("a pid");
        assert!(alive(&pid));
        worker.kill().expect("killed");
        worker.wait().expect("reaped");
        assert!(gone(&pid).await, "{pid} lives");
    }

    #[tokio::test]
    async fn a_missing_program_names_the_doctor() {
        let run = Run {
            program: "no-such-ffmpeg",
            ..shell("", Duration::from_secs(1))
        };
        let failure = run
            .finish(&CancellationToken::new(), &mut |_| ())
            .await
            .expect_err("missing");
        assert_eq!(failure.reason, "tool_missing");
        assert!(
            !failure.class.retryable() && failure.message.contains("showrunner doctor"),
            "{failure:?}"
        );
    }

    #[tokio::test]
    async fn program_gets_no_variable_of_the_worker() {
        // Cargo's variables represent the secrets of a worker: every test process has them.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        let run = shell("env", Duration::from_secs(20));
        let ended = run
            .finish(&CancellationToken::new(), &mut |_| ())
            .await
            .expect("ran");
        let text = String::from_utf8_lossy(&ended.stdout).into_owned();
        let names: Vec<&str> = text
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.0))
            .collect();
        let known = [
            &ENVIRONMENT[..],
            &[
                "LC_ALL",
                "AV_LOG_FORCE_NOCOLOR",
                "HOME",
                "PWD",
                "SHLVL",
                "_",
                "OLDPWD",
            ],
        ]
        .concat();
        assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
    }

    #[tokio::test]
    async fn limits_hold_before_the_program_runs() {
        let run = shell("ulimit -c; ulimit -f; ulimit -v", Duration::from_secs(20));
        let ended = run
            .finish(&CancellationToken::new(), &mut |_| ())
            .await
            .expect("ran");
        let text = String::from_utf8_lossy(&ended.stdout).into_owned();
        let limits: Vec<u64> = text.lines().filter_map(|line| line.parse().ok()).collect();
        assert_eq!(
            limits,
            [0, FILE_BYTES_MAX / 512, MEMORY_BYTES_MAX / 1024],
            "{text}"
        );
    }

    #[tokio::test]
    async fn output_is_bounded() {
        let run = shell("yes", Duration::from_secs(20));
        let ended = run
            .finish(&CancellationToken::new(), &mut |_| ())
            .await
            .expect("ran");
        assert_eq!(ended.stdout.len(), 1000);
        assert!(ended.trouble.is_some());
        let mut longest = 0;
        let run = shell(
            "head -c 100000 /dev/zero >&2; echo >&2",
            Duration::from_secs(20),
        );
        run.finish(&CancellationToken::new(), &mut |line| {
            longest = longest.max(line.len())
        })
        .await
        .expect("ran");
        assert_eq!(longest, LINE_BYTES_MAX);
    }
}
