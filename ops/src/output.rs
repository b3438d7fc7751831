//! Data goes to stdout, everything else to stderr.
use crate::error::CliError;
use clap::ValueEnum;
use comfy_table::Table;
use serde::Serialize;
use std::borrow::Cow;
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

/// A list in any format. `columns` and `row` make the table, `name` the id.
pub fn list<T: Serialize>(
    format: Format,
    items: &[T],
    columns: &[&str],
    row: impl Fn(&T) -> Vec<String>,
    name: impl Fn(&T) -> String,
) -> io::Result<()> {
    WRITTEN.store(true, Ordering::Relaxed);
    let mut out = io::stdout().lock();
    match format {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(items)?),
        Format::Jsonl => {
            for item in items {
                writeln!(out, "{}", serde_json::to_string(item)?)?;
            }
            Ok(())
        }
        Format::Name => {
            for item in items {
                writeln!(out, "{}", line(&name(item)))?;
            }
            Ok(())
        }
        Format::Table | Format::Wide => {
            write!(out, "{}", table(columns, items.iter().map(row)))
        }
    }
}

/// A table for people, a line each.
pub fn table(columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::TableStyle::new());
    table.set_header(columns.iter().map(|c| c.to_uppercase()));
    for row in rows {
        table.add_row(row.iter().map(|cell| line(cell).into_owned()));
    }
    let mut text = String::new();
    for line in table.to_string().lines() {
        text.push_str(line.trim());
        text.push('\n');
    }
    text
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
        Format::Table | Format::Wide => write!(out, "{}", self::text(&text(item))),
    }
}

/// Text of several lines for people: characters that steer a terminal or turn the direction of text are escaped.
pub fn text(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c == '\n' || c == '\t')
}

/// Text of one line for people, as a cell of a table; line breaks are escaped too.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// A line of JSON with the same value: characters that JSON leaves as they are and a terminal obeys are escaped.
pub fn json_line(text: &str) -> Cow<'_, str> {
    // All of them are in the basic plane, and outside of strings there are only spaces and line ends.
    replaced(
        text,
        |c| steers(c) && c >= '\u{7f}',
        |c, out| out.push_str(&format!("\\u{:04x}", u32::from(c))),
    )
}

/// Whether a character is a C0 or C1 control or one of the bidirectional controls of Unicode TR 36 §2.5.
fn steers(c: char) -> bool {
    let bidi = matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || bidi || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Escapes what steers and `kept` does not keep.
fn escaped(text: &str, kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    replaced(
        text,
        |c| steers(c) && !kept(c),
        |c, out| out.extend(c.escape_default()),
    )
}

fn replaced(
    text: &str,
    matches: impl Fn(char) -> bool,
    replace: impl Fn(char, &mut String),
) -> Cow<'_, str> {
    if !text.contains(&matches) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if matches(c) {
            replace(c, &mut out);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
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
    fn text_that_steers_a_terminal_is_escaped() {
        assert!(matches!(
            text("Crème brûlée é 日本 \u{200d}🎬\n"),
            Cow::Borrowed(_)
        ));
        assert_eq!(text("a\u{1b}]0;x\u{7}b\r\n"), "a\\u{1b}]0;x\\u{7}b\\r\n");
        assert_eq!(
            line("a\nb\u{202e}gpj.exe\u{9b}2J"),
            "a\\nb\\u{202e}gpj.exe\\u{9b}2J"
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
