//! Rows of a library that cannot be used, in the form of failures.
use protocol::failure::Failure;
use protocol::wire::report::RowError;
use protocol::wire::step::scan::ScanSource;
use protocol::workflow::Workflow;

/// Reason code of a row that cannot be used.
pub const ROW_INVALID: &str = "row_invalid";
/// Name of the step that such rows fail in.
pub const SCAN: &str = "scan";

/// The failure of a row; its cause groups rows with the same mistake.
pub(super) fn failure(row: &RowError) -> Failure {
    Failure::permanent(ROW_INVALID, row.message.clone())
}

/// The message of a row with its place: library, line and column.
pub(super) fn placed(library: &str, row: &RowError) -> String {
    if row.line == 0 {
        return row.message.clone();
    }
    let column = match &row.column {
        Some(column) => format!(", column {column}"),
        None => String::new(),
    };
    format!("{library} line {}{column}: {}", row.line, row.message)
}

/// The file name of a manifest, as people know it.
pub(super) fn library_name(workflow: &Workflow) -> &str {
    match workflow.scan_task().map(|task| &task.source) {
        Some(
            ScanSource::Manifest { path }
            | ScanSource::Folder { path, .. }
            | ScanSource::Bucket { location: path, .. },
        ) => path.rsplit('/').next().unwrap_or(path),
        None => "",
    }
}
