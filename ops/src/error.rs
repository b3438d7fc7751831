//! Errors of commands, with the documented exit codes.
use coordinator::store::StoreError;
use protocol::yaml::Problem;
use std::fmt;
use std::path::Path;

/// Documented exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The command succeeded.
    Ok = 0,
    /// The command failed.
    Failed = 1,
    /// Wrong arguments or files.
    Usage = 2,
    /// The awaited job ended with failed or dead units.
    JobFailed = 3,
    /// Not authenticated or not allowed.
    Forbidden = 4,
    /// The named object does not exist.
    NotFound = 5,
    /// Conflict or precondition.
    Conflict = 6,
    /// The timeout passed.
    Timeout = 7,
    /// A signal interrupted the command.
    Interrupted = 130,
}

impl Exit {
    /// The name of the code in JSON errors.
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
    /// Exit code of the process.
    pub exit: Exit,
    /// Message for people.
    pub message: String,
    /// Remedy, if one is known.
    pub hint: Option<String>,
    /// Whether a later retry may succeed.
    pub passing: bool,
}

/// Result of a command.
pub type CliResult<T> = Result<T, CliError>;

impl CliError {
    /// An error of the given kind.
    pub fn new(exit: Exit, message: impl Into<String>) -> CliError {
        CliError {
            exit,
            message: message.into(),
            hint: None,
            passing: false,
        }
    }

    /// An error in arguments or files.
    pub fn usage(message: impl Into<String>) -> CliError {
        CliError::new(Exit::Usage, message)
    }

    /// A failure of the command.
    pub fn failed(message: impl Into<String>) -> CliError {
        CliError::new(Exit::Failed, message)
    }

    /// Adds a remedy.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> CliError {
        self.hint = Some(hint.into());
        self
    }
}

impl CliError {
    /// Adds the file of the error.
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
        let exit = if matches!(error, StoreError::NewerSchema { .. }) {
            Exit::Conflict
        } else {
            Exit::Failed
        };
        CliError::new(exit, error.to_string())
    }
}

impl From<Vec<Problem>> for CliError {
    fn from(problems: Vec<Problem>) -> CliError {
        let count = problems.len();
        let text: Vec<String> = problems.iter().map(Problem::to_string).collect();
        let more = if count > 1 {
            format!("\n{count} problems")
        } else {
            String::new()
        };
        CliError::usage(format!("{}{more}", text.join("\n")))
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> CliError {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            // The reader of our output has closed it (`| head`): this is no error to report.
            return CliError::failed(String::new());
        }
        CliError::failed(error.to_string())
    }
}
