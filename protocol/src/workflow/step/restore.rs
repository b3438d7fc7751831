//! `restore`: brings content back from an archive, and waits for it.
use super::{StepFile, StepForm};
use crate::id::Kind;
use crate::model::restore_tier::RestoreTier;
use crate::quantity::Span;
use crate::wire::step::TaskSpec;
use crate::wire::step::archive::RestoreTask;
use crate::workflow::Action;
use crate::workflow::compiler::Compiler;
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// Days a readable copy is kept, when the job does not say.
const DAYS: u32 = 7;
/// Default interval of checks; expedited restores take minutes, so their interval is shorter.
const LOOK: Duration = Duration::from_secs(15 * 60);
const LOOK_EXPEDITED: Duration = Duration::from_secs(60);

/// Parameters of a restore step.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RestoreFile {
    /// Days the readable copy is kept (default 7).
    pub days: Option<u32>,
    /// How fast it is wanted (default standard: hours).
    pub tier: Option<RestoreTier>,
    /// How often to look whether it is there (default 15m; 1m when expedited).
    pub look: Option<Span>,
}

impl StepForm for RestoreFile {
    fn compile(&self, _: &StepFile, compiler: &mut Compiler<'_>) -> Action {
        let tier = self.tier.unwrap_or_default();
        if self.days == Some(0) {
            compiler.blame(
                "days",
                "days is 0".into(),
                "a readable copy is kept for at least a day",
            );
        }
        let usual = if tier == RestoreTier::Expedited {
            LOOK_EXPEDITED
        } else {
            LOOK
        };
        let look = self.look.map_or(usual, |span| span.0);
        let look_again_us = u64::try_from(look.as_micros()).unwrap_or(u64::MAX);
        let task = RestoreTask {
            days: self.days.unwrap_or(DAYS),
            tier,
            look_again_us,
        };
        Action::units(Kind::Transfer, TaskSpec::Restore(task))
    }
}
