//! `qc`: measures media and judges them by a delivery spec.
use super::{StepFile, StepForm};
use crate::id::Kind;
use crate::quantity::Span;
use crate::rules::unit::retry::RetryPolicy;
use crate::wire::step::TaskSpec;
use crate::wire::step::qc::QcTask;
use crate::workflow::Action;
use crate::workflow::compiler::Compiler;
use schemars::JsonSchema;
use serde::Deserialize;

/// Parameters of a qc step.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QcFile {
    /// Path of the delivery spec to judge by.
    pub policy: String,
    /// Time for the rework of an asset that fails (default: until the job's deadline).
    pub due: Option<Span>,
}

impl StepForm for QcFile {
    fn compile(&self, _: &StepFile, compiler: &mut Compiler<'_>) -> Action {
        let path = compiler.absolute(&self.policy);
        let task = (compiler.policies)(&path).unwrap_or_else(|problem| {
            if problem.at.is_some() {
                compiler.problems.push(problem);
            } else {
                // A spec that cannot be found or read has no place of its own: the step that names it has.
                compiler.blame(
                    &format!("policy: {}", self.policy),
                    format!("{}: {}", problem.file, problem.message),
                    problem.hint.unwrap_or_else(|| "check the path".to_owned()),
                );
            }
            QcTask {
                policy: String::new(),
                digest: String::new(),
            }
        });
        Action::units(Kind::Qc, TaskSpec::Qc(task))
    }

    fn retry(&self) -> RetryPolicy {
        RetryPolicy::measuring()
    }

    fn due(&self) -> Option<Span> {
        self.due
    }
}
