//! `worker list`, `worker drain`, `worker release`: the workers as the store knows them.
use super::change::{AuditArgs, changes};
use crate::context::Context;
use crate::error::{CliResult, Exit};
use crate::output::{self, Columns};
use crate::target::Target;
use coordinator::http::endpoint::Nothing;
use coordinator::http::workers;
use coordinator::query::workers::WorkerView;

/// Commands about workers.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List workers heard of lately
    List,
    /// Give a worker no more work; what it holds ends
    Drain(WorkerTarget),
    /// Give a drained or quarantined worker work again
    Release(WorkerTarget),
}

/// A worker to drain or release.
#[derive(Debug, clap::Args)]
pub(crate) struct WorkerTarget {
    /// Name of the worker
    worker: String,
    #[command(flatten)]
    audit: AuditArgs,
}

/// Runs the command.
pub(crate) fn run(context: &Context, command: &Command) -> CliResult<Exit> {
    let mut target = Target::open(context)?;
    let view = match command {
        Command::List => {
            let listed = target.ask::<workers::List>((), Nothing {})?;
            let row = |w: &WorkerView| {
                vec![
                    w.worker.clone(),
                    w.state.clone(),
                    w.slots.join(" "),
                    output::count(w.held),
                    w.heard_at.clone(),
                    w.reason.clone().unwrap_or_default(),
                ]
            };
            let columns = [
                "worker",
                "state",
                "busy slots",
                "units",
                "heard of",
                "reason",
            ];
            let columns = Columns {
                table: &columns,
                row: &row,
                csv: &[
                    "worker", "state", "slots", "held", "heard_at", "reason", "by", "since",
                ],
                name: &|w| w.worker.clone(),
            };
            output::list(context.output, &listed, columns)?;
            return Ok(Exit::Ok);
        }
        Command::Drain(t) => {
            target.change::<workers::Drain>((t.worker.clone(),), t.audit.order())?
        }
        Command::Release(t) => {
            target.change::<workers::Release>((t.worker.clone(),), t.audit.order())?
        }
    };
    output::one(
        context.output,
        &view,
        |w| {
            format!(
                "{}  {}\n",
                changes(&w.worker, &w.state, &w.changes, w.dry_run),
                w.next
            )
        },
        &view.worker,
    )?;
    Ok(Exit::Ok)
}
