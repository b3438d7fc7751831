//! Errors as a person at a terminal meets them, with the documented exit codes.
use coordinator::store::StoreError;
use protocol::yaml::Problem;
use std::fmt;
use std::path::Path;

/// Documented exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Failed.
    Failed = 1,
    /// Wrong use: arguments or files.
    Usage = 2,
    /// The awaited job ended with failed or dead units.
    JobFailed = 3,
    /// Not authenticated or not allowed.
    Forbidden = 4,
    /// No such thing.
    NotFound = 5,
    /// Conflict or precondition.
    Conflict = 6,
    /// Waited too long.
    Timeout = 7,
    /// Interrupted.
    Interrupted = 130,
}

impl Exit {
    /// The name of what it stands for, as errors in JSON carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Exit::Ok => "ok",
            Exit::Failed => "failed",
            Exit::Usage => "usage",
            Exit::JobFailed => "job_failed",
            Exit::Forbidden => "forbidden",
            Exit::NotFound => "not_found",
            Exit::Conflict => "conflict",
            Exit::Timeout => "timeout",
            Exit::Interrupted => "interrupted",
        }
    }
}

/// An error with its exit code and what to do about it.
#[derive(Debug)]
pub struct CliError {
    /// Exit code.
    pub exit: Exit,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Whether asking again later may go well.
    pub passing: bool,
}

/// Short for results of commands.
pub type CliResult<T> = Result<T, CliError>;

impl CliError {
    /// An error of the given kind.
    pub fn new(exit: Exit, message: impl Into<String>) -> CliError {
        CliError { exit, message: message.into(), hint: None, passing: false }
    }

    /// Wrong use.
    pub fn usage(message: impl Into<String>) -> CliError {
        CliError::new(Exit::Usage, message)
    }

    /// Something went wrong.
    pub fn failed(message: impl Into<String>) -> CliError {
        CliError::new(Exit::Failed, message)
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> CliError {
        self.hint = Some(hint.into());
        self
    }
}

impl CliError {
    /// Says which file the error is about.
    #[must_use]
    pub fn about(mut self, path: &Path) -> CliError {
        self.message = format!("{}: {}", path.display(), self.message);
        self
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> CliError {
        let exit = if matches!(error, StoreError::NewerSchema { .. }) { Exit::Conflict } else { Exit::Failed };
        CliError::new(exit, error.to_string())
    }
}

impl From<Vec<Problem>> for CliError {
    fn from(problems: Vec<Problem>) -> CliError {
        let count = problems.len();
        let text: Vec<String> = problems.iter().map(Problem::to_string).collect();
        let more = if count > 1 { format!("\n{count} problems") } else { String::new() };
        CliError::usage(format!("{}{more}", text.join("\n")))
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> CliError {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            // Whoever read our data has seen enough (`| head`): nobody wants to hear of it.
            return CliError::failed(String::new());
        }
        CliError::failed(error.to_string())
    }
}
