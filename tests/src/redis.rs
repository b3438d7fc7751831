//! A Redis server of a test's own: free loopback port, own directory, gone with the test.
use crate::process::{Running, wait_until};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

/// A running server.
pub struct Redis {
    running: Running,
    port: u16,
}

impl Redis {
    /// Starts a server below `dir`, which must exist. It keeps nothing on disk.
    pub fn start(dir: &Path) -> Redis {
        // The port is free now; nothing else on this machine is asked for it meanwhile.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--dir"]).arg(dir);
        let running = Running::start(command, dir);
        wait_until("redis-server answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Redis { running, port }
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Runs a command through `redis-cli`; what it printed.
    pub fn cli(&self, args: &[&str]) -> String {
        let output = Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(args).output();
        let output = output.expect("redis-cli comes with redis-server: run ops/setup.sh test");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}
