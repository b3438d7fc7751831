//! Redis options of `coordinator`, `worker` and `doctor`.
use crate::context::Context;
use crate::error::{CliError, CliResult, Exit};
use crate::settings::masked;
use protocol::rules::cluster::deployment::{Ownership, compare};
use protocol::wire::keys;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use transport::report_key::ReportKeys;
use transport::{Connection, Server, Settings};

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
    /// File with the key that authenticates reports of workers; a coordinator that has one refuses all other reports
    /// [env: SHOWRUNNER_REPORT_KEY_FILE]
    #[arg(long, value_name = "FILE")]
    report_key_file: Option<String>,
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
            ("report_key_file", &self.report_key_file),
        ];
        flags.extend(
            given
                .into_iter()
                .filter_map(|(name, value)| Some((name, value.clone()?))),
        );
    }
}

/// The server that the settings name.
pub(crate) fn server(context: &Context) -> CliResult<Server> {
    let value = |name: &str| context.settings[name].value.clone();
    let path = |name: &str| {
        Some(value(name))
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if value("redis").is_empty() {
        return Err(CliError::usage("no Redis given")
            .hint("--redis redis://127.0.0.1/ or SHOWRUNNER_REDIS"));
    }
    let settings = Settings {
        url: value("redis"),
        ca: path("redis_ca"),
        certificate: path("redis_cert").zip(path("redis_key")),
        password_file: path("redis_password_file"),
    };
    Server::new(&settings).map_err(|e| CliError::usage(e.to_string()))
}

/// The keys that authenticate reports; `None` where the settings name no file.
pub(crate) fn report_keys(context: &Context) -> CliResult<Option<ReportKeys>> {
    let file = &context.settings["report_key_file"].value;
    if file.is_empty() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
    let keys = text.and_then(|text| ReportKeys::parse(&text).map_err(|error| error.to_string()));
    let keys = keys.map_err(|why| CliError::usage(format!("report key file {file}: {why}")))?;
    Ok(Some(keys))
}

/// How often a worker asks whose its Redis is.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Timeout of a reply when a server is inspected.
const PATIENCE: Duration = Duration::from_secs(5);

/// The deployment id of a server; `None` also without the right to read it.
pub(crate) async fn deployment(server: &Server) -> Result<Option<String>, String> {
    read_deployment(&mut server.open(PATIENCE).await.map_err(|e| e.to_string())?).await
}

async fn read_deployment(connection: &mut Connection) -> Result<Option<String>, String> {
    match ::redis::cmd("GET")
        .arg(keys::DEPLOYMENT)
        .query_async(connection)
        .await
    {
        Err(error) if error.code() == Some("NOPERM") => Ok(None),
        asked => asked.map_err(|e| e.to_string()),
    }
}

/// The deployment that a worker is to work for, when it was given one: the server must not be marked with another.
pub(crate) async fn expected(context: &Context, server: &Server) -> CliResult<Option<String>> {
    let given = Some(context.settings["deployment"].value.clone()).filter(|id| !id.is_empty());
    if let Some(own) = &given {
        belongs(context, server, own, "this worker").await?;
    }
    Ok(given)
}

/// Waits until a server belongs to another deployment than it did, or than `own`.
pub(crate) async fn replaced(server: Server, mut own: Option<String>) -> CliError {
    let mut connection = None;
    loop {
        // A connection that broke is opened again: what cannot be asked now is asked then.
        if connection.is_none() {
            connection = server.open(PATIENCE).await.ok();
        }
        let asked = match &mut connection {
            Some(open) => read_deployment(open).await,
            None => Ok(None),
        };
        match asked {
            Ok(Some(found)) => {
                let own = own.get_or_insert_with(|| found.clone());
                if let Ownership::Foreign { found } = compare(own, Some(&found)) {
                    return foreign(&server.name(), &found, own, "what this worker runs");
                }
            }
            Ok(None) => {}
            Err(_) => connection = None,
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Refuses a server that is marked with another deployment than `own`, which is that of `whose`.
pub(crate) async fn belongs(
    context: &Context,
    server: &Server,
    own: &str,
    whose: &str,
) -> CliResult<()> {
    let found = deployment(server)
        .await
        .map_err(|why| unreachable(context, &why))?;
    match compare(own, found.as_deref()) {
        Ownership::Own | Ownership::Unmarked => Ok(()),
        Ownership::Foreign { found } => Err(foreign(&server.name(), &found, own, whose)),
    }
}

/// Two deployments on one server, and the way out.
pub(crate) fn foreign(redis: &str, found: &str, own: &str, whose: &str) -> CliError {
    CliError::new(
        Exit::Conflict,
        format!("Redis at {redis} belongs to deployment {found}, and {whose} to deployment {own}"),
    )
    .hint(
        "name the database (--database, --data) or the Redis (--redis) of the same deployment; to let another database \
         take over this Redis, see \"One Redis, one database\" in the operators' guide",
    )
}

/// Says which server could not be used; its credentials are not shown.
pub(crate) fn unreachable(context: &Context, why: &str) -> CliError {
    let shown = masked(&context.settings)["redis"].value.clone();
    CliError::failed(format!("Redis at {shown}: {why}")).hint(
        "is it running and reachable, and are user and password right? try: redis-cli -u URL ping",
    )
}
