//! The end of a process: signals to stop, and threads that do not end.
//!
//! A thread may be stuck in a call that never returns, such as a read of a network mount whose server is gone. The process
//! does not wait for it: what such a unit has done counts as not done, as after a crash.
use crate::context::Context;
use crate::error::{CliError, CliResult, Exit};
use crate::output::{self, Format};
use std::future::Future;
use std::io;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Time for reports and commits after the grace period of running units.
const REPORTS: Duration = Duration::from_secs(5);
/// Time for the threads of a process whose work is done.
const THREADS: Duration = Duration::from_secs(10);

/// The signals to stop, SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Resolves on the first signal to stop.
pub(crate) async fn stop_signal() {
    match Signals::new() {
        Ok(mut signals) => signals.next().await,
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

/// Ends the process with exit code 130 at the second signal to stop, and when it has not ended `grace` and some seconds
/// after the first. The thread has a runtime of its own: all others may be stuck.
pub(crate) fn guard(context: &Context, grace: Duration) -> CliResult<()> {
    let failed =
        |error: io::Error| CliError::failed(format!("a thread cannot be started: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let mut signals = {
        let _entered = runtime.enter();
        Signals::new().map_err(failed)?
    };
    let format = context.output;
    let wait = async move {
        signals.next().await;
        let why = tokio::select! {
            () = signals.next() => "second stop signal: exiting now; running units will be rescheduled",
            () = tokio::time::sleep(grace.saturating_add(REPORTS)) => {
                "a thread does not end after the grace period: exiting now; running units will be rescheduled"
            }
        };
        report(format, &CliError::new(Exit::Interrupted, why));
        std::process::exit(Exit::Interrupted as i32);
    };
    let thread = std::thread::Builder::new().name("stop".to_owned());
    thread
        .spawn(move || runtime.block_on(wait))
        .map(drop)
        .map_err(failed)
}

/// Runs a command to its end. Actors live on this thread, everything else on the multi-thread runtime behind it.
pub(super) fn block_on(
    format: Format,
    work: impl Future<Output = CliResult<Exit>>,
) -> CliResult<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| CliError::failed(format!("cannot start: {e}")))?;
    let system = actix::System::with_tokio_rt(|| runtime);
    let result = system.block_on(work);
    let ended = match &result {
        Ok(exit) => (*exit, None),
        Err(error) => {
            let CliError {
                exit,
                message,
                hint,
                passing,
            } = error;
            let (message, hint) = (message.clone(), hint.clone());
            (
                *exit,
                Some(CliError {
                    exit: *exit,
                    message,
                    hint,
                    passing: *passing,
                }),
            )
        }
    };
    // Dropping the runtime waits for its threads. Without this thread it would wait for ever.
    drop(
        std::thread::Builder::new()
            .name("end".to_owned())
            .spawn(move || {
                std::thread::sleep(THREADS);
                let (exit, error) = ended;
                error.iter().for_each(|error| report(format, error));
                std::process::exit(exit as i32);
            }),
    );
    drop(system);
    result
}

/// Prints an error for people, and for programs where they asked for data.
pub(super) fn report(format: Format, error: &CliError) {
    if error.message.is_empty() {
        return;
    }
    // Where stdout is closed there is nowhere to write it.
    drop(output::error(format, error));
    eprintln!("{}", output::text(&error.to_string()));
}
