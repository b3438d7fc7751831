//! `showrunner up`: one process that keeps serving.
use super::listen::{self, ListenArgs};
use super::stop::{guard, stop_signal};
use crate::context::Context;
use crate::embedded::{DataDir, Embedded};
use crate::error::{CliError, CliResult, Exit};
use crate::limits::LimitArgs;
use crate::storage::{self, Part};
use coordinator::http::State;
use std::collections::BTreeMap;
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(30);

/// Arguments of `up`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

impl Args {
    /// Its flags as settings.
    pub(crate) fn flags(&self, flags: &mut BTreeMap<&str, String>) {
        self.listen.flags(flags);
        self.limits.flags(flags);
    }
}

/// Runs the command.
pub(crate) async fn run(context: Context, _: Args) -> CliResult<Exit> {
    listen::address(&context)?;
    guard(&context, GRACE)?;
    storage::warn_without_roots(&context.settings, Part::Serves)?;
    let embedded = Embedded::start(DataDir::open(&context.data())?, &context.settings)?;
    serve(&context, embedded).await
}

/// Serves until a signal or a failure.
pub(crate) async fn serve(context: &Context, embedded: Embedded) -> CliResult<Exit> {
    let state = State {
        hosts: listen::host_names(context),
        ..embedded.api()
    };
    let listen = &context.settings["listen"].value;
    let served = match coordinator::http::serve(listen, state) {
        Ok(served) => served,
        Err(error) => {
            // Dropped instead, its threads would keep the process from ending.
            embedded.shutdown(Duration::ZERO).await;
            return Err(
                CliError::failed(format!("cannot listen on {listen}: {error}"))
                    .hint("--listen 127.0.0.1:0 takes any free port"),
            );
        }
    };
    eprintln!(
        "showrunner serves {} on http://{}",
        context.data().display(),
        served.address
    );
    eprintln!(
        "submit with: showrunner job submit job.yaml --data {}",
        context.data().display()
    );
    let exit = tokio::select! {
        () = stop_signal() => Exit::Ok,
        () = embedded.failed() => Exit::Failed,
    };
    served.stop().await;
    embedded.shutdown(GRACE).await;
    Ok(exit)
}
