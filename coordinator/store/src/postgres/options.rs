//! Limits and secrets of a connection.
use std::path::PathBuf;
use std::time::Duration;

/// Limits and secrets of a connection that are not in its URL.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// File with the password, read at every connection, because tokens expire. It overrides the URL and `PGPASSWORD`.
    pub password_file: Option<PathBuf>,
    /// File with trusted certificates, unless the URL has `sslrootcert`.
    pub ca_file: Option<PathBuf>,
    /// Limit for the connection to one host.
    pub connect_timeout: Duration,
    /// Limit for one statement.
    pub statement_timeout: Duration,
    /// Limit for the wait for another writer's transaction.
    pub lock_timeout: Duration,
    /// How long a transaction may be idle before the server ends it. It bounds the delay that a stopped process causes.
    pub idle_timeout: Duration,
    /// How long either side may stay silent on the wire before the connection counts as lost.
    pub silence_max: Duration,
}

impl Default for PostgresOptions {
    fn default() -> PostgresOptions {
        PostgresOptions {
            password_file: None,
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(3),
            silence_max: Duration::from_secs(6),
        }
    }
}
