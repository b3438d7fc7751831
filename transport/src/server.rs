//! How to get a connection: TLS with a CA of one's own, a client certificate, a password from a file that is read again for
//! every connection, the master that Sentinels name, the nodes of a cluster.
use crate::address::{Address, AddressError, info};
use crate::link::Link;
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClientBuilder;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, ErrorKind, RedisError, RedisResult,
    TlsCertificates, cmd,
};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// Longest wait for a connection to come up.
const CONNECT: Duration = Duration::from_secs(5);

/// What an operator sets.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// See [`Address`].
    pub url: String,
    /// PEM file of the authorities that may have signed the server's certificate; those of the system when absent.
    pub ca: Option<PathBuf>,
    /// PEM files of our own certificate and its key, where the server asks for one.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// File with the password; read again for every connection, so that a new one is taken without a restart.
    pub password_file: Option<PathBuf>,
}

/// Why settings are none.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The URL.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A file.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// A CA for a connection that is not encrypted.
    #[error("--redis-ca is set, but the URL is not encrypted: write rediss:// instead of redis://")]
    NotEncrypted,
}

/// A server that connections can be opened to.
#[derive(Debug, Clone)]
pub struct Server {
    address: Address,
    certificates: Option<TlsCertificates>,
    password_file: Option<PathBuf>,
}

fn read(path: &Path) -> Result<Vec<u8>, SettingsError> {
    std::fs::read(path).map_err(|error| SettingsError::File { path: path.display().to_string(), error })
}

/// Limits of a connection whose replies may take as long as `patience`.
pub(crate) fn config(patience: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_response_timeout(Some(patience)).set_connection_timeout(Some(CONNECT))
}

impl Server {
    /// Reads the settings and every file they name; opens nothing yet.
    pub fn new(settings: &Settings) -> Result<Server, SettingsError> {
        let address = Address::parse(&settings.url)?;
        let encrypted = settings.url.starts_with("rediss");
        if settings.ca.is_some() && !encrypted {
            return Err(SettingsError::NotEncrypted);
        }
        if encrypted {
            // Taken by somebody else of this process already: the same.
            drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        }
        let root_cert = settings.ca.as_deref().map(read).transpose()?;
        let own = settings.certificate.as_ref().map(|(certificate, key)| {
            Ok::<_, SettingsError>(ClientTlsConfig { client_cert: read(certificate)?, client_key: read(key)? })
        });
        let client_tls = own.transpose()?;
        if let Some(path) = &settings.password_file {
            read(path)?;
        }
        let certificates = encrypted.then_some(TlsCertificates { client_tls, root_cert });
        Ok(Server { address, certificates, password_file: settings.password_file.clone() })
    }

    /// Whether keys are spread over several servers.
    pub fn is_cluster(&self) -> bool {
        self.address.is_cluster()
    }

    /// The one server to talk to now, with the password of now; nothing of a cluster.
    pub(crate) async fn target(&self) -> RedisResult<Option<ConnectionInfo>> {
        let target = match &self.address {
            Address::One(one) => self.with_password(one)?,
            Address::Sentinel { sentinels, service, around } => {
                self.with_password(&self.ask_sentinels(sentinels, service, around).await?)?
            }
            Address::Cluster(_) => return Ok(None),
        };
        Ok(Some(self.client(target)?.get_connection_info().clone()))
    }

    /// Opens a connection whose replies may take as long as `patience`.
    pub async fn open(&self, patience: Duration) -> RedisResult<Link> {
        match &self.address {
            Address::One(one) => Ok(Link::One(self.open_one(self.with_password(one)?, patience).await?)),
            Address::Sentinel { sentinels, service, around } => {
                let master = self.ask_sentinels(sentinels, service, around).await?;
                let mut link = self.open_one(self.with_password(&master)?, patience).await?;
                // A Sentinel may not know yet that its master has been replaced.
                let role: Vec<redis::Value> = cmd("ROLE").query_async(&mut link).await?;
                let role: String = role.into_iter().next().map_or(Ok(String::new()), redis::from_redis_value)?;
                if role != "master" {
                    let why = format!("{} is {role:?}, not the master of {service}", master.addr());
                    return Err(RedisError::from((ErrorKind::Io, "the master has moved", why)));
                }
                Ok(Link::One(link))
            }
            Address::Cluster(nodes) => {
                Ok(Link::Cluster(Box::new(self.cluster(nodes, patience)?.build()?.get_async_connection().await?)))
            }
        }
    }

    /// The same, for commands of which none may be said twice that may have been heard. Only the client of a cluster
    /// does that by itself.
    pub async fn open_once(&self, patience: Duration) -> RedisResult<Link> {
        match &self.address {
            Address::Cluster(nodes) => {
                let client = self.cluster(nodes, patience)?.retries(0).build()?;
                Ok(Link::Once(Box::new(client.get_async_connection().await?)))
            }
            _ => self.open(patience).await,
        }
    }

    fn cluster(&self, nodes: &[ConnectionInfo], patience: Duration) -> RedisResult<ClusterClientBuilder> {
        let nodes: RedisResult<Vec<ConnectionInfo>> = nodes.iter().map(|n| self.with_password(n)).collect();
        let builder = ClusterClientBuilder::new(nodes?).connection_timeout(CONNECT).response_timeout(patience);
        Ok(match &self.certificates {
            Some(certificates) => builder.certs(certificates.clone()),
            None => builder,
        })
    }

    async fn open_one(&self, info: ConnectionInfo, patience: Duration) -> RedisResult<MultiplexedConnection> {
        self.client(info)?.get_multiplexed_async_connection_with_config(&config(patience)).await
    }

    fn client(&self, info: ConnectionInfo) -> RedisResult<Client> {
        match &self.certificates {
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
            None => Client::open(info),
        }
    }

    /// The password of this moment.
    fn with_password(&self, info: &ConnectionInfo) -> RedisResult<ConnectionInfo> {
        let Some(path) = &self.password_file else { return Ok(info.clone()) };
        let password = std::fs::read_to_string(path).map_err(|error| {
            let why = format!("{}: {error}", path.display());
            RedisError::from((ErrorKind::AuthenticationFailed, "the password file cannot be read", why))
        })?;
        let redis = info.redis_settings().clone().set_password(password.trim_end_matches(['\r', '\n']));
        Ok(info.clone().set_redis_settings(redis))
    }

    /// Asks one Sentinel after the other.
    async fn ask_sentinels(
        &self,
        sentinels: &[(String, u16)],
        service: &str,
        around: &(String, String),
    ) -> RedisResult<ConnectionInfo> {
        let wrong = |e: AddressError| RedisError::from((ErrorKind::InvalidClientConfig, "address", e.to_string()));
        let scheme = if self.certificates.is_some() { "rediss" } else { "redis" };
        let mut last = RedisError::from((ErrorKind::EmptySentinelList, "no Sentinel is named"));
        for (host, port) in sentinels {
            let place = info(&format!("{scheme}://{host}:{port}/")).map_err(wrong)?;
            let asked = async {
                let mut link = self.open_one(place, CONNECT).await?;
                let command = cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(service).to_owned();
                command.query_async::<Option<(String, u16)>>(&mut link).await
            };
            match asked.await {
                Ok(Some((host, port))) => {
                    let host = if host.contains(':') { format!("[{host}]") } else { host };
                    return info(&format!("{}{host}:{port}{}", around.0, around.1)).map_err(wrong);
                }
                Ok(None) => {
                    let why = format!("{host}:{port} knows no service {service:?}");
                    last = RedisError::from((ErrorKind::MasterNameNotFoundBySentinel, "Sentinel", why));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The servers as messages name them, without credentials.
    pub fn name(&self) -> String {
        let place = |addr: &ConnectionAddr| addr.to_string();
        match &self.address {
            Address::One(one) => place(one.addr()),
            Address::Sentinel { sentinels, service, .. } => {
                let all: Vec<String> = sentinels.iter().map(|(host, port)| format!("{host}:{port}")).collect();
                format!("{service} by Sentinels {}", all.join(", "))
            }
            Address::Cluster(nodes) => nodes.iter().map(|node| place(node.addr())).collect::<Vec<_>>().join(", "),
        }
    }
}
