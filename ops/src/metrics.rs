//! Registration of metrics.
use crate::error::{CliError, CliResult};

/// Converts an error of registration, which would be a defect of this program.
pub(crate) fn counted<T>(made: prometheus::Result<T>) -> CliResult<T> {
    made.map_err(|e| CliError::failed(format!("metrics: {e}")))
}
