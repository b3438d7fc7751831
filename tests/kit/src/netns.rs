//! Hosts on a network of their own: each in a network namespace, all on one bridge, every cable can be pulled.
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;

/// The network of all hosts.
pub const NETWORK: &str = "10.77.0.0/24";

/// Hosts and the bridge between them; gone with the value.
pub struct Hosts {
    /// What the names of the namespaces begin with.
    mark: String,
    made: Vec<String>,
}

fn ip(words: &[&str]) -> Result<(), String> {
    let ran = Command::new("ip")
        .args(words)
        .output()
        .map_err(|error| format!("ip: {error}"))?;
    if ran.status.success() {
        return Ok(());
    }
    Err(format!(
        "ip {}: {}",
        words.join(" "),
        String::from_utf8_lossy(&ran.stderr).trim()
    ))
}

impl Hosts {
    /// Makes so many. Nothing, with a line that starts with SKIP, where this machine does not permit it.
    pub fn make(count: u8) -> Option<Hosts> {
        let mut hosts = Hosts {
            mark: format!("sr{:06x}", fastrand::u32(..0x0100_0000)),
            made: Vec::new(),
        };
        match hosts.build(count) {
            Ok(()) => Some(hosts),
            Err(why) => {
                eprintln!("SKIP: network namespaces cannot be made here: {why}");
                None
            }
        }
    }

    fn build(&mut self, count: u8) -> Result<(), String> {
        let hub = self.namespace("hub")?;
        ip(&["-n", &hub, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", &hub, "link", "set", "bridge", "up"])?;
        for number in 0..count {
            let host = self.namespace(&number.to_string())?;
            let cable = cable(number);
            ip(&[
                "-n", &hub, "link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns",
                &host,
            ])?;
            ip(&["-n", &hub, "link", "set", &cable, "master", "bridge", "up"])?;
            ip(&[
                "-n",
                &host,
                "address",
                "add",
                &format!("{}/24", Hosts::address(number)),
                "dev",
                "eth0",
            ])?;
            ip(&["-n", &host, "link", "set", "eth0", "up"])?;
        }
        Ok(())
    }

    fn namespace(&mut self, name: &str) -> Result<String, String> {
        let name = format!("{}-{name}", self.mark);
        ip(&["netns", "add", &name])?;
        self.made.push(name.clone());
        ip(&["-n", &name, "link", "set", "lo", "up"])?;
        Ok(name)
    }

    /// The address of a host.
    pub fn address(number: u8) -> String {
        format!("10.77.0.{}", number + 2)
    }

    /// Runs a closure on a host: processes and connections that it starts belong to that host.
    ///
    /// # Panics
    /// When the host cannot be entered, or with what was done there.
    pub fn on<R: Send>(&self, number: u8, work: impl FnOnce() -> R + Send) -> R {
        let path = format!("/run/netns/{}-{number}", self.mark);
        let enter = || {
            let namespace = File::open(&path).expect("a host that was made is there");
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("it may be entered");
            work()
        };
        // A thread of its own: the others stay where they are.
        let done = std::thread::scope(|scope| scope.spawn(enter).join());
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Disconnects a host, or connects it again. Its processes are not notified.
    ///
    /// # Panics
    /// When the bridge does not take it.
    pub fn cut(&self, number: u8, cut: bool) {
        let hub = format!("{}-hub", self.mark);
        // Taken off the bridge, not down: the host itself notices nothing.
        let cable = cable(number);
        let words: &[&str] = if cut {
            &["nomaster"]
        } else {
            &["master", "bridge"]
        };
        ip(&[&["-n", &hub, "link", "set", &cable], words].concat()).expect("the bridge is ours");
    }
}

fn cable(number: u8) -> String {
    format!("cable{number}")
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in &self.made {
            ip(&["netns", "delete", name]).unwrap_or_else(|why| eprintln!("{why}"));
        }
    }
}
