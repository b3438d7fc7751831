//! `showrunner job`.
use super::follow::account;
use super::retry::Select;
use super::steer::Target;
use super::{Context, explain, operation, retry, steer};
use crate::database;
use crate::embedded::DataDir;
use crate::error::{CliError, CliResult, Exit};
use crate::output;
use crate::submit::{self, now};
use coordinator::service::Workflows;
use coordinator::service::control::{self, Refusal};
use coordinator::service::summary::{Summary, summary};
use coordinator::store::handle::Backend;
use coordinator::store::{JobRow, JobState};
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
    /// Run failed units again, and what was not run because of them
    Retry {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        select: Select,
    },
    /// What operators asked of a job
    Operations {
        /// Its id
        id: String,
        /// Operations at most
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Why a job is where it is
    Explain {
        /// Its id
        id: String,
    },
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
        Command::Pause(target) => steer::job(context, &target, control::pause),
        Command::Resume(target) => steer::job(context, &target, control::resume),
        Command::Cancel(target) => steer::job(context, &target, control::cancel),
        Command::Retry { target, select } => retry::job(context, &target.id, &target.note, &select),
        Command::Operations { id, limit } => operation::list(context, Some(&id), limit),
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
