//! `checksum`: reads assets where they are, compares them with their declared hash, and records the hash.
use super::{StepFile, StepForm};
use crate::id::Kind;
use crate::model::hash::HashAlgorithm;
use crate::wire::step::TaskSpec;
use crate::wire::step::checksum::ChecksumTask;
use crate::workflow::Action;
use crate::workflow::compiler::Compiler;
use schemars::JsonSchema;
use serde::Deserialize;

/// Parameters of a checksum step.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChecksumFile {
    /// The hash to record (default: the algorithm of the declared hash, else xxh128).
    pub algorithm: Option<HashAlgorithm>,
}

impl StepForm for ChecksumFile {
    fn compile(&self, _: &StepFile, _: &mut Compiler<'_>) -> Action {
        Action::units(
            Kind::Transfer,
            TaskSpec::Checksum(ChecksumTask {
                algorithm: self.algorithm,
            }),
        )
    }
}
