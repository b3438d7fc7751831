//! The database that the settings name: a PostgreSQL server, or the SQLite file of the data directory.
use crate::error::{CliError, CliResult, Exit};
use crate::settings::{Origin, Settings, masked};
use coordinator::store::StoreResult;
use coordinator::store::handle::{Backend, Store, StoreThread};
use coordinator::store::postgres::PostgresOptions;
use protocol::quantity::Span;
use protocol::rules::cluster::retention::RetentionLimits;
use std::path::{Path, PathBuf};

/// The database file of a data directory.
pub fn database_path(data: &Path) -> PathBuf {
    data.join("showrunner.db")
}

/// Secrets and limits of connections to a server, as the settings give them.
pub fn options(settings: &Settings) -> PostgresOptions {
    let path = |name: &str| {
        Some(&settings[name].value)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    PostgresOptions {
        ca_file: path("database_ca"),
        password_file: path("database_password_file"),
        ..PostgresOptions::default()
    }
}

/// Retention of ended jobs; `None` for `forever`.
pub fn retention(settings: &Settings) -> CliResult<Option<RetentionLimits>> {
    let text = &settings["retention"].value;
    if text == "forever" {
        return Ok(None);
    }
    let keep = Span::parse(text)
        .map_err(|why| CliError::usage(format!("retention: {why}")).hint("90d, or forever"))?;
    Ok(Some(RetentionLimits::keeping(keep.0)))
}

/// The URL of the database server, unless only a data directory is given by a flag.
pub fn url(settings: &Settings) -> Option<&str> {
    let (database, data) = (&settings["database"], &settings["data"]);
    let chosen = data.origin != Origin::Flag || database.origin == Origin::Flag;
    (chosen && !database.value.is_empty()).then_some(database.value.as_str())
}

/// The database for messages, without credentials.
pub fn name(settings: &Settings) -> String {
    match url(settings) {
        Some(_) => format!("the database {}", masked(settings)["database"].value),
        None => format!(
            "the database {}",
            database_path(&PathBuf::from(&settings["data"].value)).display()
        ),
    }
}

/// Opens the database of the settings. A data directory without a database is an error unless `make` is set.
pub fn open(settings: &Settings, make: bool) -> CliResult<Backend> {
    opened(settings, make, Backend::open)
}

/// Opens the same on its own thread, for asynchronous code.
pub fn open_store(settings: &Settings, make: bool) -> CliResult<(Store, StoreThread)> {
    opened(settings, make, Store::open)
}

fn opened<T>(
    settings: &Settings,
    make: bool,
    open: impl FnOnce(&str, PostgresOptions) -> StoreResult<T>,
) -> CliResult<T> {
    if let Some(url) = url(settings) {
        return open(url, options(settings)).map_err(|error| {
            let error = hinted(CliError::from(error));
            CliError {
                message: format!("{}: {}", masked(settings)["database"].value, error.message),
                ..error
            }
        });
    }
    let data = PathBuf::from(&settings["data"].value);
    let path = database_path(&data);
    if make {
        std::fs::create_dir_all(&data)?;
    } else if !path.exists() {
        return Err(CliError::new(Exit::NotFound, format!("no data in {}", data.display())).hint(
            "name the directory with --data, the server with --database, or start with: showrunner run job.yaml",
        ));
    }
    open(&path.display().to_string(), PostgresOptions::default())
        .map_err(|error| CliError::from(error).about(&path))
}

/// Adds hints for frequent configuration errors.
fn hinted(error: CliError) -> CliError {
    let contains = |word: &str| error.message.contains(word);
    let hint = if contains("certificate") {
        "--database-ca FILE names the authorities; Amazon RDS publishes its own as a bundle"
    } else if contains("password") {
        "--database-password-file FILE holds only the password; it is read for every connection"
    } else if contains("refused") || contains("timed out") {
        "is it running, and may this host reach it? try: psql URL -c 'SELECT 1'"
    } else {
        return error;
    };
    error.hint(hint)
}
