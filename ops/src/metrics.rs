//! Registration of metrics.
use crate::error::{CliError, CliResult};

/// Names of metrics are of the program's own making: an error would be its mistake.
pub(crate) fn counted<T>(made: prometheus::Result<T>) -> CliResult<T> {
    made.map_err(|e| CliError::failed(format!("metrics: {e}")))
}
