//! How `coordinator`, `worker` and `doctor` reach Redis.
use super::Context;
use crate::error::{CliError, CliResult};
use crate::settings::masked;
use std::collections::BTreeMap;
use std::path::PathBuf;
use transport::{Server, Settings};

/// Options about Redis.
#[derive(Debug, clap::Args)]
pub(crate) struct RedisArgs {
    /// Redis or Valkey: redis://, rediss:// (TLS), redis+sentinel://HOST,HOST/SERVICE, redis+cluster://HOST,HOST
    /// [env: SHOWRUNNER_REDIS]
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// Authorities that may sign the server's certificate; those of the system by default [env: SHOWRUNNER_REDIS_CA]
    #[arg(long, value_name = "PEM")]
    redis_ca: Option<String>,
    /// Our own certificate, where the server asks for one [env: SHOWRUNNER_REDIS_CERT]
    #[arg(long, value_name = "PEM", requires = "redis_key")]
    redis_cert: Option<String>,
    /// Its key [env: SHOWRUNNER_REDIS_KEY]
    #[arg(long, value_name = "PEM")]
    redis_key: Option<String>,
    /// File with the password; read again for every connection [env: SHOWRUNNER_REDIS_PASSWORD_FILE]
    #[arg(long, value_name = "FILE")]
    redis_password_file: Option<String>,
}

impl RedisArgs {
    /// Its flags as settings.
    pub(crate) fn flags(&self, flags: &mut BTreeMap<&str, String>) {
        let given = [
            ("redis", &self.redis),
            ("redis_ca", &self.redis_ca),
            ("redis_cert", &self.redis_cert),
            ("redis_key", &self.redis_key),
            ("redis_password_file", &self.redis_password_file),
        ];
        flags.extend(given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    }
}

/// The server that the settings name.
pub(crate) fn server(context: &Context) -> CliResult<Server> {
    let value = |name: &str| context.settings[name].value.clone();
    let path = |name: &str| Some(value(name)).filter(|value| !value.is_empty()).map(PathBuf::from);
    if value("redis").is_empty() {
        return Err(CliError::usage("no Redis given").hint("--redis redis://127.0.0.1/ or SHOWRUNNER_REDIS"));
    }
    let settings = Settings {
        url: value("redis"),
        ca: path("redis_ca"),
        certificate: path("redis_cert").zip(path("redis_key")),
        password_file: path("redis_password_file"),
    };
    Server::new(&settings).map_err(|e| CliError::usage(e.to_string()))
}

/// Says which server could not be used; its credentials are not shown.
pub(crate) fn unreachable(context: &Context, why: &str) -> CliError {
    let shown = masked(&context.settings)["redis"].value.clone();
    CliError::failed(format!("Redis at {shown}: {why}"))
        .hint("is it running and reachable, and are user and password right? try: redis-cli -u URL ping")
}
