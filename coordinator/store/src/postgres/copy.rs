//! Rows in the binary format of COPY. The schema has the types TEXT and BIGINT only.

const MAGIC: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Expected bytes of a row.
const ROW_BYTES: usize = 128;

/// Rows in the format of COPY, written column by column.
pub(crate) struct CopyRows {
    bytes: Vec<u8>,
    columns: i16,
    rows: usize,
}

impl CopyRows {
    /// Space for about `rows` rows of so many columns.
    pub(crate) fn new(columns: i16, rows: usize) -> CopyRows {
        let mut bytes = Vec::with_capacity(rows * ROW_BYTES + 32);
        bytes.extend_from_slice(MAGIC);
        // No flags, no header extension.
        bytes.extend_from_slice(&[0; 8]);
        CopyRows {
            bytes,
            columns,
            rows: 0,
        }
    }

    /// Number of rows.
    pub(crate) fn count(&self) -> usize {
        self.rows
    }

    /// Begins a row; the caller writes every column.
    pub(crate) fn row(&mut self) -> &mut CopyRows {
        self.bytes.extend_from_slice(&self.columns.to_be_bytes());
        self.rows += 1;
        self
    }

    /// A BIGINT column.
    pub(crate) fn int(&mut self, value: i64) -> &mut CopyRows {
        self.bytes.extend_from_slice(&8_i32.to_be_bytes());
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// A TEXT column.
    pub(crate) fn text(&mut self, value: &str) -> &mut CopyRows {
        let bytes = i32::try_from(value.len()).expect("no column holds two gigabytes");
        self.bytes.extend_from_slice(&bytes.to_be_bytes());
        self.bytes.extend_from_slice(value.as_bytes());
        self
    }

    /// A BIGINT column that may be NULL.
    pub(crate) fn int_or_null(&mut self, value: Option<i64>) -> &mut CopyRows {
        match value {
            Some(value) => self.int(value),
            None => self.null(),
        }
    }

    /// A TEXT column that may be NULL.
    pub(crate) fn text_or_null(&mut self, value: Option<&str>) -> &mut CopyRows {
        match value {
            Some(value) => self.text(value),
            None => self.null(),
        }
    }

    fn null(&mut self) -> &mut CopyRows {
        self.bytes.extend_from_slice(&(-1_i32).to_be_bytes());
        self
    }

    /// The encoded rows.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&(-1_i16).to_be_bytes());
        self.bytes
    }
}
