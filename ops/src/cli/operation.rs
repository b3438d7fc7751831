//! `showrunner operation`: what operators asked for, and what is still being carried out.
use super::change::AuditArgs;
use crate::context::Context;
use crate::error::{CliResult, Exit};
use crate::output;
use crate::target::Target;
use coordinator::command::OperationChange;
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
        Command::Pause(target) => change(context, target, OperationChange::Pause),
        Command::Resume(target) => change(context, target, OperationChange::Resume),
        Command::Abort(target) => change(context, target, OperationChange::Abort),
    }
}

fn change(context: &Context, target: &OperationTarget, steering: OperationChange) -> CliResult<Exit> {
    let order = target.audit.order();
    let view = Target::open(context)?.steer_operation(target.operation, steering, &order)?;
    let render =
        |v: &OperationView| format!("operation {}: {}, {} of {} units\n", v.operation, v.state, v.done, v.eligible);
    output::one(context.output, &view, render, &target.operation.to_string())?;
    Ok(Exit::Ok)
}

/// Lists operations, those of one job when it is named.
pub(crate) fn list(context: &Context, job: Option<&str>, limit: u32) -> CliResult<Exit> {
    let operations = Target::open(context)?.operations(job, limit)?;
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
    let columns = ["operation", "at", "by", "action", "job", "state", "done", "filter", "reason"];
    output::list(context.output, &operations, &columns, row, |o| o.operation.to_string())?;
    Ok(Exit::Ok)
}
