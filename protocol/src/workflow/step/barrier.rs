//! `barrier`: holds partitions together until its policy opens it.
use super::{StepFile, StepForm};
use crate::model::barrier::{Budget, Require, Scope};
use crate::quantity::Span;
use crate::rules::barrier::BarrierPolicy;
use crate::time::Timestamp;
use crate::workflow::compiler::Compiler;
use crate::workflow::{Action, Step};
use schemars::JsonSchema;
use serde::Deserialize;

/// Units of a batch, when the job does not say.
const BATCH_UNITS: u32 = 1_000;

/// Parameters of a barrier step.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BarrierFile {
    /// What it holds together.
    pub scope: Scope,
    /// How much must have succeeded.
    #[serde(default)]
    pub require: Require,
    /// Failures it tolerates: a number, or a share such as `5%`. With it, it opens once everything ended within the budget.
    pub failure_budget: Option<Budget>,
    /// It opens at this time whatever has happened: RFC 3339, or a duration after the job was submitted.
    pub until: Option<String>,
    /// It is reported as overdue after this long.
    pub deadline: Option<Span>,
    /// Scope batch only: units in a batch (default 1000).
    pub batch_units: Option<u32>,
}

impl StepForm for BarrierFile {
    fn compile(&self, file: &StepFile, compiler: &mut Compiler<'_>) -> Action {
        let needle = format!("id: {}", file.id);
        if file.needs.is_empty() {
            compiler.blame(
                &needle,
                format!(
                    "barrier {:?} needs nothing, so it holds nothing together",
                    file.id
                ),
                "add `needs: [step]`",
            );
        }
        if let Require::Fraction(share) = self.require
            && !(0.0..=1.0).contains(&share)
        {
            compiler.blame(
                "fraction",
                format!("fraction {share} is not between 0 and 1"),
                "0.9 means nine in ten",
            );
        }
        if self.batch_units == Some(0) {
            compiler.blame(
                "batch_units",
                "batch_units is 0".into(),
                "a batch has at least one unit",
            );
        }
        let until = self.until.as_deref().and_then(|text| {
            let moment = Timestamp::parse(text).or_else(|| {
                Span::parse(text)
                    .ok()
                    .map(|span| compiler.now.after(span.0))
            });
            if moment.is_none() {
                compiler.blame(
                    text,
                    format!("until {text:?} is neither a time nor a duration"),
                    "write 2026-12-01T18:00:00Z or 12h",
                );
            }
            moment
        });
        let policy = BarrierPolicy {
            require: self.require.into(),
            budget: self.failure_budget.map(Into::into),
            until,
        };
        let deadline_us = self
            .deadline
            .map(|d| i64::try_from(d.0.as_micros()).unwrap_or(i64::MAX));
        Action::Barrier {
            scope: self.scope,
            batch_units: self.batch_units.unwrap_or(BATCH_UNITS),
            policy,
            deadline_us,
        }
    }
}

impl Compiler<'_> {
    /// A barrier over barriers must be at least as wide as what it holds.
    pub(in crate::workflow) fn check_barriers(&mut self, steps: &[Step]) {
        for step in steps {
            let Action::Barrier { scope, .. } = &step.action else {
                continue;
            };
            for need in &step.needs {
                let Some(Action::Barrier { scope: inner, .. }) =
                    steps.get(usize::from(need.0)).map(|s| &s.action)
                else {
                    continue;
                };
                if *scope != Scope::Job {
                    let needle = format!("id: {}", step.id);
                    let message = format!(
                        "barrier {:?} of scope {} holds a barrier of scope {}",
                        step.id,
                        scope.as_str(),
                        inner.as_str()
                    );
                    self.blame(
                        &needle,
                        message,
                        "only a barrier of scope job can hold other barriers",
                    );
                }
            }
        }
    }
}
