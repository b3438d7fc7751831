//! The state of a compilation: the job file, and the problems found in it.
use crate::time::Timestamp;
use crate::wire::step::qc::QcTask;
use crate::yaml::Problem;

/// Loads and resolves a delivery spec for a `qc` step, given its path as written.
pub type PolicyLoader<'a> = dyn FnMut(&str) -> Result<QcTask, Problem> + 'a;

pub(super) struct Compiler<'a> {
    /// Path of the job file as written.
    pub(super) file: &'a str,
    /// Text of the job file.
    pub(super) source: &'a str,
    /// Absolute directory of the job file.
    pub(super) base: &'a str,
    /// Id of the run.
    pub(super) job_id: &'a str,
    /// The moment of submission.
    pub(super) now: Timestamp,
    pub(super) policies: &'a mut PolicyLoader<'a>,
    pub(super) problems: Vec<Problem>,
    /// The step that is compiled now: its problems lie within it.
    pub(super) step: Option<usize>,
    /// Whether parts of the file with mistakes were left out: a step may have lost its name by that.
    pub(super) is_incomplete: bool,
    /// The tree that the library is: a folder or a bucket prefix.
    pub(super) tree: Option<String>,
}

impl Compiler<'_> {
    /// Records a problem at the first place of `needle` in the present step, or in the file outside of steps.
    pub(super) fn blame(&mut self, needle: &str, message: String, hint: impl Into<String>) {
        let problem = Problem::new(self.file, message).hint(hint);
        self.problems.push(match self.step {
            Some(step) => problem.within(self.source, needle, "steps", step),
            None => problem.near(self.source, needle),
        });
    }

    /// Whether the file names a step that was left out because of a mistake.
    pub(super) fn is_left_out(&self, step: &str) -> bool {
        let place = Problem::new(self.file, "").near(self.source, &format!("id: {step}"));
        self.is_incomplete && place.at.is_some()
    }

    /// A path of the job file, absolute.
    pub(super) fn absolute(&self, path: &str) -> String {
        absolute(self.base, path)
    }
}

/// Joins a path as written in a file with the directory of that file, lexically.
pub fn absolute(base: &str, path: &str) -> String {
    let joined = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{base}/{path}")
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    format!("/{}", parts.join("/"))
}
