//! `showrunner top`: the status again and again, until Ctrl-C.
use super::status::{ask, render};
use super::stop_signal;
use crate::context::Context;
use crate::error::{CliError, CliResult, Exit};
use crate::output::{self, Format};
use crate::target::Target;
use protocol::quantity::Span;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Time between two looks at whether Ctrl-C was pressed.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a coordinator may be unreachable before the command gives up.
const AWAY_MAX: Duration = Duration::from_secs(60);

/// Arguments of `top`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Maximum number of open jobs
    #[arg(long, default_value_t = 20)]
    limit: u32,
    /// Time between two looks
    #[arg(long, default_value = "2s", value_name = "TIME")]
    interval: String,
}

/// Runs the command until Ctrl-C. On a terminal each look replaces the one before; `-o jsonl` prints a line for each.
pub(crate) fn run(context: &Context, args: &Args) -> CliResult<Exit> {
    let interval = Span::parse(&args.interval).map_err(CliError::usage)?.0;
    let screen = match context.output {
        Format::Jsonl => false,
        Format::Table | Format::Wide if io::stdout().is_terminal() => true,
        _ => {
            return Err(CliError::usage("top needs a terminal, or -o jsonl")
                .hint("for one look: showrunner status"));
        }
    };
    let stopped = on_signal()?;
    let mut target = Target::open(context)?;
    let screen = screen.then(Screen::enter).transpose()?;
    let mut heard = Instant::now();
    while !stopped.load(Ordering::Relaxed) {
        match ask(&mut target, args.limit) {
            Ok(status) => {
                heard = Instant::now();
                match &screen {
                    Some(screen) => screen.show(&render(&status))?,
                    None => output::one(context.output, &status, |_| String::new(), "")?,
                }
            }
            // A coordinator that is replaced is unreachable for seconds.
            Err(error) if error.passing && heard.elapsed() < AWAY_MAX => {
                if let Some(screen) = &screen {
                    screen.show(&format!("{}\n", error.message))?;
                }
            }
            Err(error) => return Err(error),
        }
        let next = Instant::now() + interval;
        while Instant::now() < next && !stopped.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK_EVERY.min(interval));
        }
    }
    Ok(Exit::Ok)
}

/// Becomes true with the first Ctrl-C or SIGTERM.
fn on_signal() -> CliResult<Arc<AtomicBool>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::failed(format!("signals cannot be handled: {error}")))?;
    let stopped = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stopped);
    std::thread::spawn(move || {
        runtime.block_on(stop_signal());
        seen.store(true, Ordering::Relaxed);
    });
    Ok(stopped)
}

/// The alternate screen of the terminal; the text that was there before comes back at the end.
struct Screen;

impl Screen {
    fn enter() -> io::Result<Screen> {
        let mut out = io::stdout().lock();
        out.write_all(b"\x1b[?1049h\x1b[?25l")?;
        out.flush()?;
        Ok(Screen)
    }

    /// Replaces what the screen shows. Lines beyond its height are left out.
    fn show(&self, text: &str) -> io::Result<()> {
        let (rows, columns) = output::terminal_size().unwrap_or((24, 80));
        let mut page = String::from("\x1b[H");
        for line in output::text(text).lines().take(rows.saturating_sub(1)) {
            page.extend(line.chars().take(columns));
            page += "\x1b[K\n";
        }
        page += "\x1b[J";
        let mut out = io::stdout().lock();
        out.write_all(page.as_bytes())?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal is gone when this fails.
        drop(io::stdout().write_all(b"\x1b[?25h\x1b[?1049l"));
        drop(io::stdout().flush());
    }
}
