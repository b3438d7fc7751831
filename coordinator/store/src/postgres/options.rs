//! Limits and secrets of a connection.
use std::path::PathBuf;
use std::time::Duration;

/// Limits and secrets of a connection that are not in its URL.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Holds the password, read again at every connection: for tokens that end. Goes before the URL and `PGPASSWORD`.
    pub password_file: Option<PathBuf>,
    /// Certificates of the authorities to trust, unless the URL says `sslrootcert`.
    pub ca_file: Option<PathBuf>,
    /// For one host to be reached.
    pub connect_timeout: Duration,
    /// For one statement.
    pub statement_timeout: Duration,
    /// For another writer's transaction to end.
    pub lock_timeout: Duration,
    /// How long a transaction may be idle before the server ends it: the delay that a stopped process can cause.
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
