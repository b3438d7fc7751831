//! Data goes to stdout, everything else to stderr.
mod csv;
mod escape;
mod list;
mod table;

pub use escape::{json_line, line, text};
pub use list::{Columns, Lister, list};
pub use table::table;

use crate::error::CliError;
use clap::ValueEnum;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Output format of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people.
    Table,
    /// A table with more columns.
    Wide,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// Only the ids, one a line.
    Name,
    /// Comma-separated values with a header, for spreadsheets.
    Csv,
}

/// Whether data has been written: a command that fails before it has, in a format for programs, writes its error.
static WRITTEN: AtomicBool = AtomicBool::new(false);

/// An error as a JSON document on stdout, in a format for programs, unless the command has written its data already.
pub fn error(format: Format, error: &CliError) -> io::Result<()> {
    #[derive(Serialize)]
    struct Shown<'a> {
        error: &'static str,
        exit: u8,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<&'a str>,
    }
    if !matches!(format, Format::Json | Format::Jsonl) || WRITTEN.load(Ordering::Relaxed) {
        return Ok(());
    }
    let (exit, hint) = (error.exit as u8, error.hint.as_deref());
    one(
        format,
        &Shown {
            error: error.exit.as_str(),
            exit,
            message: &error.message,
            hint,
        },
        |_| String::new(),
        "",
    )
}

/// Rows and columns of the terminal that stdout is.
pub fn terminal_size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    let (rows, columns) = (usize::from(size.ws_row), usize::from(size.ws_col));
    (rows > 0 && columns > 0).then_some((rows, columns))
}

/// One object as JSON, or as text for people.
pub fn one<T: Serialize>(
    format: Format,
    item: &T,
    text: impl FnOnce(&T) -> String,
    name: &str,
) -> io::Result<()> {
    WRITTEN.store(true, Ordering::Relaxed);
    let mut out = io::stdout().lock();
    match format {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(item)?),
        Format::Jsonl => writeln!(out, "{}", serde_json::to_string(item)?),
        Format::Name => writeln!(out, "{}", line(name)),
        Format::Csv => write!(out, "{}", csv::document(&serde_json::to_value(item)?)),
        Format::Table | Format::Wide => write!(out, "{}", self::text(&text(item))),
    }
}

/// Whether stderr is a terminal that a progress bar may draw on.
pub fn interactive() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// A number of bytes for people.
pub fn bytes(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 || unit == "TiB" {
            return if unit == "B" {
                format!("{n} B")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1024.0;
    }
    format!("{n} B")
}

/// A length of time for people.
pub fn span(length: Duration) -> String {
    let seconds = length.as_secs_f64();
    match seconds {
        s if s < 60.0 => format!("{s:.1}s"),
        s if s < 3600.0 => format!("{}m{:02}s", (s / 60.0) as u64, (s % 60.0) as u64),
        s => format!(
            "{}h{:02}m",
            (s / 3600.0) as u64,
            ((s % 3600.0) / 60.0) as u64
        ),
    }
}

/// A number with thousands apart.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number with the name of what it counts: `1 file`, `2 files`.
pub fn counted(n: u64, one: &str) -> String {
    format!("{} {one}{}", count(n), if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_counted_in_the_singular() {
        assert_eq!(
            [0, 1, 1_000].map(|n| counted(n, "file")),
            ["0 files", "1 file", "1,000 files"]
        );
    }

    #[test]
    fn figures_read_well() {
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(3 << 30), "3.0 GiB");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(12), "12");
        assert_eq!(span(Duration::from_secs(75)), "1m15s");
    }
}
