//! `worker list`, `worker drain`, `worker release`: the workers as the store knows them.
use super::steer::Note;
use crate::context::Context;
use crate::error::{CliResult, Exit};
use crate::output;
use crate::source::Source;
use coordinator::query::workers::WorkerView;

/// Commands about workers.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List workers heard of lately
    List,
    /// Give a worker no more work; what it holds ends
    Drain(Target),
    /// Give a drained or quarantined worker work again
    Release(Target),
}

/// A worker to steer.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// Name of the worker
    worker: String,
    #[command(flatten)]
    note: Note,
}

/// Runs the command.
pub(crate) fn run(context: &Context, command: &Command) -> CliResult<Exit> {
    let mut source = Source::open(context)?;
    let view = match command {
        Command::List => {
            let workers = source.workers()?;
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
            let columns = ["worker", "state", "busy slots", "units", "heard of", "reason"];
            output::list(context.output, &workers, &columns, row, |w| w.worker.clone())?;
            return Ok(Exit::Ok);
        }
        Command::Drain(t) => source.drain_worker(&t.worker, &t.note.order())?,
        Command::Release(t) => source.release_worker(&t.worker, &t.note.order())?,
    };
    output::one(context.output, &view, |w| format!("{}: {}; {}\n", w.worker, w.state, w.next), &view.worker)?;
    Ok(Exit::Ok)
}
