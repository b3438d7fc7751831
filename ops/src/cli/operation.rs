//! `showrunner operation`: what operators asked for, and what is still being carried out.
use super::change::{AuditArgs, changes};
use crate::context::Context;
use crate::error::{CliResult, Exit};
use crate::output::{self, Columns};
use crate::target::{Target, one_page};
use coordinator::audit::AuditContext;
use coordinator::http::endpoint::{Endpoint, Nothing};
use coordinator::http::failures::OfJob;
use coordinator::http::operations;
use coordinator::query::operations::OperationView;

/// Commands of `operation`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List operations, newest first
    List {
        /// Only of this job
        #[arg(long)]
        job: Option<String>,
        /// Maximum number of operations
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Pause a running operation
    Pause(OperationTarget),
    /// Resume a paused operation
    Resume(OperationTarget),
    /// End it; what it has done stays done
    Abort(OperationTarget),
}

/// An operation to change.
#[derive(Debug, clap::Args)]
pub(crate) struct OperationTarget {
    /// Number of the operation
    operation: i64,
    #[command(flatten)]
    audit: AuditArgs,
}

/// Runs the command.
pub(crate) fn run(context: &Context, command: &Command) -> CliResult<Exit> {
    match command {
        Command::List { job, limit } => list(context, job.as_deref(), *limit),
        Command::Pause(target) => change::<operations::Pause>(context, target),
        Command::Resume(target) => change::<operations::Resume>(context, target),
        Command::Abort(target) => change::<operations::Abort>(context, target),
    }
}

fn change<E>(context: &Context, target: &OperationTarget) -> CliResult<Exit>
where
    E: Endpoint<Path = (i64,), Query = Nothing, Body = AuditContext, Answer = OperationView>,
{
    let view = Target::open(context)?.change::<E>((target.operation,), target.audit.order())?;
    let render = |v: &OperationView| {
        let name = format!("operation {}", v.operation);
        format!(
            "{}  {} of {} done\n",
            changes(&name, &v.state, &v.changes, v.dry_run),
            output::count(v.done),
            output::counted(v.eligible, "unit")
        )
    };
    output::one(context.output, &view, render, &target.operation.to_string())?;
    Ok(Exit::Ok)
}

/// Lists operations, those of one job when it is named.
pub(crate) fn list(context: &Context, job: Option<&str>, limit: u32) -> CliResult<Exit> {
    let mut target = Target::open(context)?;
    let job = job.map(|job| target.job_id(job)).transpose()?;
    let listed = one_page(limit, |limit| {
        target.ask::<operations::List>((), OfJob::new(job.as_deref(), limit))
    })?;
    listed.note_cut_off(context, "operations");
    let row = |o: &OperationView| {
        vec![
            o.operation.to_string(),
            o.at.clone(),
            o.actor.clone(),
            o.action.clone(),
            o.job.clone().unwrap_or_default(),
            o.state.clone(),
            format!("{} of {}", o.done, o.eligible),
            o.filter.join(" "),
            o.reason.clone(),
        ]
    };
    let columns = [
        "operation",
        "at",
        "by",
        "action",
        "job",
        "state",
        "done",
        "filter",
        "reason",
    ];
    let columns = Columns {
        table: &columns,
        row: &row,
        csv: &[
            "operation",
            "at",
            "actor",
            "action",
            "job",
            "state",
            "done",
            "eligible",
            "matched",
            "filter",
            "reason",
        ],
        name: &|o| o.operation.to_string(),
    };
    output::list(context.output, &listed.items, columns)?;
    Ok(Exit::Ok)
}
