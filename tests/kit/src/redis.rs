//! Redis servers of a test's own: free loopback ports, own directories, gone with the test. One server, a master with a
//! replica and a Sentinel, or a cluster of three.
use crate::process::{Running, wait_until};
use rustix::process::Signal;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A `redis-server` process; it ends with the value.
pub struct Redis {
    running: Running,
    dir: PathBuf,
    port: u16,
    /// Its arguments, for a restart.
    arguments: Vec<String>,
    environment: Environment,
}

/// Variables of a server's environment.
pub type Environment = Vec<(String, String)>;

/// A port that is free now. Another process may take it before it is used.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a free port")
        .port()
}

fn launch(dir: &Path, port: u16, arguments: &[String], environment: &Environment) -> Running {
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--dir"])
        .arg(dir)
        .args(arguments)
        .envs(environment.iter().cloned());
    let mut running = Running::start(command, dir);
    wait_until("redis-server answers", || {
        assert!(
            !running.has_ended(),
            "redis-server ended: {}",
            running.stdout()
        );
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    running
}

impl Redis {
    /// Starts a server below `dir`, which must exist. It keeps nothing on disk.
    pub fn start(dir: &Path) -> Redis {
        Redis::start_with(dir, &["--save", ""])
    }

    /// Starts a server with options of its own.
    pub fn start_with(dir: &Path, options: &[&str]) -> Redis {
        Redis::start_under(dir, options, Environment::new())
    }

    /// The same with an environment of its own.
    pub fn start_under(dir: &Path, options: &[&str], environment: Environment) -> Redis {
        let port = free_port();
        let mut arguments = vec!["--port".to_owned(), port.to_string()];
        arguments.extend(options.iter().map(|&option| option.to_owned()));
        Redis::launch(dir, port, arguments, environment)
    }

    /// Starts a server that takes nothing but TLS, with this certificate and key.
    pub fn start_encrypted(dir: &Path, certificate: &Path, key: &Path) -> Redis {
        let port = free_port();
        let path = |path: &Path| path.display().to_string();
        let arguments = [
            ["--port".to_owned(), "0".to_owned()],
            ["--tls-port".to_owned(), port.to_string()],
            ["--tls-cert-file".to_owned(), path(certificate)],
            ["--tls-key-file".to_owned(), path(key)],
            ["--tls-ca-cert-file".to_owned(), path(certificate)],
            ["--tls-auth-clients".to_owned(), "optional".to_owned()],
            ["--save".to_owned(), String::new()],
        ];
        Redis::launch(dir, port, arguments.concat(), Environment::new())
    }

    fn launch(dir: &Path, port: u16, arguments: Vec<String>, environment: Environment) -> Redis {
        Redis {
            running: launch(dir, port, &arguments, &environment),
            dir: dir.to_owned(),
            port,
            arguments,
            environment,
        }
    }

    /// Process id of the server.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// URL for clients on this machine.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    /// Kills it and waits for its end.
    pub fn kill(&mut self) {
        self.running.signal(Signal::KILL);
        wait_until("redis-server is dead", || self.running.has_ended());
    }

    /// Starts it again as it was started, on what it left on disk.
    pub fn restart(&mut self) {
        self.running = launch(&self.dir, self.port, &self.arguments, &self.environment);
        wait_until("redis-server has loaded what it had", || {
            self.cli(&["PING"]).contains("PONG")
        });
    }

    /// Runs a command through `redis-cli`; what it printed.
    pub fn cli(&self, args: &[&str]) -> String {
        cli(self.port, args)
    }
}

/// Runs a command on any local server; what it printed.
pub fn cli(port: u16, args: &[&str]) -> String {
    let output = Command::new("redis-cli")
        .args(["-p", &port.to_string()])
        .args(args)
        .output();
    let output = output.expect("redis-cli comes with redis-server: run ops/setup.sh test");
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A master, a replica of it, and a Sentinel that watches both.
pub struct Replicated {
    /// Started as the master.
    pub master: Redis,
    /// Started as its replica.
    pub replica: Redis,
    sentinel: Redis,
}

impl Replicated {
    /// Starts all three below `dir`.
    pub fn start(dir: &Path) -> Replicated {
        let below = |name: &str| {
            let path = dir.join(name);
            std::fs::create_dir_all(&path).expect("a scratch directory can be made");
            path
        };
        let master = Redis::start(&below("master"));
        let of = master.port().to_string();
        let replica = Redis::start_with(
            &below("replica"),
            &["--save", "", "--replicaof", "127.0.0.1", &of],
        );
        wait_until("the replica follows", || {
            replica
                .cli(&["INFO", "replication"])
                .contains("master_link_status:up")
        });
        let (home, port) = (below("sentinel"), free_port());
        let file = home.join("sentinel.conf");
        let conf = format!(
            "port {port}\nsentinel monitor main 127.0.0.1 {of} 1\nsentinel down-after-milliseconds main 1000\n\
             sentinel failover-timeout main 5000\n"
        );
        std::fs::write(&file, conf).expect("a scratch file can be written");
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel").current_dir(&home);
        let running = Running::start(command, &home);
        wait_until("the Sentinel knows the replica", || {
            cli(port, &["SENTINEL", "REPLICAS", "main"]).contains(&replica.port().to_string())
        });
        let (arguments, environment) = (Vec::new(), Environment::new());
        let sentinel = Redis {
            running,
            dir: home,
            port,
            arguments,
            environment,
        };
        Replicated {
            master,
            replica,
            sentinel,
        }
    }

    /// URL that asks the Sentinel.
    pub fn url(&self) -> String {
        format!("redis+sentinel://127.0.0.1:{}/main", self.sentinel.port)
    }

    /// Waits until the Sentinel has made the replica the master.
    pub fn wait_for_promotion(&self) {
        let port = self.replica.port().to_string();
        wait_until("the replica is promoted", || {
            self.sentinel
                .cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"])
                .contains(&port)
                && self.replica.cli(&["ROLE"]).contains("master")
        });
    }
}

/// Three nodes that share the slots.
pub struct RedisCluster {
    /// Its three nodes.
    pub nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts three nodes below `dir` and joins them.
    pub fn start(dir: &Path) -> RedisCluster {
        let node = |number: usize| {
            let home = dir.join(format!("node-{number}"));
            std::fs::create_dir_all(&home).expect("a scratch directory can be made");
            let bus = free_port().to_string();
            let options = [
                "--save",
                "",
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus,
            ];
            Redis::start_with(&home, &options)
        };
        let nodes: Vec<Redis> = (0..3).map(node).collect();
        let mut create = vec!["--cluster".to_owned(), "create".to_owned()];
        create.extend(
            nodes
                .iter()
                .map(|node| format!("127.0.0.1:{}", node.port())),
        );
        create.push("--cluster-yes".to_owned());
        let create: Vec<&str> = create.iter().map(String::as_str).collect();
        let said = nodes[0].cli(&create);
        assert!(said.contains("All 16384 slots covered"), "{said}");
        for node in &nodes {
            wait_until("the cluster is whole", || {
                node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
            });
        }
        RedisCluster { nodes }
    }

    /// URL of the cluster.
    pub fn url(&self) -> String {
        let places: Vec<String> = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port()))
            .collect();
        format!("redis+cluster://{}", places.join(","))
    }

    /// Which node holds the slot of a key.
    pub fn holder(&self, key: &str) -> usize {
        let at = |node: &Redis| !node.cli(&["EXISTS", key]).contains("MOVED");
        self.nodes
            .iter()
            .position(at)
            .expect("each slot has a node")
    }

    /// Moves the slot of a key, with everything in it, to another node while it is in use.
    pub fn move_slot(&self, key: &str, to: usize) {
        let slot = self.nodes[0]
            .cli(&["CLUSTER", "KEYSLOT", key])
            .trim()
            .to_owned();
        let (from, to) = (&self.nodes[self.holder(key)], &self.nodes[to]);
        let id = |node: &Redis| node.cli(&["CLUSTER", "MYID"]).trim().to_owned();
        let (source, target) = (id(from), id(to));
        to.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source]);
        from.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target]);
        loop {
            let keys = from.cli(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
            let keys: Vec<&str> = keys
                .lines()
                .map(str::trim)
                .filter(|key| !key.is_empty())
                .collect();
            if keys.is_empty() {
                break;
            }
            let port = to.port().to_string();
            let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            migrate.extend(keys);
            let said = from.cli(&migrate);
            assert!(said.contains("OK") || said.contains("NOKEY"), "{said}");
        }
        for node in [to, from] {
            node.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
        }
        for node in &self.nodes {
            node.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
        }
    }
}
