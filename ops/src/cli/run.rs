//! `showrunner run`: one process, one job, to its end.
use super::stop::guard;
use super::watch::{WatchEnd, account, watch};
use crate::context::Context;
use crate::embedded::{DataDir, Embedded};
use crate::error::{CliError, CliResult, Exit};
use crate::limits::LimitArgs;
use crate::{output, submit};
use coordinator::query::summary::Summary;
use coordinator::store::{JobState, NewJob};
use protocol::id::JobNo;
use std::path::PathBuf;
use std::time::Duration;

/// Time for running units after an interrupt.
const GRACE: Duration = Duration::from_secs(2);

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The job file
    job: PathBuf,
    /// Start a new job even when an interrupted one of the same file could be continued
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// Runs the command.
pub(crate) async fn run(context: Context, args: Args) -> CliResult<Exit> {
    let job = submit::prepare(&args.job)?;
    guard(&context, GRACE)?;
    let embedded = Embedded::start(DataDir::open(&context.data())?, &context.settings)?;
    let result = run_job(&context, &embedded, job, args.fresh).await;
    embedded.shutdown(GRACE).await;
    let Some(summary) = result? else {
        return Err(
            CliError::new(Exit::Interrupted, "interrupted; what was done is kept")
                .hint("run the same command again: it continues where this one stopped"),
        );
    };
    output::one(context.output, &summary, account, &summary.job)?;
    Ok(exit_of(&summary))
}

/// Submits or continues a job and watches it to its end. `None` when interrupted.
pub(crate) async fn run_job(
    context: &Context,
    embedded: &Embedded,
    job: NewJob,
    fresh: bool,
) -> CliResult<Option<Summary>> {
    let (no, resumed) = submit_or_resume(embedded, job, fresh).await?;
    if let Some(id) = resumed
        && !context.quiet
    {
        eprintln!("continuing {id}");
    }
    embedded.coordinator.wake();
    match watch(context, embedded, no).await? {
        WatchEnd::Ended(summary) => Ok(Some(*summary)),
        WatchEnd::Interrupted => Ok(None),
    }
}

async fn submit_or_resume(
    embedded: &Embedded,
    job: NewJob,
    fresh: bool,
) -> CliResult<(JobNo, Option<String>)> {
    let found = embedded
        .store
        .write(move |tx| {
            let open = if fresh {
                Vec::new()
            } else {
                tx.jobs(true, u32::MAX)?
            };
            match open
                .into_iter()
                .find(|row| row.digest == job.digest && row.state != JobState::Cancelling)
            {
                Some(mut row) => {
                    if row.state == JobState::Paused {
                        row.state = JobState::Running;
                        tx.update_job(&row)?;
                    }
                    Ok((row.no, Some(row.id)))
                }
                None => Ok((tx.insert_job(&job)?, None)),
            }
        })
        .await?;
    Ok(found)
}

/// The exit code for the end of a job. A job that its own step aborted has dead units.
pub(crate) fn exit_of(summary: &Summary) -> Exit {
    match JobState::parse(&summary.state) {
        Some(JobState::Succeeded) => Exit::Ok,
        Some(JobState::FinishedWithFailures) => Exit::JobFailed,
        _ if summary.units.dead > 0 => Exit::JobFailed,
        _ => Exit::Failed,
    }
}
