//! Data goes to stdout, everything else to stderr.
use clap::ValueEnum;
use comfy_table::Table;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// How data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people.
    Table,
    /// More columns.
    Wide,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// Ids alone.
    Name,
}

/// A list in any format. `columns` and `row` make the table, `name` the id.
pub fn list<T: Serialize>(
    format: Format,
    items: &[T],
    columns: &[&str],
    row: impl Fn(&T) -> Vec<String>,
    name: impl Fn(&T) -> String,
) -> io::Result<()> {
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
                writeln!(out, "{}", name(item))?;
            }
            Ok(())
        }
        Format::Table | Format::Wide => {
            let mut table = Table::new();
            table.load_style(comfy_table::TableStyle::new());
            table.set_header(columns.iter().map(|c| c.to_uppercase()));
            for item in items {
                table.add_row(row(item));
            }
            for line in table.to_string().lines() {
                writeln!(out, "{}", line.trim())?;
            }
            Ok(())
        }
    }
}

/// One object as JSON, or as text for people.
pub fn one<T: Serialize>(format: Format, item: &T, text: impl FnOnce(&T) -> String, name: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match format {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(item)?),
        Format::Jsonl => writeln!(out, "{}", serde_json::to_string(item)?),
        Format::Name => writeln!(out, "{name}"),
        Format::Table | Format::Wide => write!(out, "{}", text(item)),
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
            return if unit == "B" { format!("{n} B") } else { format!("{value:.1} {unit}") };
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
        s => format!("{}h{:02}m", (s / 3600.0) as u64, ((s % 3600.0) / 60.0) as u64),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(3 << 30), "3.0 GiB");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(12), "12");
        assert_eq!(span(Duration::from_secs(75)), "1m15s");
    }
}
