//! Tables for people. On a terminal a table fits its width: long cells end with an ellipsis, and states have colours.
use super::{Format, line, terminal_size};
use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Row, Table, TableStyle};
use std::io::{self, IsTerminal};

/// Words that are shown in a colour where a cell holds them alone, or at its end.
const GOOD: [&str; 7] = [
    "succeeded",
    "ready",
    "pass",
    "working",
    "approved",
    "on track",
    "ok",
];
const BAD: [&str; 9] = [
    "failed",
    "dead",
    "fail",
    "finished_with_failures",
    "silent",
    "rejected",
    "LATE",
    "MISSED",
    "tool_error",
];
const OPEN: [&str; 9] = [
    "paused",
    "held",
    "draining",
    "quarantined",
    "AT RISK",
    "open",
    "overdue",
    "cancelling",
    "not_judged",
];

/// A table, a line for each row.
pub fn table(columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    render(Format::Table, columns, rows)
}

/// A table that fits the terminal; `wide` shows all of each cell.
pub(super) fn render(
    format: Format,
    columns: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> String {
    let terminal = io::stdout().is_terminal();
    let width = match format {
        Format::Table if terminal => terminal_size().map(|(_, columns)| columns),
        _ => None,
    };
    layout(columns, rows, width, terminal && has_colours())
}

/// Whether the terminal shows colours, and the environment does not refuse them (no-color.org).
fn has_colours() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn layout(
    columns: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
    width: Option<usize>,
    colours: bool,
) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new());
    table.set_header(columns.iter().map(|column| column.to_uppercase()));
    for cells in rows {
        let cells = cells.iter().map(|cell| {
            let text = line(cell).into_owned();
            let colour = colour_of(&text).filter(|_| colours);
            match colour {
                Some(colour) => Cell::new(text).fg(colour),
                None => Cell::new(text),
            }
        });
        let mut row = Row::from(cells.collect::<Vec<_>>());
        row.max_height(1);
        table.add_row(row);
    }
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        table.set_truncation_indicator("…");
        // Ids are copied and pasted.
        if let Some(first) = table.column_mut(0) {
            first.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    if colours {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    let mut text = String::new();
    for line in table.to_string().lines() {
        text.push_str(line.trim());
        text.push('\n');
    }
    text
}

fn colour_of(cell: &str) -> Option<Color> {
    let is_in = |words: &[&str]| {
        words.iter().any(|word| {
            cell == *word
                || cell
                    .strip_suffix(word)
                    .is_some_and(|rest| rest.ends_with(' '))
        })
    };
    if is_in(&BAD) {
        Some(Color::Red)
    } else if is_in(&OPEN) {
        Some(Color::Yellow)
    } else if is_in(&GOOD) {
        Some(Color::Green)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> impl Iterator<Item = Vec<String>> {
        let row =
            |id: &str, state: &str, message: &str| [id, state, message].map(str::to_owned).to_vec();
        [
            row(
                "delivery-check-qs9wkdya",
                "dead",
                "the file is shorter than its declared size by 12 bytes",
            ),
            row("b", "succeeded", "-"),
        ]
        .into_iter()
    }

    #[test]
    fn table_fits_the_width_and_keeps_ids() {
        let text = layout(&["id", "state", "message"], rows(), Some(60), false);
        assert!(
            text.lines().all(|line| line.chars().count() <= 60),
            "{text}"
        );
        assert!(
            text.contains("delivery-check-qs9wkdya") && text.contains('…'),
            "{text}"
        );
        assert_eq!(text.lines().count(), 3);
        let whole = layout(&["id", "state", "message"], rows(), None, false);
        assert!(
            whole.contains("by 12 bytes") && !whole.contains('\u{1b}'),
            "{whole}"
        );
    }

    #[test]
    fn states_have_colours_where_they_are_wanted() {
        let text = layout(&["id", "state", "message"], rows(), None, true);
        assert!(text.contains("\u{1b}[") && !text.contains("…"), "{text:?}");
        assert_eq!(colour_of("18:00 CET LATE"), Some(Color::Red));
        assert_eq!(colour_of("deadline"), None);
    }
}
