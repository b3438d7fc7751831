//! Planted defects of the sample library, and errors while it is made.
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The planted faults of the sample library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planted {
    /// The job file to run.
    pub job: PathBuf,
    /// Rows of the manifest.
    pub assets: usize,
    /// Assets that are wrong, in the order of the manifest. Every other asset is clean.
    pub faults: Vec<Fault>,
    /// Whether the library was there already.
    pub reused: bool,
}

/// One asset that is wrong on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The asset's id.
    pub asset: String,
    /// Its title's id.
    pub title: String,
    /// The step that has to find it.
    pub step: Step,
    /// QC check id, or reason code of the failure, that must come.
    pub expect: &'static str,
    /// Check ids that may come with it as a consequence; any other is a false alarm.
    pub also: &'static [&'static str],
    /// What is wrong, for people.
    pub words: &'static str,
}

/// Steps of the job that find something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The transfer step.
    Land,
    /// The quality control.
    Check,
}

impl Step {
    /// The step's id in the job file.
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Land => "land",
            Step::Check => "check",
        }
    }
}

/// Why the sample library cannot be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The program cannot be started.
    #[error("{program} cannot be run: install ffmpeg 5.1 or later, or name its path")]
    Ffmpeg {
        /// The program as it was named.
        program: String,
        /// Error of the system.
        source: std::io::Error,
    },
    /// The program ran and failed.
    #[error("ffmpeg could not make {file}: {said}")]
    Encode {
        /// The file, relative to the library.
        file: String,
        /// Its last line of complaint.
        said: String,
    },
    /// The disk refused.
    #[error("{path} cannot be written")]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// The directory holds something else.
    #[error("{dir} holds other files: name an empty directory for the sample library")]
    NotOurs {
        /// Path of the directory.
        dir: PathBuf,
    },
}

impl DemoError {
    pub(super) fn io(path: &Path, source: std::io::Error) -> DemoError {
        DemoError::Io {
            path: path.to_owned(),
            source,
        }
    }
}
