//! The address of a database and its credentials, from the URL and from the other sources of libpq.
use super::error::refused;
use super::options::PostgresOptions;
use super::tls::{TlsMode, connector};
use crate::error::StoreResult;
use std::path::PathBuf;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A parsed URL of a database.
#[derive(Clone)]
pub(super) struct Address {
    config: tokio_postgres::Config,
    tls: TlsMode,
    ca_file: Option<PathBuf>,
    password_file: Option<PathBuf>,
}

impl Address {
    /// Parses `postgres://user:password@host:port/database?sslmode=verify-full&sslrootcert=ca.pem`. `sslmode` and
    /// `sslrootcert` have the meaning of libpq.
    pub(super) fn parse(url: &str, options: &PostgresOptions) -> StoreResult<Address> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut ca_file, mut rest) =
            (TlsMode::Prefer, options.ca_file.clone(), Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", word)) => {
                    mode = TlsMode::parse(word).ok_or_else(|| {
                        refused(format!(
                            "sslmode={word}: use disable, prefer, require, verify-ca or verify-full"
                        ))
                    })?;
                }
                Some(("sslrootcert", path)) => ca_file = Some(PathBuf::from(percent_decoded(path))),
                _ => rest.push(pair),
            }
        }
        let plain = if rest.is_empty() {
            base.to_owned()
        } else {
            format!("{base}?{}", rest.join("&"))
        };
        let mut config: tokio_postgres::Config = plain
            .parse()
            .map_err(|e| refused(format!("the database URL cannot be read: {e}")))?;
        config.ssl_mode(match mode {
            TlsMode::Disable => SslMode::Disable,
            TlsMode::Prefer => SslMode::Prefer,
            TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
        });
        config
            .connect_timeout(options.connect_timeout)
            .tcp_user_timeout(options.silence_max);
        config
            .keepalives_idle(options.silence_max)
            .keepalives_interval(options.silence_max / 3)
            .keepalives_retries(3);
        // After a failover the old primary may answer first, as a replica.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        if config.get_application_name().is_none() {
            config.application_name("showrunner");
        }
        // As in libpq: a mode without a check of the certificate checks it when a CA file is given.
        let tls = if mode == TlsMode::Require && ca_file.is_some() {
            TlsMode::VerifyCa
        } else {
            mode
        };
        Ok(Address {
            config,
            tls,
            ca_file,
            password_file: options.password_file.clone(),
        })
    }

    /// The parameters of a connection. Passwords and certificates are read each time, because tokens expire and authorities
    /// change while a coordinator runs.
    pub(super) fn ready(&self) -> StoreResult<(tokio_postgres::Config, MakeRustlsConnect)> {
        let mut config = self.config.clone();
        if let Some(path) = &self.password_file {
            let text = std::fs::read_to_string(path).map_err(|e| {
                refused(format!(
                    "the password file {} cannot be read: {e}",
                    path.display()
                ))
            })?;
            config.password(text.trim_end_matches(['\r', '\n']));
        } else if config.get_password().is_none()
            && let Ok(password) = std::env::var("PGPASSWORD")
        {
            config.password(password);
        }
        Ok((config, connector(self.tls, self.ca_file.as_deref())?))
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match code
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .filter(|_| *first == b'%')
        {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn parse(url: &str) -> StoreResult<Address> {
        Address::parse(url, &PostgresOptions::default())
    }

    #[test]
    fn sslmode_means_what_libpq_means_by_it() {
        assert_eq!(parse("postgres://h/d").expect("reads").tls, TlsMode::Prefer);
        assert_eq!(
            parse("postgres://h/d?sslmode=disable")
                .expect("reads")
                .config
                .get_ssl_mode(),
            SslMode::Disable
        );
        let full =
            parse("postgres://h/d?sslmode=verify-full&sslrootcert=/a%20b.pem&application_name=x");
        let full = full.expect("reads");
        assert_eq!(
            (full.tls, full.config.get_ssl_mode()),
            (TlsMode::VerifyFull, SslMode::Require)
        );
        assert_eq!(full.ca_file, Some(PathBuf::from("/a b.pem")));
        assert_eq!(full.config.get_application_name(), Some("x"));
        assert_eq!(
            parse("postgres://h/d?sslmode=require&sslrootcert=/a")
                .expect("reads")
                .tls,
            TlsMode::VerifyCa
        );
        assert!(parse("postgres://h/d?sslmode=sometimes").is_err());
    }

    #[test]
    fn a_password_file_is_read_at_every_connection() {
        let mut file = tempfile::NamedTempFile::new().expect("makes");
        let options = PostgresOptions {
            password_file: Some(file.path().into()),
            ..PostgresOptions::default()
        };
        let address =
            Address::parse("postgres://u:old@h/d?sslmode=disable", &options).expect("reads");
        writeln!(file, "first").expect("writes");
        assert_eq!(
            address.ready().expect("reads").0.get_password(),
            Some(&b"first"[..])
        );
        std::fs::write(file.path(), "second").expect("writes");
        assert_eq!(
            address.ready().expect("reads").0.get_password(),
            Some(&b"second"[..])
        );
    }
}
