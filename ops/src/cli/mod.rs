//! The command line: a stable surface. One file a noun; this one holds the tree and the way out.
mod asset;
mod awaited;
mod change;
mod config;
mod coordinator;
mod demo;
mod doctor;
mod explain;
mod failure;
mod fleet;
mod job;
mod listen;
mod log_text;
mod mhl;
mod operation;
mod policy;
mod qc;
mod redis;
mod retry;
mod run;
mod schema;
mod status;
mod stop;
mod task;
mod top;
mod unit;
mod up;
mod validate;
mod watch;
mod worker;

use crate::context::Context;
use crate::error::{CliError, CliResult, Exit};
use crate::output::Format;
use crate::settings;
use clap::{Parser, Subcommand, ValueEnum};
use log_text::{JsonLog, LogFields};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use stop::block_on;
pub(crate) use stop::stop_signal;

/// Runs bulk work over media libraries, and reports what is ready to deliver.
#[derive(Debug, Parser)]
#[command(name = "showrunner", version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  showrunner demo --once                   make a sample library, run it, read the account
  showrunner run job.yaml                  run a job to its end in this process
  showrunner run job.yaml -o json | jq .units
  showrunner validate job.yaml specs/*.yaml

Exit codes: 0 ok, 1 failed, 2 usage, 3 the job ended with failed or dead units, 4 forbidden,
5 not found, 6 conflict, 7 wait timed out, 130 interrupted";

/// Options of every command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of every command")]
struct Global {
    /// Data directory of the local coordinator [env: SHOWRUNNER_DATA] [default: showrunner-data]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<String>,
    /// PostgreSQL server of a cluster, instead of the data directory [env: SHOWRUNNER_DATABASE]
    #[arg(long, global = true, value_name = "URL")]
    database: Option<String>,
    /// Certificates of the authorities that the database's may come from [env: SHOWRUNNER_DATABASE_CA]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    database_ca: Option<String>,
    /// Holds the database password, read at every connection [env: SHOWRUNNER_DATABASE_PASSWORD_FILE]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    database_password_file: Option<String>,
    /// Ask a running coordinator instead of the local data directory [env: SHOWRUNNER_SERVER]
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    /// Endpoints, credentials and limits of storage, and where files may be [env: SHOWRUNNER_STORAGE]
    #[arg(long, global = true, value_name = "FILE")]
    storage: Option<String>,
    /// How data is written to stdout
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    output: Format,
    /// No progress on stderr
    #[arg(short, long, global = true)]
    quiet: bool,
    /// More log lines on stderr; twice for all
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Form of log lines
    #[arg(long, global = true, value_parser = ["text", "json"], default_value = "text")]
    log_format: String,
    /// Profile of the configuration file
    #[arg(long, global = true, env = "SHOWRUNNER_PROFILE")]
    profile: Option<String>,
    /// Slots of the worker in this process by kind, e.g. transfer=8,qc=2 [env: SHOWRUNNER_SLOTS]
    #[arg(long, global = true)]
    slots: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a sample library with planted faults, run the whole workflow over it, print what was found
    Demo(demo::Args),
    /// Run a job in this process to its end and print the summary
    Run(run::Args),
    /// Serve in this process: run submitted jobs until stopped
    Up(up::Args),
    /// Coordinate workers over Redis
    Coordinator(coordinator::Args),
    /// Work for a coordinator over Redis; or list, drain and release workers
    Worker(worker::Args),
    /// Check job files and delivery specs
    Validate(validate::Args),
    /// Print the JSON Schema of a file kind
    Schema(schema::Args),
    /// Submit, watch and steer jobs
    #[command(subcommand)]
    Job(job::Command),
    /// Open jobs, slots and limits, the slowest running units, and workers
    Status(status::Args),
    /// The status again and again, until Ctrl-C
    Top(top::Args),
    /// Look at work units
    #[command(subcommand)]
    Unit(unit::Command),
    /// What failed, by cause
    #[command(subcommand)]
    Failure(failure::Command),
    /// What people must decide: rework of deliveries that failed, approvals
    #[command(subcommand)]
    Task(task::Command),
    /// What operators asked for
    #[command(subcommand)]
    Operation(operation::Command),
    /// The catalogue of assets
    #[command(subcommand)]
    Asset(asset::Command),
    /// Judge media files by a delivery spec, without a job
    Qc(qc::Args),
    /// Delivery specs out of profiles that others write
    #[command(subcommand)]
    Policy(policy::Command),
    /// ASC MHL histories
    #[command(subcommand)]
    Mhl(mhl::Command),
    /// Settings and where they come from
    #[command(subcommand)]
    Config(config::Command),
    /// Check tools, storage, clock, permissions, and the database, Redis and server that the settings name
    Doctor(doctor::Args),
    /// Print a completion script for a shell
    Completion {
        /// Shell to complete for
        shell: clap_complete::Shell,
    },
}

/// Parses the command line, runs the command, and turns its result into an exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are not errors; clap's own codes for the rest are 2.
            drop(error.print());
            if !error.use_stderr() {
                return ExitCode::SUCCESS;
            }
            let words = error.render().to_string();
            let first = words
                .lines()
                .next()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            let refused = CliError::usage(first).hint("showrunner help");
            drop(crate::output::error(
                wanted_format(std::env::args()),
                &refused,
            ));
            return ExitCode::from(Exit::Usage as u8);
        }
    };
    let format = cli.global.output;
    start_logging(&cli.global);
    raise_file_limit();
    match dispatch(cli) {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(error) => {
            stop::report(format, &error);
            ExitCode::from(error.exit as u8)
        }
    }
}

/// The format that a command line asks for which clap cannot read.
fn wanted_format(args: impl Iterator<Item = String>) -> Format {
    let mut wanted = Format::Table;
    let mut named = false;
    for arg in args {
        let value = match arg
            .strip_prefix("--output=")
            .or_else(|| arg.strip_prefix("-o").filter(|v| !v.is_empty()))
        {
            Some(value) => Some(value.trim_start_matches('=')),
            None => named.then_some(arg.as_str()),
        };
        wanted = value
            .and_then(|value| Format::from_str(value, true).ok())
            .unwrap_or(wanted);
        named = arg == "-o" || arg == "--output";
    }
    wanted
}

fn dispatch(cli: Cli) -> CliResult<Exit> {
    let flags = [
        ("data", cli.global.data),
        ("slots", cli.global.slots),
        ("storage", cli.global.storage),
        ("server", cli.global.server),
        ("database", cli.global.database),
        ("database_ca", cli.global.database_ca),
        ("database_password_file", cli.global.database_password_file),
    ];
    let mut flags: BTreeMap<&str, String> = flags
        .into_iter()
        .filter_map(|(k, v)| Some((k, v?)))
        .collect();
    match &cli.command {
        Command::Run(args) => args.limits.flags(&mut flags),
        Command::Up(args) => args.flags(&mut flags),
        Command::Coordinator(args) => args.flags(&mut flags),
        Command::Worker(args) => args.flags(&mut flags),
        _ => {}
    }
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let settings = settings::resolve(&flags, cli.global.profile.as_deref(), &env)?;
    let context = Context {
        settings,
        output: cli.global.output,
        quiet: cli.global.quiet,
    };
    let format = cli.global.output;
    match cli.command {
        Command::Demo(args) => block_on(format, demo::run(context, args)),
        Command::Run(args) => block_on(format, run::run(context, args)),
        Command::Up(args) => block_on(format, up::run(context, args)),
        Command::Coordinator(args) => block_on(format, coordinator::run(context, args)),
        Command::Worker(worker::Args {
            command: Some(command),
            ..
        }) => fleet::run(&context, &command),
        Command::Worker(args) => block_on(format, worker::run(context, args)),
        Command::Validate(args) => validate::run(&context, &args),
        Command::Schema(args) => schema::run(&args),
        Command::Job(command) => job::run(&context, command),
        Command::Status(args) => status::run(&context, &args),
        Command::Top(args) => top::run(&context, &args),
        Command::Unit(command) => unit::run(&context, &command),
        Command::Failure(command) => failure::run(&context, &command),
        Command::Task(command) => task::run(&context, command),
        Command::Operation(command) => operation::run(&context, &command),
        Command::Asset(command) => asset::run(context, command),
        Command::Qc(args) => block_on(format, qc::run(context, args)),
        Command::Policy(command) => policy::run(&context, command),
        Command::Mhl(command) => block_on(format, mhl::run(context, command)),
        Command::Config(command) => config::run(&context, &command),
        Command::Doctor(args) => block_on(format, doctor::run(context, &args)),
        Command::Completion { shell } => {
            let mut tree = <Cli as clap::CommandFactory>::command();
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut tree, "showrunner", &mut script);
            std::io::stdout().lock().write_all(&script)?;
            Ok(Exit::Ok)
        }
    }
}

/// Raises the soft limit of open files to the hard one: connections of clients, Redis, storage and media tools share it.
fn raise_file_limit() {
    const FILES_MAX: u64 = 1 << 16;
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(FILES_MAX).min(FILES_MAX);
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit {
            current: Some(wanted),
            maximum: limit.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the limit of open files stays as it is");
        }
    }
}

/// Libraries whose warnings are not for operators.
const CALM: &str = ",actix_http=off,aws_config=error,aws_runtime=error,aws_smithy_runtime=error,aws_smithy_http_client=error,\
    object_store=error";

/// What is logged. The database's driver logs values of statements, such as signed URLs of manifests and passwords of
/// locations, so its statements are never logged.
fn log_filter(quiet: bool, verbose: u8, named: Option<String>) -> tracing_subscriber::EnvFilter {
    // What a client sends malformed is its own trouble; all of it is only of interest to those who want to see all.
    // What the clients of clouds warn of ends up in the failure that follows from it, or has no consequence.
    let (level, more) = match (quiet, verbose) {
        (true, 0) => (named.unwrap_or_else(|| "error".into()), CALM),
        (_, 0) => (named.unwrap_or_else(|| "warn".into()), CALM),
        (_, 1) => ("info".into(), ",actix_http=off"),
        _ => ("debug".into(), ""),
    };
    let level =
        format!("{level}{more},tokio_postgres::query=info,tokio_postgres::simple_query=info");
    tracing_subscriber::EnvFilter::try_new(level).unwrap_or_else(|_| "warn".into())
}

fn start_logging(global: &Global) {
    let filter = log_filter(
        global.quiet,
        global.verbose,
        std::env::var("SHOWRUNNER_LOG").ok(),
    );
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false);
    if global.log_format == "json" {
        builder
            .json()
            .with_writer(|| JsonLog(crate::log::stderr()))
            .init();
    } else {
        let ansi = std::env::var_os("NO_COLOR").is_none() && crate::output::interactive();
        builder
            .with_writer(crate::log::stderr)
            .with_ansi(ansi)
            .fmt_fields(LogFields::default())
            .init();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[test]
    fn log_filter_silences_warnings_of_cloud_libraries() {
        for (quiet, named) in [(true, None), (false, None), (true, Some("warn".to_owned()))] {
            let subscriber = tracing_subscriber::registry().with(log_filter(quiet, 0, named));
            let heard = tracing::subscriber::with_default(subscriber, || {
                [
                    tracing::enabled!(target: "aws_config::imds::region", tracing::Level::WARN),
                    tracing::enabled!(target: "aws_runtime", tracing::Level::WARN),
                    tracing::enabled!(target: "object_store::client", tracing::Level::WARN),
                    tracing::enabled!(target: "coordinator", tracing::Level::ERROR),
                ]
            });
            assert_eq!(heard, [false, false, false, true], "{quiet}");
        }
    }

    #[test]
    fn log_filter_everything_asked_for_leaves_values_of_statements_out() {
        for (verbose, named) in [
            (3, None),
            (0, Some("trace".to_owned())),
            (0, Some("debug".to_owned())),
        ] {
            let subscriber = tracing_subscriber::registry().with(log_filter(false, verbose, named));
            let (ours, statements) = tracing::subscriber::with_default(subscriber, || {
                let ours = tracing::enabled!(target: "coordinator", tracing::Level::DEBUG);
                (
                    ours,
                    tracing::enabled!(target: "tokio_postgres::query", tracing::Level::DEBUG),
                )
            });
            assert_eq!((ours, statements), (true, false), "{verbose}");
        }
    }
}
