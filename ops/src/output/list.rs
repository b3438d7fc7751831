//! Lists in any format, page by page. A table needs all of its rows before the first line, and JSON is one document: it is
//! complete or not written at all.
use super::{Format, WRITTEN, csv, line, table};
use serde::Serialize;
use std::io::{self, BufWriter, Write};
use std::sync::atomic::Ordering;

/// What the formats show of an entry.
pub struct Columns<'a, T> {
    /// Heads of the table.
    pub table: &'a [&'a str],
    /// Cells of the table.
    pub row: &'a dyn Fn(&T) -> Vec<String>,
    /// Members of the JSON of an entry that are the columns of CSV; `a.b` is the member `b` of the member `a`.
    pub csv: &'a [&'a str],
    /// Id of an entry.
    pub name: &'a dyn Fn(&T) -> String,
}

/// Writes a list to stdout, page by page.
pub struct Lister<'a, T> {
    format: Format,
    columns: Columns<'a, T>,
    rows: Vec<Vec<String>>,
    /// The entries as JSON.
    entries: Vec<String>,
    begun: bool,
    out: BufWriter<io::Stdout>,
}

impl<'a, T: Serialize> Lister<'a, T> {
    /// Begins a list.
    pub fn new(format: Format, columns: Columns<'a, T>) -> Lister<'a, T> {
        Lister {
            format,
            columns,
            rows: Vec::new(),
            entries: Vec::new(),
            begun: false,
            out: BufWriter::new(io::stdout()),
        }
    }

    /// Nothing is written before the first page has been read: a command that fails writes its error alone.
    fn begin(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        if self.format != Format::Json {
            WRITTEN.store(true, Ordering::Relaxed);
        }
        match self.format {
            Format::Csv => write!(self.out, "{}", csv::line(self.columns.csv.iter().copied())),
            _ => Ok(()),
        }
    }

    /// Adds the entries of a page, and writes them where the format allows.
    pub fn page(&mut self, items: &[T]) -> io::Result<()> {
        self.begin()?;
        for item in items {
            self.item(item)?;
        }
        self.out.flush()
    }

    fn item(&mut self, item: &T) -> io::Result<()> {
        let out = &mut self.out;
        match self.format {
            Format::Json => {
                let text = serde_json::to_string_pretty(item)?;
                self.entries.push(text.replace('\n', "\n  "));
            }
            Format::Jsonl => writeln!(out, "{}", serde_json::to_string(item)?)?,
            Format::Name => writeln!(out, "{}", line(&(self.columns.name)(item)))?,
            Format::Csv => {
                let entry = serde_json::to_value(item)?;
                let cells: Vec<String> = self
                    .columns
                    .csv
                    .iter()
                    .map(|member| csv::cell(&entry, member))
                    .collect();
                write!(out, "{}", csv::line(cells.iter().map(String::as_str)))?;
            }
            Format::Table | Format::Wide => self.rows.push((self.columns.row)(item)),
        }
        Ok(())
    }

    /// Ends the list.
    pub fn end(mut self) -> io::Result<()> {
        self.begin()?;
        WRITTEN.store(true, Ordering::Relaxed);
        match self.format {
            Format::Json if self.entries.is_empty() => writeln!(self.out, "[]")?,
            Format::Json => writeln!(self.out, "[\n  {}\n]", self.entries.join(",\n  "))?,
            Format::Table | Format::Wide => {
                let rows = self.rows.into_iter();
                let text = table::render(self.format, self.columns.table, rows);
                write!(self.out, "{text}")?;
            }
            _ => {}
        }
        self.out.flush()
    }
}

/// A list that is in memory, in any format.
pub fn list<T: Serialize>(format: Format, items: &[T], columns: Columns<'_, T>) -> io::Result<()> {
    let mut lister = Lister::new(format, columns);
    lister.page(items)?;
    lister.end()
}
