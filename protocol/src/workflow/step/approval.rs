//! `approval`: waits for the decision of a person.
use super::{StepFile, StepForm};
use crate::quantity::Span;
use crate::rules::review::approval::Condition;
use crate::workflow::Action;
use crate::workflow::compiler::Compiler;
use schemars::JsonSchema;
use serde::Deserialize;

/// Parameters of an approval step.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalFile {
    /// Who may approve.
    pub role: String,
    /// Which assets need it, e.g. `asset.role == 'master'`, joined by `&&` and `||` (default: all).
    pub when: Option<String>,
    /// Time for the decision (default: until the job's deadline).
    pub due: Option<Span>,
}

impl StepForm for ApprovalFile {
    fn compile(&self, file: &StepFile, compiler: &mut Compiler<'_>) -> Action {
        if file.needs.is_empty() {
            let message = format!(
                "approval {:?} needs nothing, so there is nothing to approve yet",
                file.id
            );
            compiler.blame(&format!("id: {}", file.id), message, "add `needs: [step]`");
        }
        if self.role.trim().is_empty() {
            compiler.blame(
                "role",
                format!("approval {:?} names no role", file.id),
                "write `role: approver`",
            );
        }
        if let Some(Err(wrong)) = self.when.as_deref().map(Condition::parse) {
            compiler.blame("when", wrong.to_string(), wrong.hint);
        }
        Action::Approval {
            role: self.role.clone(),
            when: self.when.clone(),
        }
    }

    fn due(&self) -> Option<Span> {
        self.due
    }
}
