//! `archive`: moves content to another storage class.
use super::{StepFile, StepForm};
use crate::id::Kind;
use crate::wire::step::TaskSpec;
use crate::wire::step::archive::ArchiveTask;
use crate::workflow::Action;
use crate::workflow::compiler::Compiler;
use crate::yaml;
use schemars::JsonSchema;
use serde::Deserialize;

/// Storage classes of the services, as they spell them.
const CLASSES: [&str; 11] = [
    "STANDARD",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "REDUCED_REDUNDANCY",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
    "NEARLINE",
    "COLDLINE",
    "ARCHIVE",
];

/// Parameters of an archive step.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveFile {
    /// Storage class to move to, as the storage spells it: `GLACIER`, `DEEP_ARCHIVE`, `GLACIER_IR`, `STANDARD_IA`; on
    /// Google Cloud Storage `NEARLINE`, `COLDLINE`, `ARCHIVE`.
    pub class: String,
}

impl StepForm for ArchiveFile {
    fn compile(&self, _: &StepFile, compiler: &mut Compiler<'_>) -> Action {
        if !CLASSES.contains(&self.class.as_str()) {
            let hint = yaml::suggest(&self.class, &CLASSES);
            compiler.blame(
                &self.class,
                format!("{:?} is no storage class", self.class),
                hint,
            );
        }
        Action::units(
            Kind::Transfer,
            TaskSpec::Archive(ArchiveTask {
                class: self.class.clone(),
            }),
        )
    }
}
