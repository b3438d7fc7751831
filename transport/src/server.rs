//! Opens connections: TLS with a private CA, a client certificate, a password file that is read for every connection, the
//! master that Sentinels name, the nodes of a cluster.
use crate::address::{Address, AddressError, info};
use crate::connection::Connection;
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClientBuilder;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, ErrorKind,
    RedisError, RedisResult, TlsCertificates, cmd,
};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// Timeout of a connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Settings of the operator.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// URL of the server; [`Address`] lists the forms.
    pub url: String,
    /// PEM file of the authorities for the server's certificate; those of the system when absent.
    pub ca: Option<PathBuf>,
    /// PEM files of the client certificate and its key, where the server requires one.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// File with the password. It is read for every connection, so a rotated password needs no restart.
    pub password_file: Option<PathBuf>,
}

/// Why settings cannot be used.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The URL cannot be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A file that the settings name cannot be read.
    #[error("{path}: {error}")]
    File {
        /// Path of the file.
        path: String,
        /// The error of the system.
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
    std::fs::read(path).map_err(|error| SettingsError::File {
        path: path.display().to_string(),
        error,
    })
}

/// Timeouts of a connection; `timeout` bounds each reply.
pub(crate) fn config(timeout: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_response_timeout(Some(timeout))
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
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
            // Another part of this process may have installed it already.
            drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        }
        let root_cert = settings.ca.as_deref().map(read).transpose()?;
        let own = settings.certificate.as_ref().map(|(certificate, key)| {
            Ok::<_, SettingsError>(ClientTlsConfig {
                client_cert: read(certificate)?,
                client_key: read(key)?,
            })
        });
        let client_tls = own.transpose()?;
        if let Some(path) = &settings.password_file {
            read(path)?;
        }
        let certificates = encrypted.then_some(TlsCertificates {
            client_tls,
            root_cert,
        });
        Ok(Server {
            address,
            certificates,
            password_file: settings.password_file.clone(),
        })
    }

    /// Whether keys are distributed over several servers.
    pub fn is_cluster(&self) -> bool {
        self.address.is_cluster()
    }

    /// The present server with the present password; `None` for a cluster.
    pub(crate) async fn target(&self) -> RedisResult<Option<ConnectionInfo>> {
        let target = match &self.address {
            Address::Single(server) => self.with_password(server)?,
            Address::Sentinel {
                sentinels,
                service,
                master_url,
            } => self.with_password(&self.ask_sentinels(sentinels, service, master_url).await?)?,
            Address::Cluster(_) => return Ok(None),
        };
        Ok(Some(self.client(target)?.get_connection_info().clone()))
    }

    /// Opens a connection; `timeout` bounds each reply.
    pub async fn open(&self, timeout: Duration) -> RedisResult<Connection> {
        match &self.address {
            Address::Single(server) => Ok(Connection::Single(
                self.open_single(self.with_password(server)?, timeout)
                    .await?,
            )),
            Address::Sentinel {
                sentinels,
                service,
                master_url,
            } => {
                let master = self.ask_sentinels(sentinels, service, master_url).await?;
                let mut connection = self
                    .open_single(self.with_password(&master)?, timeout)
                    .await?;
                // A Sentinel may not know yet that its master was replaced.
                let role: Vec<redis::Value> = cmd("ROLE").query_async(&mut connection).await?;
                let role: String = role
                    .into_iter()
                    .next()
                    .map_or(Ok(String::new()), redis::from_redis_value)?;
                if role != "master" {
                    let why = format!("{} is {role:?}, not the master of {service}", master.addr());
                    return Err(RedisError::from((
                        ErrorKind::Io,
                        "the master has moved",
                        why,
                    )));
                }
                Ok(Connection::Single(connection))
            }
            Address::Cluster(nodes) => {
                let client = self.cluster(nodes, timeout)?.build()?;
                Ok(Connection::Cluster(Box::new(
                    client.get_async_connection().await?,
                )))
            }
        }
    }

    /// Opens a connection that never repeats a command that may have been executed. Only the client of a cluster does so
    /// by itself.
    pub async fn open_at_most_once(&self, timeout: Duration) -> RedisResult<Connection> {
        match &self.address {
            Address::Cluster(nodes) => {
                let client = self.cluster(nodes, timeout)?.retries(0).build()?;
                Ok(Connection::AtMostOnce(Box::new(
                    client.get_async_connection().await?,
                )))
            }
            _ => self.open(timeout).await,
        }
    }

    fn cluster(
        &self,
        nodes: &[ConnectionInfo],
        timeout: Duration,
    ) -> RedisResult<ClusterClientBuilder> {
        let nodes: RedisResult<Vec<ConnectionInfo>> =
            nodes.iter().map(|n| self.with_password(n)).collect();
        let builder = ClusterClientBuilder::new(nodes?)
            .connection_timeout(CONNECT_TIMEOUT)
            .response_timeout(timeout);
        Ok(match &self.certificates {
            Some(certificates) => builder.certs(certificates.clone()),
            None => builder,
        })
    }

    async fn open_single(
        &self,
        info: ConnectionInfo,
        timeout: Duration,
    ) -> RedisResult<MultiplexedConnection> {
        self.client(info)?
            .get_multiplexed_async_connection_with_config(&config(timeout))
            .await
    }

    fn client(&self, info: ConnectionInfo) -> RedisResult<Client> {
        match &self.certificates {
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
            None => Client::open(info),
        }
    }

    /// Adds the present password.
    fn with_password(&self, info: &ConnectionInfo) -> RedisResult<ConnectionInfo> {
        let Some(path) = &self.password_file else {
            return Ok(info.clone());
        };
        let password = std::fs::read_to_string(path).map_err(|error| {
            let why = format!("{}: {error}", path.display());
            RedisError::from((
                ErrorKind::AuthenticationFailed,
                "the password file cannot be read",
                why,
            ))
        })?;
        let redis = info
            .redis_settings()
            .clone()
            .set_password(password.trim_end_matches(['\r', '\n']));
        Ok(info.clone().set_redis_settings(redis))
    }

    /// Queries the Sentinels in order for the master of a service.
    async fn ask_sentinels(
        &self,
        sentinels: &[(String, u16)],
        service: &str,
        master_url: &(String, String),
    ) -> RedisResult<ConnectionInfo> {
        let wrong = |e: AddressError| {
            RedisError::from((ErrorKind::InvalidClientConfig, "address", e.to_string()))
        };
        let scheme = if self.certificates.is_some() {
            "rediss"
        } else {
            "redis"
        };
        let mut last =
            RedisError::from((ErrorKind::EmptySentinelList, "the URL names no Sentinel"));
        for (host, port) in sentinels {
            let sentinel = info(&format!("{scheme}://{host}:{port}/")).map_err(wrong)?;
            let master = async {
                let mut connection = self.open_single(sentinel, CONNECT_TIMEOUT).await?;
                let command = cmd("SENTINEL")
                    .arg("GET-MASTER-ADDR-BY-NAME")
                    .arg(service)
                    .to_owned();
                command
                    .query_async::<Option<(String, u16)>>(&mut connection)
                    .await
            };
            match master.await {
                Ok(Some((host, port))) => {
                    let host = if host.contains(':') {
                        format!("[{host}]")
                    } else {
                        host
                    };
                    return info(&format!("{}{host}:{port}{}", master_url.0, master_url.1))
                        .map_err(wrong);
                }
                Ok(None) => {
                    let why = format!("{host}:{port} knows no service {service:?}");
                    last = RedisError::from((
                        ErrorKind::MasterNameNotFoundBySentinel,
                        "Sentinel",
                        why,
                    ));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The addresses for messages, without credentials.
    pub fn name(&self) -> String {
        let address = |addr: &ConnectionAddr| addr.to_string();
        match &self.address {
            Address::Single(server) => address(server.addr()),
            Address::Sentinel {
                sentinels, service, ..
            } => {
                let all: Vec<String> = sentinels
                    .iter()
                    .map(|(host, port)| format!("{host}:{port}"))
                    .collect();
                format!("{service} by Sentinels {}", all.join(", "))
            }
            Address::Cluster(nodes) => nodes
                .iter()
                .map(|node| address(node.addr()))
                .collect::<Vec<_>>()
                .join(", "),
        }
    }
}
