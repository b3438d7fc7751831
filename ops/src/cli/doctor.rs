//! `showrunner doctor`: what a job will need, checked before it needs it.
mod endpoint;

use crate::context::Context;
use crate::database::{self, database_path};
use crate::error::{CliError, CliResult, Exit};
use crate::output::{self, Columns};
use crate::settings::masked;
use crate::target::{Client, server};
use ::qc::bare_command;
use ::storage::Registry;
use coordinator::workflows::Workflows;
use protocol::rules::cluster::deployment::{Ownership, compare};
use serde::Serialize;
use std::time::Duration;

/// Oldest ffmpeg whose filters we rely on.
const FFMPEG_MAJOR: u32 = 5;
/// Less free room than this is worth a word.
const FREE_LOW: u64 = 1 << 30;

#[derive(Serialize)]
struct Finding {
    check: &'static str,
    state: &'static str,
    message: String,
}

fn ok(check: &'static str, message: impl Into<String>) -> Finding {
    Finding {
        check,
        state: "ok",
        message: message.into(),
    }
}

fn bad(check: &'static str, message: impl Into<String>) -> Finding {
    Finding {
        check,
        state: "failed",
        message: message.into(),
    }
}

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Locations to try besides those of the storage file: s3://bucket/prefix, file:/folder
    locations: Vec<String>,
}

/// Runs the command: exit 1 when something that jobs need is missing.
pub(crate) async fn run(context: Context, args: &Args) -> CliResult<Exit> {
    let context = &context;
    let (database, deployment) = database(context).await;
    let mut findings = vec![
        tool("ffmpeg", &context.settings["ffmpeg"].value),
        tool("ffprobe", &context.settings["ffprobe"].value),
        permissions(context),
        room(context),
        database,
        clock(),
    ];
    findings.extend(storage(context, &args.locations).await);
    if !context.settings["redis"].value.is_empty() {
        findings.push(redis(context, deployment).await);
    }
    if let Some(url) = server(context)? {
        findings.push(coordinator(url).await);
    }
    let row = |f: &Finding| vec![f.check.to_owned(), f.state.to_owned(), f.message.clone()];
    let columns = Columns {
        table: &["check", "state", "message"],
        row: &row,
        csv: &["check", "state", "message"],
        name: &|f| f.check.to_owned(),
    };
    output::list(context.output, &findings, columns)?;
    Ok(if findings.iter().any(|f| f.state == "failed") {
        Exit::Failed
    } else {
        Exit::Ok
    })
}

/// Whether the storage file can be used, and each root, endpoint and location that is named.
async fn storage(context: &Context, locations: &[String]) -> Vec<Finding> {
    let file = &context.settings["storage"].value;
    let settings = match crate::storage::settings(&context.settings) {
        Ok(settings) => settings,
        Err(error) => return vec![bad("storage file", error.message)],
    };
    let mut findings: Vec<Finding> = settings
        .roots
        .iter()
        .map(|root| endpoint::root(root))
        .collect();
    let prefixes: Vec<String> = settings
        .endpoints
        .iter()
        .map(|endpoint| endpoint.prefix.clone())
        .collect();
    if !file.is_empty() {
        let words = format!(
            "{file}: {} roots, {} endpoints",
            settings.roots.len(),
            prefixes.len()
        );
        findings.insert(0, ok("storage file", words));
    }
    let registry = Registry::new(settings);
    for prefix in prefixes.iter().chain(locations) {
        findings.push(endpoint::endpoint(&registry, prefix).await);
    }
    findings
}

/// Whether the server can be used as workers and coordinators will use it.
async fn redis(context: &Context, own: Option<String>) -> Finding {
    let asked = async {
        let server = super::redis::server(context)?;
        let mut link = server
            .open(Duration::from_secs(5))
            .await
            .map_err(|e| CliError::failed(e.to_string()))?;
        let info: redis::RedisResult<String> = redis::cmd("INFO").query_async(&mut link).await;
        let info = match info {
            // A worker's user may take work and nothing else.
            Err(error) if error.code() == Some("NOPERM") => None,
            info => Some(info.map_err(|e| CliError::failed(e.to_string()))?),
        };
        // A host of workers has no database: there the id may be a setting.
        let setting =
            Some(context.settings["deployment"].value.clone()).filter(|id| !id.is_empty());
        let (own, whose) = match own {
            Some(own) => (Some(own), database::name(&context.settings)),
            None => (setting, "this worker".to_owned()),
        };
        let marked = super::redis::deployment(&server)
            .await
            .map_err(CliError::failed)?;
        if let (Some(own), Ownership::Foreign { found }) = (
            &own,
            compare(own.as_deref().unwrap_or(""), marked.as_deref()),
        ) {
            return Err(super::redis::foreign(&server.name(), &found, own, &whose));
        }
        let marked = marked
            .map(|id| format!(", deployment {id}"))
            .unwrap_or_default();
        Ok::<_, CliError>((server.name(), info, marked))
    };
    match asked.await {
        Ok((name, None, marked)) => ok(
            "redis",
            format!("{name}: it answers; its settings are not for this user to see{marked}"),
        ),
        Err(error) if error.exit == Exit::Conflict => bad(
            "redis",
            format!("{}; {}", error.message, error.hint.unwrap_or_default()),
        ),
        Err(error) => bad(
            "redis",
            super::redis::unreachable(context, &error.message).message,
        ),
        Ok((name, Some(info), marked)) => match transport::health::eviction(&info) {
            Some(warning) => bad("redis", format!("{name}: {warning}")),
            None => {
                let version = info
                    .lines()
                    .find_map(|line| line.trim().strip_prefix("redis_version:"));
                ok(
                    "redis",
                    format!("{name}: version {}{marked}", version.unwrap_or("unknown")),
                )
            }
        },
    }
}

fn tool(name: &'static str, program: &str) -> Finding {
    let output = match bare_command(program).arg("-version").output() {
        Ok(output) => output,
        Err(error) => {
            return bad(
                name,
                format!(
                    "{program}: {error}; install ffmpeg 5.1 or later, or set SHOWRUNNER_{}",
                    name.to_uppercase()
                ),
            );
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text
        .lines()
        .next()
        .unwrap_or("")
        .split_whitespace()
        .nth(2)
        .unwrap_or("unknown")
        .to_owned();
    let major: Option<u32> = version
        .trim_start_matches('n')
        .split('.')
        .next()
        .and_then(|n| n.parse().ok());
    match major {
        Some(major) if major < FFMPEG_MAJOR => {
            bad(name, format!("version {version}; 5.1 or later is needed"))
        }
        _ => ok(name, format!("version {version}")),
    }
}

fn permissions(context: &Context) -> Finding {
    let data = context.data();
    let existed = data.exists();
    let probe = data.join(".doctor");
    let tried = std::fs::create_dir_all(&data).and_then(|()| std::fs::write(&probe, b"x"));
    drop(std::fs::remove_file(&probe));
    if !existed {
        drop(std::fs::remove_dir(&data));
    }
    match tried {
        Ok(()) => ok("permissions", format!("{} can be written", data.display())),
        Err(error) => bad("permissions", format!("{}: {error}", data.display())),
    }
}

fn room(context: &Context) -> Finding {
    let data = context.data();
    let there = data
        .ancestors()
        .find(|p| p.exists())
        .map_or_else(|| ".".into(), std::path::Path::to_path_buf);
    match rustix::fs::statvfs(&there) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let words = format!(
                "{} free on the disk of {}",
                output::bytes(free),
                data.display()
            );
            if free < FREE_LOW {
                bad("storage", words)
            } else {
                ok("storage", words)
            }
        }
        Err(error) => bad("storage", format!("{}: {error}", there.display())),
    }
}

/// The database, and the deployment it belongs to.
async fn database(context: &Context) -> (Finding, Option<String>) {
    let path = database_path(&context.data());
    let server = database::url(&context.settings)
        .map(|_| masked(&context.settings)["database"].value.clone());
    if server.is_none() && !path.exists() {
        return (
            ok(
                "database",
                format!("{} will be made by the first job", path.display()),
            ),
            None,
        );
    }
    let place = server.unwrap_or_else(|| path.display().to_string());
    let asked = async {
        let (store, _thread) = database::open_store(&context.settings, false)?;
        let asked = store.read(|tx| {
            let (jobs, workflows) = (tx.jobs(true, 1000)?, Workflows::default());
            let mut aside = Vec::new();
            for job in &jobs {
                if workflows.is_aside(tx, job)? {
                    aside.push(job.id.clone());
                }
            }
            Ok((jobs.len(), aside, tx.deployment()?))
        });
        Ok::<_, CliError>(asked.await?)
    };
    match asked.await {
        Ok((jobs, aside, id)) if aside.is_empty() => (
            ok(
                "database",
                format!("{place}: {jobs} open jobs, deployment {id}"),
            ),
            Some(id),
        ),
        Ok((_, aside, id)) => {
            let aside = aside.join(", ");
            let message = format!(
                "{place}: this version cannot read these jobs, which are set aside: {aside}"
            );
            (bad("database", message), Some(id))
        }
        Err(error) => (bad("database", error.message), None),
    }
}

/// The coordinator that commands would ask.
async fn coordinator(url: &str) -> Finding {
    let asked = async { Client::new(url)?.part().await };
    match asked.await {
        Ok(part) => ok("server", format!("version {}, {}", part.version, part.role)),
        Err(error) => bad("server", error.message),
    }
}

/// A clock before the build cannot be right, and deadlines would be judged by it.
fn clock() -> Finding {
    const BUILT_AFTER: i64 = 1_790_000_000_000_000;
    let now = crate::submit::now();
    if now.0 < BUILT_AFTER {
        bad("clock", format!("{now} is in the past: set the clock"))
    } else {
        ok("clock", now.to_string())
    }
}
