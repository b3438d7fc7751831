//! A `showrunner` in the background, in a process group of its own: signals reach its children too, and nothing of it
//! outlives the test.
use crate::canary;
use crate::ran::Ran;
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Limit of each wait, for a machine that runs many other tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// Shortest pause between two checks of a condition.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// Longest pause between two checks of a condition.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// A command in the background.
pub struct Running {
    child: Child,
    line: String,
    stdout: PathBuf,
    stderr: PathBuf,
    /// The same files, which may be gone with their directory when the process is dropped.
    printed: [File; 2],
}

impl Running {
    /// Starts a command; what it prints goes to files in `dir`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(mut command: Command, dir: &Path) -> Running {
        let mark = format!("{:08x}", fastrand::u32(..));
        let (stdout, stderr) = (
            dir.join(format!("{mark}.stdout")),
            dir.join(format!("{mark}.stderr")),
        );
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        let printed = [&stdout, &stderr]
            .map(|path| options.open(path).expect("a scratch file can be written"));
        let copy = |file: &File| file.try_clone().expect("a file can be shared");
        command
            .stdin(Stdio::null())
            .stdout(copy(&printed[0]))
            .stderr(copy(&printed[1]))
            .process_group(0);
        let line = format!("{command:?}");
        let child = command.spawn().expect("a command that exists starts");
        Running {
            child,
            line,
            stdout,
            stderr,
            printed,
        }
    }

    /// Sends a signal to it and to everything it started. Nothing happens when it has ended.
    pub fn signal(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended already.
            kill_process_group(group, signal).unwrap_or_default();
        }
    }

    /// Process id of the command itself.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    ///
    /// # Panics
    /// When the system does not know it.
    pub fn has_ended(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be asked")
            .is_some()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait(mut self) -> Ran {
        wait_until(&format!("{} ends", self.line), || self.has_ended());
        let status = self.child.wait().expect("a child can be waited for");
        Ran {
            line: self.line.clone(),
            code: exit_code(status),
            stdout: read(&self.stdout),
            stderr: self.stderr(),
        }
    }

    /// Text on stdout so far.
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// Text on stderr so far, in whole lines: stderr has no buffer, so a line arrives in pieces.
    pub fn stderr(&self) -> String {
        let mut said = read(&self.stderr);
        said.truncate(said.rfind('\n').map_or(0, |end| end + 1));
        said
    }

    /// The name that a worker prints when it starts.
    ///
    /// # Panics
    /// When it has printed none.
    pub fn worker_name(&self) -> String {
        let printed = self.stderr();
        let line = printed
            .lines()
            .find_map(|line| line.strip_prefix("worker "));
        line.expect("a worker prints its name").trim().to_owned()
    }

    /// Waits until this worker runs so many units at once, by the notes of all workers (`SHOWRUNNER_REHEARSAL_LOG`): a
    /// worker that has printed its name has not joined yet, and the others may do everything before it does.
    ///
    /// # Panics
    /// When it does not come to that.
    #[track_caller]
    pub fn wait_for_units(&self, notes: &Path, units: usize) {
        let name = self.worker_name();
        let (start, end) = (format!(" {name} start "), format!(" {name} end "));
        wait_until(&format!("{name} runs {units} units"), || {
            let notes = std::fs::read_to_string(notes).unwrap_or_default();
            notes.matches(&start).count() >= notes.matches(&end).count() + units
        });
    }

    /// The address that an `up` or a coordinator prints when it serves.
    ///
    /// # Panics
    /// When it ends or prints none.
    pub fn address(&mut self) -> String {
        let mut found = None;
        wait_until("the address is printed", || {
            assert!(!self.has_ended(), "it ended instead: {}", self.stderr());
            let said = self.stderr();
            let address = said
                .split_once("http://")
                .and_then(|(_, rest)| rest.split_once('\n'));
            found = address.map(|(address, _)| address.trim().to_owned());
            found.is_some()
        });
        found.unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        drop(self.child.wait());
        for file in &mut self.printed {
            let mut bytes = Vec::new();
            if file
                .rewind()
                .and_then(|()| file.read_to_end(&mut bytes))
                .is_ok()
            {
                canary::assert_absent("a process", &String::from_utf8_lossy(&bytes));
            }
        }
    }
}

/// Whether `SHOWRUNNER_PROMISES` declares that nothing else runs on this machine, so that times can be asserted.
pub fn times_are_asserted() -> bool {
    std::env::var_os("SHOWRUNNER_PROMISES").is_some()
}

/// Prints a time beside its promised limit, `LATE` when it was missed. A machine that runs other tests proves no time, so a
/// late one fails only where [`times_are_asserted`].
///
/// # Panics
/// When it was late there.
#[track_caller]
pub fn promised(what: &str, took: Duration, within: Duration) {
    let late = took > within;
    println!(
        "{what}: {took:.1?}, promised within {within:?}{}",
        if late { ": LATE" } else { "" }
    );
    assert!(
        !(late && times_are_asserted()),
        "{what} took {took:?}, promised within {within:?}"
    );
}

/// The pause before the next check. A check that starts a process takes a core for as long as it runs, which the processes
/// under test need: such checks pause for longer, and so do those of long waits.
fn pause(check: Duration, waited: Duration) -> Duration {
    (3 * check).max(waited / 40).clamp(PAUSE_MIN, PAUSE_MAX)
}

/// Checks a condition until it holds.
///
/// # Panics
/// When it does not hold within [`PATIENCE`].
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    loop {
        let check = Instant::now();
        if is_so() {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(pause(check.elapsed(), started.elapsed()));
    }
}

/// Checks a condition until it holds, however long that takes: the limit applies to the time without `progress`.
///
/// # Panics
/// When it does not hold and `progress` has been the same for [`PATIENCE`].
#[track_caller]
pub fn wait_while_it_moves(
    what: &str,
    mut is_so: impl FnMut() -> bool,
    mut progress: impl FnMut() -> u64,
) {
    let (mut last, mut since) = (progress(), Instant::now());
    loop {
        let check = Instant::now();
        if is_so() {
            return;
        }
        let now = progress();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        assert!(
            since.elapsed() < PATIENCE,
            "waited in vain until {what}: nothing changes any more at {last}"
        );
        std::thread::sleep(pause(check.elapsed(), Duration::ZERO));
    }
}

/// Fetches a page: status and body.
///
/// # Panics
/// When the address does not answer in HTTP.
pub fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("a printed address can be reached");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a timeout above zero is allowed");
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")
        .expect("a request can be sent");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("an answer is UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    canary::assert_absent(path, &answer);
    (status.expect("an answer has a status"), body.to_owned())
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("what it printed is UTF-8")
}

/// The exit code as a shell would show it, but a signal as its negative number.
fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status
        .code()
        .unwrap_or_else(|| -status.signal().unwrap_or(0))
}
