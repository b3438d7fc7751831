//! Inserts of many rows. Their texts are made once, when each is first used.
use std::sync::OnceLock;

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Column {
    /// A column of type BIGINT.
    Int(&'static str),
    /// A column of type TEXT.
    Text(&'static str),
}

impl Column {
    fn name(self) -> &'static str {
        match self {
            Column::Int(name) | Column::Text(name) => name,
        }
    }

    fn array(self) -> &'static str {
        match self {
            Column::Int(_) => "BIGINT[]",
            Column::Text(_) => "TEXT[]",
        }
    }
}

/// An insert into `N` columns of a table.
pub(crate) struct Insert<const N: usize> {
    table: &'static str,
    columns: [Column; N],
    conflict: &'static str,
    row: OnceLock<String>,
    arrays: OnceLock<String>,
}

impl<const N: usize> Insert<N> {
    /// `conflict` is empty or begins with `ON CONFLICT`.
    pub(crate) const fn new(
        table: &'static str,
        columns: [Column; N],
        conflict: &'static str,
    ) -> Insert<N> {
        Insert {
            table,
            columns,
            conflict,
            row: OnceLock::new(),
            arrays: OnceLock::new(),
        }
    }

    /// The columns in the order of the values.
    pub(crate) fn columns(&self) -> &[Column; N] {
        &self.columns
    }

    /// The statement for one row, with a parameter for each value.
    pub(crate) fn of_row(&self) -> &str {
        self.row.get_or_init(|| {
            let places: Vec<String> = (1..=N).map(|n| format!("?{n}")).collect();
            self.text(&format!("VALUES ({})", places.join(", ")))
        })
    }

    /// The statement for many rows, with an array of values for each column.
    pub(crate) fn of_arrays(&self) -> &str {
        self.arrays.get_or_init(|| {
            let places: Vec<String> = (1..)
                .zip(self.columns)
                .map(|(n, column)| format!("?{n}::{}", column.array()))
                .collect();
            self.text(&format!("SELECT * FROM unnest({})", places.join(", ")))
        })
    }

    fn text(&self, source: &str) -> String {
        let names = self.columns.map(Column::name).join(", ");
        format!(
            "INSERT INTO {} ({names}) {source} {}",
            self.table, self.conflict
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insert_has_one_text_for_a_row_and_one_for_arrays() {
        let insert = Insert::new(
            "t",
            [Column::Int("a"), Column::Text("b")],
            "ON CONFLICT DO NOTHING",
        );
        assert_eq!(
            insert.of_row(),
            "INSERT INTO t (a, b) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
        );
        let arrays = "INSERT INTO t (a, b) SELECT * FROM unnest(?1::BIGINT[], ?2::TEXT[]) ON CONFLICT DO NOTHING";
        assert_eq!(insert.of_arrays(), arrays);
    }
}
