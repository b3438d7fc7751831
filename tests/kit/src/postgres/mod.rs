//! A real PostgreSQL server for a test: its own files in a temporary directory, its own port on the loopback, gone with
//! the value.
mod session;
mod template;

use crate::redis::Environment;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, getuid, kill_process};
use session::Session;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Role that owns the databases; it has no password.
const ROLE: &str = "showrunner";
/// The server refuses to run as root, so root starts it as this user.
const SYSTEM_USER: &str = "postgres";
/// Limit of a start, recovery after a kill included.
const START_MAX: Duration = Duration::from_secs(60);

/// A server with its data directory; it ends with the value.
pub struct PostgresServer {
    dir: TempDir,
    binaries: PathBuf,
    port: u16,
    server: Option<Child>,
    settings: Vec<String>,
    environment: Environment,
    /// Open connections for questions that are repeated, by the name of their database.
    sessions: Mutex<BTreeMap<String, Session>>,
}

impl PostgresServer {
    /// Makes a data directory and starts a server on it, with fsync as in production. Panics when PostgreSQL is not
    /// installed.
    pub fn start() -> PostgresServer {
        PostgresServer::start_with(&[])
    }

    /// The same with settings (`name=value`) of its own.
    pub fn start_with(settings: &[&str]) -> PostgresServer {
        PostgresServer::start_under(settings, Environment::new())
    }

    /// The same with an environment of its own.
    pub fn start_under(settings: &[&str], environment: Environment) -> PostgresServer {
        let binaries = binaries().expect("PostgreSQL is not installed: run ops/setup.sh");
        let dir = tempfile::tempdir().expect("makes a directory");
        if getuid().is_root() {
            // Directories on the way to it may be root's alone.
            std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755))
                .expect("opens it");
            let (user, group) = (id_of("-u"), id_of("-g"));
            chown(dir.path(), Some(user), Some(group)).expect("root may give a directory away");
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("finds a free port")
            .port();
        let mut server = PostgresServer {
            dir,
            binaries,
            port,
            server: None,
            settings: settings.iter().map(|s| (*s).to_owned()).collect(),
            environment,
            sessions: Mutex::default(),
        };
        server.make_files();
        server.restart();
        server
    }

    /// Fills the data directory from the template, or makes both.
    fn make_files(&self) {
        if template::restore(&self.binaries, &self.files()) {
            return;
        }
        // A copy that failed may have left some files.
        std::fs::remove_dir_all(self.files()).ok();
        let made = self
            .command("initdb")
            .arg("-D")
            .arg(self.files())
            .args([
                "-U",
                ROLE,
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ])
            .output()
            .expect("initdb runs");
        assert!(
            made.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        template::keep(&self.binaries, &self.files());
    }

    /// URL of the database every server has.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// URL of a database.
    pub fn url_of(&self, database: &str) -> String {
        format!(
            "postgres://{ROLE}@127.0.0.1:{}/{database}?sslmode=disable",
            self.port
        )
    }

    /// The server's first process; 0 while it is stopped.
    pub fn pid(&self) -> u32 {
        self.server.as_ref().map_or(0, Child::id)
    }

    /// Its TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes an empty database; returns its URL.
    pub fn create_database(&self, name: &str) -> String {
        let made = Command::new(self.binaries.join("createdb"))
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-U",
                ROLE,
                name,
            ])
            .output()
            .expect("createdb runs");
        assert!(
            made.status.success(),
            "createdb: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        self.url_of(name)
    }

    /// Starts a session that runs these statements and stays open until the value is dropped.
    pub fn hold(&self, database: &str, statements: &str) -> Held {
        let mut psql = Command::new(self.binaries.join("psql"));
        psql.args([
            "-h",
            "127.0.0.1",
            "-p",
            &self.port.to_string(),
            "-U",
            ROLE,
            "-d",
            database,
            "-XAtq",
        ]);
        let mut session = psql
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("psql runs");
        let input = session.stdin.as_mut().expect("it was asked for");
        std::io::Write::write_all(input, format!("{statements};\n").as_bytes())
            .expect("psql reads");
        Held(session)
    }

    /// The same as [`PostgresServer::sql`], or nothing while the server does not answer.
    pub fn ask(&self, database: &str, statement: &str) -> Option<String> {
        let asked = Command::new(self.binaries.join("psql"))
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-U",
                ROLE,
                "-d",
                database,
                "-XAtc",
                statement,
            ])
            .env("PGCONNECT_TIMEOUT", "2")
            .output()
            .expect("psql runs");
        asked
            .status
            .success()
            .then(|| String::from_utf8_lossy(&asked.stdout).trim_end().to_owned())
    }

    /// Asks the same server again and again, over a connection that stays open: the first row, or nothing while the server
    /// does not answer. A statement may be sent twice, so it must only read.
    pub fn poll(&self, database: &str, query: &str) -> Option<String> {
        let mut sessions = self.sessions.lock();
        let session = sessions
            .entry(database.to_owned())
            .or_insert_with(|| Session::start(self.url_of(database)));
        session.ask(query)
    }

    /// Runs one statement as an operator would; returns what psql prints, unaligned.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        self.sql_with(database, statement, "")
    }

    /// The same with hash joins over index scans only: with missing or stale statistics the server may plan a scan of a
    /// whole table for each row of another, which takes hours over a million rows.
    pub fn sql_by_hash(&self, database: &str, statement: &str) -> String {
        let off = ["seqscan", "bitmapscan", "nestloop", "mergejoin"]
            .map(|path| format!("-c enable_{path}=off"));
        self.sql_with(database, statement, &off.join(" "))
    }

    fn sql_with(&self, database: &str, statement: &str, options: &str) -> String {
        let ran = Command::new(self.binaries.join("psql"))
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-U",
                ROLE,
                "-d",
                database,
                "-XAtc",
                statement,
            ])
            .env("PGOPTIONS", options)
            .output()
            .expect("psql runs");
        assert!(
            ran.status.success(),
            "{statement}: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
        String::from_utf8_lossy(&ran.stdout).trim_end().to_owned()
    }

    /// Kills the server's processes as a crash would: nothing is flushed and no client is notified.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            let sessions = children_of(server.id());
            server.kill().expect("our own child");
            for pid in sessions {
                // One that has noticed already is gone.
                Pid::from_raw(pid).and_then(|pid| kill_process(pid, Signal::KILL).ok());
            }
            server.wait().expect("our own child");
        }
    }

    /// Shuts the server down at once, ending every session: `pg_ctl stop -m fast`.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            signal(&server, Signal::INT);
            server.wait().expect("our own child");
        }
    }

    /// Shuts the server down without a checkpoint, as `pg_ctl stop -m immediate` does: it recovers when it starts again.
    pub fn stop_immediate(&mut self) {
        if let Some(mut server) = self.server.take() {
            signal(&server, Signal::QUIT);
            server.wait().expect("our own child");
        }
    }

    /// Stops every session and the server's first process where they are, or lets them go on.
    pub fn freeze(&self, frozen: bool) {
        let first = self.server.as_ref().expect("it runs");
        let what = if frozen { Signal::STOP } else { Signal::CONT };
        for pid in children_of(first.id()) {
            Pid::from_raw(pid).and_then(|pid| kill_process(pid, what).ok());
        }
        signal(first, what);
    }

    /// Starts the server again on the same files and port and waits until it takes connections.
    pub fn restart(&mut self) {
        let deadline = Instant::now() + START_MAX;
        while !self.try_start(deadline) {
            // After a kill its last processes may hold the shared memory for a moment.
            assert!(
                Instant::now() < deadline,
                "PostgreSQL does not start: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Whether it takes connections; `false` when it ended instead.
    fn try_start(&mut self, deadline: Instant) -> bool {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"));
        let log = log.expect("opens the log");
        let mut server = self
            .command("postgres")
            .arg("-D")
            .arg(self.files())
            .arg("-k")
            .arg(self.dir.path())
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args([
                "-c",
                "fsync=on",
                "-c",
                "shared_buffers=128MB",
                "-c",
                "max_wal_size=1GB",
            ])
            .args(self.settings.iter().flat_map(|setting| ["-c", setting]))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("postgres runs");
        let pid_file = self.files().join("postmaster.pid");
        while Instant::now() < deadline {
            if server.try_wait().expect("our own child").is_some() {
                return false;
            }
            let state = std::fs::read_to_string(&pid_file).unwrap_or_default();
            let own = state.lines().next().and_then(|line| line.parse().ok()) == Some(server.id());
            if own
                && state
                    .lines()
                    .nth(7)
                    .is_some_and(|line| line.trim() == "ready")
            {
                self.server = Some(server);
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(server.kill());
        drop(server.wait());
        false
    }

    /// Asks every role but the owner for its password from now on.
    pub fn ask_for_passwords(&self) {
        let rules = format!(
            "host all {ROLE} 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        );
        // Its owner stays as it is.
        std::fs::write(self.files().join("pg_hba.conf"), rules).expect("writes");
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// Accepts connections from a network without a password, as from the loopback.
    pub fn trust(&self, network: &str) {
        let rules = self.files().join("pg_hba.conf");
        let text = std::fs::read_to_string(&rules).expect("initdb has written it");
        std::fs::write(rules, format!("{text}host all all {network} trust\n")).expect("writes");
        self.sql("postgres", "SELECT pg_reload_conf()");
    }

    /// Lets sessions be encrypted with this certificate and its key.
    pub fn encrypt(&self, certificate: &str, key: &str) {
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = self.files().join(name);
            std::fs::write(&path, text).expect("writes");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("closes it");
            if getuid().is_root() {
                chown(&path, Some(id_of("-u")), Some(id_of("-g")))
                    .expect("root may give a file away");
            }
        }
        self.sql("postgres", "ALTER SYSTEM SET ssl = on");
        self.sql("postgres", "SELECT pg_reload_conf()");
        let deadline = Instant::now() + START_MAX;
        while self.sql("postgres", "SHOW ssl") != "on" {
            assert!(Instant::now() < deadline, "no encryption: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Makes a directory that belongs to the server's user.
    pub fn give(&self, dir: &Path) {
        std::fs::create_dir_all(dir).expect("makes a directory");
        // Directories on the way to it may be root's alone.
        for above in dir
            .ancestors()
            .skip(1)
            .take_while(|above| above.starts_with(std::env::temp_dir()))
        {
            if *above != std::env::temp_dir() {
                std::fs::set_permissions(above, PermissionsExt::from_mode(0o755))
                    .expect("opens it");
            }
        }
        if getuid().is_root() {
            chown(dir, Some(id_of("-u")), Some(id_of("-g")))
                .expect("root may give a directory away");
        }
    }

    /// The log of the server.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn files(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn command(&self, name: &str) -> Command {
        let binary = self.binaries.join(name);
        // Its variables are the server's alone, not those of the program that changes the user.
        let pairs = self
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let mut command = if getuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args([
                "--reuid",
                SYSTEM_USER,
                "--regid",
                SYSTEM_USER,
                "--clear-groups",
                "--",
                "env",
            ]);
            command
        } else {
            Command::new("env")
        };
        command.args(pairs).arg(binary);
        // The directory of the test may be closed to the server's user.
        command.current_dir(self.dir.path());
        command
    }
}

/// An open session with its transaction and locks.
pub struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        // It may have ended with its server.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // A stopped process takes no other signal.
            signal(&server, Signal::CONT);
            signal(&server, Signal::QUIT);
            drop(server.wait());
        }
    }
}

fn signal(process: &Child, signal: Signal) {
    // An error means that it has ended.
    kill_process(Pid::from_child(process), signal).ok();
}

fn children_of(pid: u32) -> Vec<i32> {
    let listed =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    listed
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

fn id_of(which: &str) -> u32 {
    let asked = Command::new("id")
        .args([which, SYSTEM_USER])
        .output()
        .expect("id runs");
    let text = String::from_utf8_lossy(&asked.stdout);
    text.trim()
        .parse()
        .expect("the package makes the user: run ops/setup.sh")
}

/// The directory of the server's programs: from PATH, else the newest of those Debian installs beside each other.
fn binaries() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|dir| has_programs(dir));
    on_path.or_else(|| {
        let versions = std::fs::read_dir("/usr/lib/postgresql")
            .ok()?
            .flatten()
            .map(|entry| entry.path().join("bin"));
        let number = |dir: &PathBuf| -> u32 {
            let version = dir
                .parent()
                .and_then(Path::file_name)
                .and_then(|name| name.to_str());
            version.and_then(|name| name.parse().ok()).unwrap_or(0)
        };
        versions.filter(|dir| has_programs(dir)).max_by_key(number)
    })
}

fn has_programs(dir: &Path) -> bool {
    ["postgres", "initdb", "createdb", "psql"]
        .iter()
        .all(|name| dir.join(name).exists())
}
