//! Where the API listens, by which names it may be addressed, and who may reach it.
use crate::context::Context;
use crate::error::{CliError, CliResult};
use coordinator::http::HostNames;
use std::collections::BTreeMap;
use std::net::ToSocketAddrs;

/// Flags of commands that serve the API.
#[derive(Debug, clap::Args)]
pub(crate) struct ListenArgs {
    /// Address of health, metrics and API [env: SHOWRUNNER_LISTEN] [default: 127.0.0.1:8470]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Listen beyond this machine although the API has no login: every client that reaches the address has full access
    /// [env: SHOWRUNNER_INSECURE=true]
    #[arg(long)]
    insecure: bool,
    /// Names by which clients address this server, besides localhost and this machine's; `*` allows every name
    /// [env: SHOWRUNNER_ALLOW_HOST]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    allow_host: Vec<String>,
}

impl ListenArgs {
    /// Its flags as settings.
    pub(crate) fn flags(&self, flags: &mut BTreeMap<&str, String>) {
        flags.extend(self.listen.clone().map(|listen| ("listen", listen)));
        flags.extend(self.insecure.then(|| ("insecure", "true".to_owned())));
        flags.extend(
            (!self.allow_host.is_empty()).then(|| ("allow_host", self.allow_host.join(","))),
        );
    }
}

/// Names by which the API may be addressed: this machine's, and those of the settings.
pub(crate) fn host_names(context: &Context) -> HostNames {
    let node = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let short = node.split('.').next().unwrap_or_default().to_owned();
    let listed = context.settings["allow_host"]
        .value
        .split(',')
        .map(str::trim);
    HostNames::default()
        .and([node.as_str(), short.as_str()])
        .and(listed)
}

/// The address to listen on. One that other machines reach needs `--insecure`, because the API has no login.
pub(crate) fn address(context: &Context) -> CliResult<&str> {
    let listen = context.settings["listen"].value.as_str();
    let insecure = match context.settings["insecure"].value.as_str() {
        "true" => true,
        "" | "false" => false,
        other => {
            return Err(
                CliError::usage(format!("SHOWRUNNER_INSECURE is {other:?}")).hint("true or false")
            );
        }
    };
    let addresses = listen.to_socket_addrs().map_err(|error| {
        CliError::usage(format!("cannot listen on {listen}: {error}"))
            .hint("an address and a port: 127.0.0.1:8470")
    })?;
    let local = addresses
        .into_iter()
        .all(|address| address.ip().is_loopback());
    if local {
        return Ok(listen);
    }
    if !insecure {
        return Err(CliError::usage(format!(
            "{listen} can be reached from other machines, and the API has no login: every client has full access"
        ))
        .hint("listen on 127.0.0.1, or add --insecure on a private network"));
    }
    eprintln!("warning: {listen} can be reached from other machines without a login");
    Ok(listen)
}
