//! CSV rows, straight from the parser core: it never allocates, so that a row of any length costs a fixed buffer.
use super::location::Root;
use super::page::{Pager, RowPosition, Stop};
use super::row::ROW_MAX;
use super::row::{self, Cells, Column};
use super::source::Source;
use csv_core::ReadRecordResult;
use protocol::media::asset::Asset;
use protocol::model::scan_cursor::ScanCursor;
use protocol::wire::report::RowError;
use protocol::yaml::nearest;

/// Columns a header may have.
const COLUMNS_MAX: usize = 4096;

/// What a column of this file is.
enum Slot {
    Known(Column),
    Meta(String),
}

impl Slot {
    fn name(&self) -> &str {
        match self {
            Slot::Known(column) => column.as_str(),
            Slot::Meta(name) => name,
        }
    }
}

/// Reads a CSV manifest: header, then rows from the start or from `resume`.
pub(super) fn scan(
    source: Source,
    delimiter: u8,
    root: &Root,
    resume: Option<ScanCursor>,
    mut pager: Pager,
) -> Result<(), Stop> {
    let mut rows = Rows::new(source, delimiter);
    let slots = header(&mut rows)?;
    rows.ends.truncate(slots.len());
    if let Some(cursor) = resume.filter(|cursor| cursor.byte > rows.source.byte()) {
        rows.go_to(RowPosition {
            byte: cursor.byte,
            line: cursor.line,
        })?;
    }
    while let Some(record) = rows.next()? {
        if slots.len() > 1 && rows.is_blank(&record) {
            continue;
        }
        pager.row(
            Some(record.place),
            record.place.line,
            make(&rows, &record, &slots, root),
        )?;
    }
    let end = rows.place();
    pager.finish(Some(end))
}

/// One record in the buffers of [`Rows`].
struct Record {
    place: RowPosition,
    /// Line it ends on.
    last_line: u64,
    /// Bytes of text in `output`.
    length: usize,
    /// Fields seen; more than `ends` holds when there are too many.
    fields: usize,
    fault: Option<Fault>,
}

impl Record {
    /// A record of which nothing has been read.
    fn begin(place: RowPosition) -> Record {
        Record {
            place,
            last_line: place.line,
            length: 0,
            fields: 0,
            fault: None,
        }
    }
}

enum Fault {
    /// It is longer than [`ROW_MAX`]; its text is gone.
    TooLong,
    /// The file ends inside quotes.
    Unclosed,
}

/// The records of a file with the place of each.
struct Rows {
    source: Source,
    parser: csv_core::Reader,
    output: Vec<u8>,
    ends: Vec<usize>,
    /// Whether the last record ended with a carriage return whose line feed, if any, is still to come.
    after_return: bool,
}

impl Rows {
    fn new(source: Source, delimiter: u8) -> Rows {
        let parser = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        // One byte more than a row may have, so that the limit is hit before the buffer is full.
        Rows {
            source,
            parser,
            output: vec![0; ROW_MAX + 2],
            ends: vec![0; COLUMNS_MAX + 1],
            after_return: false,
        }
    }

    fn place(&self) -> RowPosition {
        RowPosition {
            byte: self.source.byte(),
            line: self.parser.line(),
        }
    }

    fn go_to(&mut self, place: RowPosition) -> Result<(), Stop> {
        self.source.seek(place.byte)?;
        self.parser.set_line(place.line);
        self.after_return = false;
        Ok(())
    }

    /// Passes over line ends, so that a row's place is that of its first character.
    fn skip_line_ends(&mut self) -> Result<(), Stop> {
        while let Some(byte) = self.source.fill()?.first().copied() {
            if std::mem::take(&mut self.after_return) && byte != b'\n' {
                self.parser.set_line(self.parser.line() + 1);
            }
            match byte {
                b'\n' => self.parser.set_line(self.parser.line() + 1),
                b'\r' => self.after_return = true,
                _ => break,
            }
            self.source.consume(1);
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Record>, Stop> {
        self.skip_line_ends()?;
        let mut record = Record::begin(self.place());
        let mut taken = 0;
        let mut spare = [0; 64];
        let Rows {
            source,
            parser,
            output,
            ends,
            after_return,
        } = self;
        loop {
            let input = source.fill()?;
            let at_end = input.is_empty();
            if at_end && taken == 0 {
                return Ok(None);
            }
            let input = match record.fault {
                // A line end of our own closes the last record, unless quotes are open: then it is only text.
                None if at_end => b"\n",
                None => &input[..input.len().min(ROW_MAX + 1 - taken)],
                Some(_) => input,
            };
            let free = if record.fields < ends.len() {
                &mut ends[record.fields..]
            } else {
                &mut spare[..]
            };
            let (result, read, written, fields) =
                parser.read_record(input, &mut output[record.length..], free);
            let last = if at_end {
                None
            } else {
                input[..read].last().copied()
            };
            record.length += written;
            record.fields += fields;
            if at_end {
                parser.set_line(parser.line() - read as u64);
            } else {
                taken += read;
                source.consume(read);
            }
            if taken > ROW_MAX {
                record.fault = Some(Fault::TooLong);
                record.length = 0;
            }
            match result {
                ReadRecordResult::Record => {
                    *after_return = last == Some(b'\r');
                    // A line feed that ended it was counted already.
                    record.last_line = parser.line() - u64::from(last == Some(b'\n'));
                    return Ok(Some(record));
                }
                ReadRecordResult::End => return Ok(None),
                ReadRecordResult::InputEmpty if at_end && record.fault.is_none() => {
                    record.fault = Some(Fault::Unclosed);
                }
                ReadRecordResult::InputEmpty
                | ReadRecordResult::OutputFull
                | ReadRecordResult::OutputEndsFull => {}
            }
        }
    }

    /// Whether a record is a line of nothing but blanks.
    fn is_blank(&self, record: &Record) -> bool {
        record.fields == 1
            && record.fault.is_none()
            && self.output[..record.length].trim_ascii().is_empty()
    }

    fn field(&self, record: &Record, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.output[start..self.ends[index].min(record.length)]
    }
}

fn header(rows: &mut Rows) -> Result<Vec<Slot>, Stop> {
    let required = Column::REQUIRED.map(Column::as_str).join(",");
    let Some(record) = rows.next()? else {
        return Err(rows.source.header_failure(format_args!(
            "the file is empty: its first line must name the columns ({required})"
        )));
    };
    let fail = |message: String| Err(rows.source.header_failure(message));
    if record.fault.is_some() {
        return fail(format!(
            "the header is longer than {ROW_MAX} bytes or its quotes are never closed"
        ));
    }
    if record.fields > COLUMNS_MAX {
        return fail(format!(
            "the header has {} columns; {COLUMNS_MAX} are allowed",
            record.fields
        ));
    }
    let mut names = Vec::with_capacity(record.fields);
    for index in 0..record.fields {
        match std::str::from_utf8(rows.field(&record, index)).map(str::trim) {
            Err(_) => {
                return fail(format!(
                    "the name of column {} is not UTF-8: save the file as UTF-8",
                    index + 1
                ));
            }
            // The text of the line stays out: a wrong path must not show what another file holds.
            Ok(name) if name.chars().any(char::is_control) => {
                return fail(format!(
                    "the name of column {} holds a control character: remove it",
                    index + 1
                ));
            }
            Ok(name) => names.push(name),
        }
    }
    let mut slots: Vec<Slot> = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        let twice = names[..index]
            .iter()
            .any(|earlier| earlier.eq_ignore_ascii_case(name));
        slots.push(match Column::parse(name) {
            Some(_) if twice => return fail(format!("column {name:?} occurs twice: remove one")),
            Some(column) => Slot::Known(column),
            // Spreadsheets leave nameless and repeated columns behind; what is in them is kept all the same.
            None if twice || name.is_empty() => {
                Slot::Meta(format!("{name} (column {})", index + 1).trim().to_owned())
            }
            None => Slot::Meta((*name).to_owned()),
        });
    }
    let has = |column| {
        slots
            .iter()
            .any(|slot| matches!(slot, Slot::Known(known) if *known == column))
    };
    match Column::REQUIRED.into_iter().find(|column| !has(*column)) {
        Some(missing) => fail(missing_column(missing, &slots)),
        None => Ok(slots),
    }
}

fn missing_column(missing: Column, slots: &[Slot]) -> String {
    let name = missing.as_str();
    let found: Vec<&str> = slots
        .iter()
        .take(50)
        .map(Slot::name)
        .filter(|name| name.len() <= 80)
        .collect();
    let unknown: Vec<&str> = found
        .iter()
        .copied()
        .filter(|name| Column::parse(name).is_none())
        .collect();
    let hint = match (slots, nearest(name, &unknown)) {
        ([Slot::Meta(only)], _) if only.starts_with('{') => {
            "it looks like JSON lines: name the file .jsonl".to_owned()
        }
        ([Slot::Meta(only)], _) if only.contains(';') => {
            "columns are separated by ';' here: save the file with commas".to_owned()
        }
        ([Slot::Meta(_)], _) => {
            "is the first line a header, and are columns separated by commas (tabs in .tsv)?"
                .to_owned()
        }
        (_, Some(similar)) => format!("is {similar:?} meant? rename it to {name}"),
        // Neither does this text show it.
        (_, None) => format!(
            "it has {} columns, and asset, title, role and location are required",
            slots.len()
        ),
    };
    format!("the header has no column {name:?}; {hint}")
}

fn make(rows: &Rows, record: &Record, slots: &[Slot], root: &Root) -> Result<Asset, RowError> {
    let line = record.place.line;
    let error = |column: Option<&str>, cells: Option<&Cells<'_>>, message| {
        let (asset, title) = cells.map_or((None, None), |cells| (cells.id(), cells.title()));
        Err(RowError {
            line,
            column: column.map(str::to_owned),
            asset,
            message,
            title,
        })
    };
    match record.fault {
        Some(Fault::TooLong) => {
            let message = format!(
                "the row is longer than {ROW_MAX} bytes and was passed over (lines {line} to {}): is a quote never closed?",
                record.last_line
            );
            return error(None, None, message);
        }
        Some(Fault::Unclosed) => {
            let message = format!(
                "a quote opened in the row on line {line} is never closed, so nothing after it was read: close it"
            );
            return error(None, None, message);
        }
        None => {}
    }
    let mut cells = Cells::default();
    let whole = std::str::from_utf8(&rows.output[..record.length]).ok();
    let mut start = 0;
    for (index, slot) in slots.iter().enumerate().take(record.fields) {
        let end = rows.ends[index];
        // Fields are neighbours in the buffer: a slice of valid text may still cut a character in two.
        let Some(value) = whole
            .and_then(|text| text.get(start..end))
            .or_else(|| std::str::from_utf8(rows.field(record, index)).ok())
        else {
            let message = "the value is not UTF-8: save the file as UTF-8".to_owned();
            return error(Some(slot.name()), Some(&cells), message);
        };
        start = end;
        match slot {
            Slot::Known(column) => cells.set(*column, value.trim()),
            Slot::Meta(name) => cells.meta.push((name, value.trim())),
        }
    }
    if record.fields != slots.len() {
        let lines = match record.last_line > line {
            true => format!(
                "; it reaches to line {}: is a quote never closed?",
                record.last_line
            ),
            false => ": is a comma missing or not in quotes?".to_owned(),
        };
        let message = format!(
            "the row has {} fields, the header has {}{lines}",
            record.fields,
            slots.len()
        );
        // A missing comma moves what comes after it: the title is that of the row only where it comes before.
        return error(None, Some(&cells), message);
    }
    row::asset(&cells, line, |written| root.resolve(written))
}
