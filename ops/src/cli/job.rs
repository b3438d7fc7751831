//! `showrunner job`.
use super::change::JobTarget;
use super::retry::Select;
use super::status::forecast_cells;
use super::watch::account;
use super::{change, explain, operation, retry};
use crate::context::Context;
use crate::error::{CliError, CliResult, Exit};
use crate::moment::Moments;
use crate::output::{self, Columns, Format};
use crate::submit::{self, now};
use crate::target::{Target, pages, server};
use coordinator::command::PriorityRequest;
use coordinator::command::submission::{Submitted, entropy_of, submission_of};
use coordinator::http::endpoint::Nothing;
use coordinator::http::jobs;
use coordinator::query::jobs::{JobListed, JobProgress, JobsFilter};
use coordinator::store::{JobState, NewJob};
use protocol::quantity::Span;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Running units a progress line names.
const RUNNING_SHOWN: usize = 8;
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a coordinator may be unreachable after its first reply.
const AWAY_MAX: Duration = Duration::from_secs(60);

/// Columns of the CSV of jobs.
const CSV: [&str; 21] = [
    "job",
    "name",
    "state",
    "assets",
    "units.total",
    "units.succeeded",
    "units.failed",
    "units.dead",
    "units.cancelled",
    "percent",
    "units_per_second",
    "bytes_per_second",
    "priority",
    "tenant",
    "deadline",
    "deadline_state",
    "finish_p50",
    "finish_p90",
    "slack_seconds",
    "submitted_at",
    "ended_at",
];

/// Commands of `job`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Submit a job to the coordinator of the data directory (showrunner up), or at --server
    Submit {
        /// The job file
        file: PathBuf,
        /// Check and print what would be submitted, without submitting
        #[arg(long)]
        dry_run: bool,
        /// Submitting again with the same key and content makes no second job
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
    },
    /// List jobs, newest first
    List {
        /// Only jobs in this state
        #[arg(long)]
        state: Option<String>,
        /// Maximum number of jobs
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Show the summary of a job
    Get {
        /// Id of the job
        id: String,
    },
    /// Show a job's progress until it ends
    Watch {
        /// Id of the job
        id: String,
    },
    /// Wait until a job ends
    Wait {
        /// Id of the job
        id: String,
        /// Give up after this long
        #[arg(long)]
        timeout: Option<String>,
    },
    /// Dispatch no more units; running units continue
    Pause(JobTarget),
    /// Dispatch units again
    Resume(JobTarget),
    /// Cancel running units, keep finished ones
    Cancel(JobTarget),
    /// Change the class and the deadline
    Priority {
        #[command(flatten)]
        target: JobTarget,
        /// urgent, normal or bulk
        priority: Option<String>,
        /// When it must be finished, e.g. 2026-12-01T18:00:00Z, or none
        #[arg(long, value_name = "TIME")]
        deadline: Option<String>,
    },
    /// Redrive failed units and their cancelled dependents
    Retry {
        #[command(flatten)]
        target: JobTarget,
        #[command(flatten)]
        select: Select,
    },
    /// List the operations on a job
    Operations {
        /// Id of the job
        id: String,
        /// Maximum number of operations
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Explain what a job waits for
    Explain {
        /// Id of the job
        id: String,
    },
}

/// Runs the command.
pub(crate) fn run(context: &Context, command: Command) -> CliResult<Exit> {
    match command {
        Command::Submit {
            file,
            dry_run,
            idempotency_key,
        } => submit(context, &file, dry_run, idempotency_key.as_deref()),
        Command::List { state, limit } => list(context, state.as_deref(), limit),
        Command::Get { id } => get(context, &id),
        Command::Watch { id } => wait(context, &id, None, true),
        Command::Wait { id, timeout } => {
            let timeout = timeout
                .map(|t| Span::parse(&t).map_err(CliError::usage))
                .transpose()?;
            wait(context, &id, timeout.map(|t| t.0), false)
        }
        Command::Pause(target) => change::job::<jobs::Pause>(context, &target),
        Command::Resume(target) => change::job::<jobs::Resume>(context, &target),
        Command::Cancel(target) => change::job::<jobs::Cancel>(context, &target),
        Command::Priority {
            target,
            priority,
            deadline,
        } => {
            let request = PriorityRequest {
                priority,
                deadline,
                audit: target.audit.order(),
            };
            change::show(
                context,
                &Target::open(context)?.change::<jobs::Prioritise>((target.id,), request)?,
            )
        }
        Command::Retry { target, select } => {
            retry::job(context, &target.id, &target.audit, &select)
        }
        Command::Operations { id, limit } => operation::list(context, Some(&id), limit),
        Command::Explain { id } => explain::job(context, &id),
    }
}

fn submit(
    context: &Context,
    file: &std::path::Path,
    dry_run: bool,
    key: Option<&str>,
) -> CliResult<Exit> {
    // A generated key also makes a repeated submission after a lost reply the same job.
    let key = key.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
    let (job, sources) = submit::gather(file, entropy_of(&key))?;
    let job = NewJob {
        submission: Some(submission_of(&key)),
        ..job
    };
    let submitted = if dry_run && server(context)?.is_none() {
        Submitted {
            job: job.id,
            dry_run,
        }
    } else {
        let mut target = Target::open_or_make(context)?;
        let submitted = target.submit(&job, &sources, &key, dry_run)?;
        target.warn_not_running(context);
        submitted
    };
    let render = |s: &Submitted| {
        if s.dry_run {
            format!("would submit {}\n", s.job)
        } else {
            format!("{}\n", s.job)
        }
    };
    output::one(context.output, &submitted, render, &submitted.job)?;
    Ok(Exit::Ok)
}

fn list(context: &Context, state: Option<&str>, limit: u32) -> CliResult<Exit> {
    let mut target = Target::open(context)?;
    let page = |limit, after| {
        target.ask::<jobs::List>(
            (),
            JobsFilter {
                state: state.map(str::to_owned),
                after,
                limit,
            },
        )
    };
    let listed = pages(limit, page, |listed| listed.job.clone())?;
    let moments = Moments::local(now());
    let row = |l: &JobListed| {
        let [done, rate, ends, deadline, slack, priority, tenant] = forecast_cells(l, &moments);
        vec![
            l.job.clone(),
            l.state.clone(),
            done,
            output::count(l.assets),
            moments.at(&l.submitted_at),
            l.ended_at.as_ref().map_or(ends, |at| moments.at(at)),
            deadline,
            slack,
            rate,
            priority,
            tenant,
        ]
    };
    listed.note_cut_off(context, "jobs");
    if listed
        .items
        .iter()
        .any(|job| JobState::parse(&job.state).is_some_and(|state| !state.has_ended()))
    {
        target.warn_not_running(context);
    }
    let columns = [
        "job",
        "state",
        "done",
        "assets",
        "submitted",
        "ends",
        "deadline",
        "slack",
        "rate",
        "priority",
        "tenant",
    ];
    let columns = Columns {
        table: &columns,
        row: &row,
        csv: &CSV,
        name: &|l| l.job.clone(),
    };
    output::list(context.output, &listed.items, columns)?;
    Ok(Exit::Ok)
}

fn get(context: &Context, id: &str) -> CliResult<Exit> {
    let summary = Target::open(context)?.ask::<jobs::Get>((id.to_owned(),), Nothing {})?;
    output::one(context.output, &summary, account, &summary.job)?;
    Ok(Exit::Ok)
}

fn wait(context: &Context, id: &str, timeout: Option<Duration>, show: bool) -> CliResult<Exit> {
    let started = Instant::now();
    let mut target = Target::open(context)?;
    let mut heard = None;
    let (mut shown, mut mentioned) = (String::new(), false);
    let (mut state, mut tasks) = ("unknown".to_owned(), 0);
    loop {
        match target.ask::<jobs::ProgressOf>((id.to_owned(),), Nothing {}) {
            Ok(progress) => {
                heard = Some(Instant::now());
                state.clone_from(&progress.progress.state);
                tasks = progress.progress.tasks.len() as u64;
                if JobState::parse(&state).is_some_and(JobState::has_ended) {
                    let summary = target.ask::<jobs::Get>((id.to_owned(),), Nothing {})?;
                    output::one(context.output, &summary, account, &summary.job)?;
                    return Ok(super::run::exit_of(&summary));
                }
                let line = if show {
                    progress_line(&progress)
                } else {
                    progress
                        .progress
                        .tasks
                        .iter()
                        .map(explain::open_task)
                        .collect()
                };
                let is_data = show && context.output == Format::Jsonl;
                if line != shown && (is_data || !context.quiet) {
                    match context.output {
                        Format::Jsonl if is_data => output::one(
                            context.output,
                            &progress,
                            |_| String::new(),
                            &progress.progress.job,
                        )?,
                        _ if line.is_empty() => {}
                        _ => eprintln!("{}", output::text(line.trim_end())),
                    }
                    shown = line;
                }
            }
            // A coordinator that is replaced is unreachable for seconds; one that never answered is an error.
            Err(error) if error.passing && heard.is_some_and(|at| at.elapsed() < AWAY_MAX) => {
                tracing::info!(%error, "waiting for the coordinator");
            }
            Err(error) => return Err(error),
        }
        if !std::mem::replace(&mut mentioned, true) {
            target.warn_not_running(context);
        }
        if timeout.is_some_and(|t| started.elapsed() >= t) {
            let waits = match tasks {
                0 => String::new(),
                n => format!(" and waits for {}", output::counted(n, "decision")),
            };
            return Err(
                CliError::new(Exit::Timeout, format!("job {id} is still {state}{waits}"))
                    .hint(format!("showrunner job explain {id}")),
            );
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn progress_line(job: &JobProgress) -> String {
    let (s, outlook) = (&job.progress, &job.forecast.outlook);
    let u = s.units;
    let ended = u.succeeded + u.dead + u.cancelled;
    let rate = match s.bytes_per_second {
        0 => String::new(),
        rate => format!(", {}/s", output::bytes(rate)),
    };
    let moved = output::bytes(s.bytes);
    let percent = job
        .forecast
        .percent
        .map_or_else(String::new, |percent| format!(" ({percent:.1}%)"));
    let units = match job.forecast.units_per_second {
        rate if rate >= 0.05 => format!(", {rate:.1} units/s"),
        _ => String::new(),
    };
    let mut text = format!(
        "{}: {ended} of {} units{percent}, {} dead, {} waiting to retry, {moved}{rate}{units}",
        s.state, u.total, u.dead, u.failed
    );
    let moments = Moments::local(now());
    // A person decides when it continues: the time that units take says nothing of that.
    if let Some(finish) = outlook.finish_p50.as_ref().filter(|_| s.tasks.is_empty()) {
        text += &format!(", ends {}", moments.of(finish));
    }
    for unit in s.running.iter().take(RUNNING_SHOWN) {
        let of = unit
            .total
            .map(|total| format!(" of {}", output::bytes(total)))
            .unwrap_or_default();
        let rate = output::bytes(unit.bytes_per_second);
        text += &format!(
            "\n  {}  {}{of}, {rate}/s, {}",
            unit.unit,
            output::bytes(unit.bytes),
            unit.worker
        );
    }
    if let Some(more) = s.running.len().checked_sub(RUNNING_SHOWN + 1) {
        let at_least = match s.truncated.iter().any(|member| member == "running") {
            true => "at least ",
            false => "",
        };
        text += &format!("\n  and {at_least}{} more", more + 1);
    }
    for task in &s.tasks {
        text += &format!("\n{}", explain::open_task(task).trim_end());
    }
    text
}
