//! Opens a manifest, finds out which format it has and where to start.
use super::location::Root;
use super::page::{Pager, Stop};
use super::source::Source;
use super::{csv, jsonl};
use protocol::model::scan_cursor::ScanCursor;
use std::path::Path;
use storage::Roots;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// What a manifest is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv { delimiter: u8 },
    JsonLines,
}

/// Reads a manifest to its end or until it is stopped.
pub(super) fn scan(
    path: &str,
    roots: &Roots,
    root: &Root,
    resume: Option<ScanCursor>,
    pager: Pager,
) -> Result<(), Stop> {
    let mut source = Source::open(path, roots, pager.stop().clone())?;
    let start = source.fill()?;
    if let Some(found) = foreign(start) {
        return Err(source.header_failure(found));
    }
    let bom = if start.starts_with(BOM) { BOM.len() } else { 0 };
    let first = start[bom..]
        .iter()
        .copied()
        .find(|b| !b.is_ascii_whitespace());
    let format = format(path, first);
    source.consume(bom);
    match format {
        Format::Csv { delimiter } => csv::scan(source, delimiter, root, resume, pager),
        Format::JsonLines if first == Some(b'[') => Err(source.header_failure(
            "this is one JSON array: write one object per line (`jq -c '.[]'` does that)",
        )),
        Format::JsonLines => jsonl::scan(source, root, resume, pager),
    }
}

/// The extension decides; where it says nothing, the first character does.
fn format(path: &str, first: Option<u8>) -> Format {
    let extension = Path::new(path)
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default()
        .to_ascii_lowercase();
    match extension.as_str() {
        "csv" => Format::Csv { delimiter: b',' },
        "tsv" | "tab" => Format::Csv { delimiter: b'\t' },
        "jsonl" | "ndjson" | "json" => Format::JsonLines,
        _ if first == Some(b'{') => Format::JsonLines,
        _ => Format::Csv { delimiter: b',' },
    }
}

/// Formats people save by accident, by their first bytes.
fn foreign(start: &[u8]) -> Option<&'static str> {
    match start {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("the file is UTF-16: save it as UTF-8"),
        [b'P', b'K', 3, 4, ..] => {
            Some("the file is a spreadsheet or an archive: export it as CSV (UTF-8)")
        }
        [0x1f, 0x8b, ..] => Some("the file is compressed with gzip: unpack it"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extension_decides_before_the_first_character() {
        let comma = Format::Csv { delimiter: b',' };
        assert_eq!(format("a.csv", Some(b'{')), comma);
        assert_eq!(format("a.TSV", None), Format::Csv { delimiter: b'\t' });
        for path in ["a.jsonl", "a.ndjson", "a.json"] {
            assert_eq!(format(path, Some(b'x')), Format::JsonLines);
        }
        assert_eq!(format("a.txt", Some(b'{')), Format::JsonLines);
        assert_eq!(format("manifest", Some(b'a')), comma);
    }
}
