//! `showrunner job`.
use super::follow::account;
use super::{Context, explain};
use crate::database;
use crate::embedded::DataDir;
use crate::error::{CliError, CliResult, Exit};
use crate::output;
use crate::submit::{self, now};
use coordinator::service::Workflows;
use coordinator::service::control::{self, Answer, Refusal, Selection};
use coordinator::service::summary::{Summary, summary};
use coordinator::store::handle::Backend;
use coordinator::store::{JobRow, JobState, StoreResult, Tx};
use protocol::quantity::Span;
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Commands of `job`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Hand a job to the coordinator of the data directory (showrunner up)
    Submit {
        /// The job file
        file: PathBuf,
        /// Check and print what would be submitted, without submitting
        #[arg(long)]
        dry_run: bool,
    },
    /// List jobs, newest first
    List {
        /// Only jobs in this state
        #[arg(long)]
        state: Option<String>,
        /// Jobs at most
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// The account of a job
    Get {
        /// Its id
        id: String,
    },
    /// Show a job's progress until it ends
    Watch {
        /// Its id
        id: String,
    },
    /// Wait until a job ends
    Wait {
        /// Its id
        id: String,
        /// Give up after this long
        #[arg(long)]
        timeout: Option<String>,
    },
    /// Hand out no more units; those that run go on
    Pause(Target),
    /// Hand out units again
    Resume(Target),
    /// Cancel: call back what runs, keep what is done
    Cancel(Target),
    /// Run dead units again, and what was not run because of them
    Retry {
        #[command(flatten)]
        target: Target,
        /// Which: step=ID, reason=CODE, asset=ID; several are combined, asset may repeat
        #[arg(long = "filter")]
        filters: Vec<String>,
        /// Every dead unit of the job
        #[arg(long)]
        all: bool,
    },
    /// Why a job is where it is
    Explain {
        /// Its id
        id: String,
    },
}

/// A job to change.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// Its id
    id: String,
    /// Print what would happen, change nothing
    #[arg(long)]
    dry_run: bool,
    /// Why, for the record
    #[arg(long)]
    reason: Option<String>,
}

/// Runs the command.
pub(crate) fn run(context: &Context, command: Command) -> CliResult<Exit> {
    match command {
        Command::Submit { file, dry_run } => submit(context, &file, dry_run),
        Command::List { state, limit } => list(context, state.as_deref(), limit),
        Command::Get { id } => get(context, &id),
        Command::Watch { id } => wait(context, &id, None, true),
        Command::Wait { id, timeout } => {
            let timeout = timeout.map(|t| Span::parse(&t).map_err(CliError::usage)).transpose()?;
            wait(context, &id, timeout.map(|t| t.0), false)
        }
        Command::Pause(target) => steer(context, &target, "pause", control::pause),
        Command::Resume(target) => steer(context, &target, "resume", control::resume),
        Command::Cancel(target) => steer(context, &target, "cancel", control::cancel),
        Command::Retry { target, filters, all } => retry(context, &target, &filters, all),
        Command::Explain { id } => explain::job(context, &id),
    }
}

fn submit(context: &Context, file: &std::path::Path, dry_run: bool) -> CliResult<Exit> {
    let job = submit::prepare(file)?;
    let id = job.id.clone();
    if !dry_run {
        database::open(&context.settings, true)?.write(|tx| tx.insert_job(&job))?;
    }
    #[derive(Serialize)]
    struct Submitted {
        job: String,
        dry_run: bool,
    }
    if !dry_run {
        mention_idle(context);
    }
    let words = |s: &Submitted| if s.dry_run { format!("would submit {}\n", s.job) } else { format!("{}\n", s.job) };
    output::one(context.output, &Submitted { job: id.clone(), dry_run }, words, &id)?;
    Ok(Exit::Ok)
}

/// A job does not run by itself: says so where nobody works on the data directory.
fn mention_idle(context: &Context) {
    let data = context.data();
    let here = database::url(&context.settings).is_none();
    if here && !context.quiet && !DataDir::is_coordinated(&data) {
        eprintln!("nobody works on {0} now; start: showrunner up --data {0}", data.display());
    }
}

#[derive(Serialize)]
struct Listed {
    job: String,
    name: String,
    state: String,
    assets: u64,
    submitted_at: String,
    ended_at: Option<String>,
}

fn list(context: &Context, state: Option<&str>, limit: u32) -> CliResult<Exit> {
    let known = JobState::ALL.map(JobState::as_str);
    if let Some(wrong) = state.filter(|s| JobState::parse(s).is_none()) {
        return Err(CliError::usage(format!("unknown state {wrong:?}")).hint(protocol::yaml::suggest(wrong, &known)));
    }
    let rows: Vec<JobRow> = database::open(&context.settings, false)?.read(|tx| tx.jobs(false, u32::MAX))?;
    let chosen = rows.into_iter().filter(|row| state.is_none_or(|s| row.state.as_str() == s)).take(limit as usize);
    let listed: Vec<Listed> = chosen
        .map(|row| Listed {
            job: row.id,
            name: row.name,
            state: row.state.as_str().to_owned(),
            assets: row.assets,
            submitted_at: row.submitted_at.to_string(),
            ended_at: row.ended_at.map(|t| t.to_string()),
        })
        .collect();
    let row = |l: &Listed| {
        vec![
            l.job.clone(),
            l.state.clone(),
            output::count(l.assets),
            l.submitted_at.clone(),
            l.ended_at.clone().unwrap_or_default(),
        ]
    };
    output::list(context.output, &listed, &["job", "state", "assets", "submitted", "ended"], row, |l| l.job.clone())?;
    Ok(Exit::Ok)
}

fn look(db: &mut Backend, id: &str) -> CliResult<Summary> {
    let found = db.read(|tx| match tx.job_by_id(id)? {
        Some(row) => summary(tx, &Workflows::default(), row.no, now()).map(Some),
        None => Ok(None),
    })?;
    found.ok_or_else(|| Refusal::NotFound.into())
}

fn get(context: &Context, id: &str) -> CliResult<Exit> {
    let summary = look(&mut database::open(&context.settings, false)?, id)?;
    output::one(context.output, &summary, account, &summary.job)?;
    Ok(Exit::Ok)
}

fn wait(context: &Context, id: &str, timeout: Option<Duration>, show: bool) -> CliResult<Exit> {
    let started = Instant::now();
    let mut db = database::open(&context.settings, false)?;
    let (mut shown, mut mentioned) = (String::new(), false);
    loop {
        let row = db.read(|tx| tx.job_by_id(id))?.ok_or(Refusal::NotFound)?;
        if row.state.has_ended() {
            let summary = look(&mut db, id)?;
            output::one(context.output, &summary, account, &summary.job)?;
            return Ok(super::run::exit_of(&summary));
        }
        if !std::mem::replace(&mut mentioned, true) {
            mention_idle(context);
        }
        if show {
            let now = progress_line(&look(&mut db, id)?);
            if now != shown {
                eprintln!("{now}");
                shown = now;
            }
        }
        if timeout.is_some_and(|t| started.elapsed() >= t) {
            return Err(CliError::new(Exit::Timeout, format!("job {id} is still {}", row.state.as_str()))
                .hint(format!("showrunner job explain {id}")));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn progress_line(s: &Summary) -> String {
    let u = s.units;
    let ended = u.succeeded + u.dead + u.cancelled;
    format!("{}: {} of {} units, {} dead, {} waiting to retry", s.state, ended, u.total, u.dead, u.failed)
}

type Steer = fn(&mut dyn Tx, &str) -> StoreResult<Answer<JobState>>;

fn steer(context: &Context, target: &Target, verb: &str, change: Steer) -> CliResult<Exit> {
    let mut db = database::open(&context.settings, false)?;
    let state =
        if target.dry_run { db.preview(|tx| change(tx, &target.id))? } else { db.write(|tx| change(tx, &target.id))? }?;
    if !target.dry_run {
        tracing::info!(job.id = %target.id, verb, reason = target.reason.as_deref().unwrap_or(""), "job changed");
    }
    let would = if target.dry_run { "would be " } else { "" };
    let words = |s: &Changed| format!("{}: {would}{}\n", s.job, s.state);
    let changed = Changed { job: target.id.clone(), state: state.as_str().to_owned(), dry_run: target.dry_run };
    output::one(context.output, &changed, words, &target.id)?;
    Ok(Exit::Ok)
}

#[derive(Serialize)]
struct Changed {
    job: String,
    state: String,
    dry_run: bool,
}

#[derive(Serialize)]
struct Retried {
    job: String,
    units: u64,
    dry_run: bool,
}

fn retry(context: &Context, target: &Target, filters: &[String], all: bool) -> CliResult<Exit> {
    if filters.is_empty() && !all {
        return Err(CliError::usage("nothing selected")
            .hint("--filter step=check, --filter reason=CODE, --filter asset=ID, or --all"));
    }
    let selection = selection(filters)?;
    let mut db = database::open(&context.settings, false)?;
    let workflows = Workflows::default();
    let work = |tx: &mut dyn Tx| control::retry(tx, &workflows, &target.id, &selection, target.dry_run, now());
    let units = if target.dry_run { db.preview(|tx| work(tx))? } else { db.write(|tx| work(tx))? }?;
    let retried = Retried { job: target.id.clone(), units: units.len() as u64, dry_run: target.dry_run };
    let would = if target.dry_run { "would run" } else { "will run" };
    output::one(context.output, &retried, |r| format!("{}: {} units {would} again\n", r.job, r.units), &target.id)?;
    Ok(Exit::Ok)
}

fn selection(filters: &[String]) -> CliResult<Selection> {
    let mut selection = Selection::default();
    for filter in filters {
        let known = ["step", "reason", "asset"];
        let Some((key, value)) = filter.split_once('=') else {
            return Err(CliError::usage(format!("filter {filter:?} is not key=value")).hint("step=check"));
        };
        match key {
            "step" => selection.step = Some(value.to_owned()),
            "reason" => selection.reason = Some(value.to_owned()),
            "asset" => selection.assets.push(value.to_owned()),
            _ => {
                return Err(
                    CliError::usage(format!("unknown filter {key:?}")).hint(protocol::yaml::suggest(key, &known))
                );
            }
        }
    }
    Ok(selection)
}
