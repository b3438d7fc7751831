//! `noop`: takes time and moves nothing, for load tests and rehearsals.
use super::{StepFile, StepForm};
use crate::id::Kind;
use crate::quantity::{Share, SpanRange};
use crate::rules::unit::retry::RetryPolicy;
use crate::wire::step::TaskSpec;
use crate::wire::step::noop::NoopTask;
use crate::workflow::Action;
use crate::workflow::compiler::Compiler;
use schemars::JsonSchema;
use serde::Deserialize;

/// Parameters of a noop step, for load tests and rehearsals.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NoopFile {
    /// How long a unit takes, chosen evenly from the range.
    pub duration: Option<SpanRange>,
    /// Share of attempts that fail.
    pub fail: Option<Share>,
}

impl StepForm for NoopFile {
    fn compile(&self, _: &StepFile, _: &mut Compiler<'_>) -> Action {
        let micros = |d: std::time::Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        let task = NoopTask {
            duration_min_us: self.duration.map_or(0, |d| micros(d.min)),
            duration_max_us: self.duration.map_or(0, |d| micros(d.max)),
            fail: self.fail.map_or(0.0, |s| s.0),
        };
        Action::units(Kind::Noop, TaskSpec::Noop(task))
    }

    fn retry(&self) -> RetryPolicy {
        RetryPolicy::measuring()
    }
}
