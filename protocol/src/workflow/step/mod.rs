//! The kinds of a step: for each its form in a job file, and how it compiles. A kind is one file here and one line in
//! `kinds!` below.
mod approval;
mod archive;
mod barrier;
mod checksum;
mod noop;
mod purge;
mod qc;
mod restore;
mod transfer;

pub(super) use noop::NoopFile;
pub(super) use transfer::seal_of;

use super::Action;
use super::compiler::Compiler;
use super::on_failure::OnFailure;
use crate::quantity::{Span, SpanRange};
use crate::rules::unit::retry::RetryPolicy;
use schemars::JsonSchema;
use serde::Deserialize;

/// Retries of a step.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryFile {
    /// Executions in all (default 8; 3 for `qc` and `noop`).
    pub attempts: Option<u32>,
    /// First and longest pause between them; doubles in between (default 2s..5m).
    pub backoff: Option<SpanRange>,
}

/// The form of a step kind.
pub(super) trait StepForm {
    /// Compiles the form of `file`. Problems go to the compiler.
    fn compile(&self, file: &StepFile, compiler: &mut Compiler<'_>) -> Action;

    /// Retries of the kind, when the job does not say.
    fn retry(&self) -> RetryPolicy {
        RetryPolicy::default()
    }

    /// Time that a person has to decide about an asset.
    fn due(&self) -> Option<Span> {
        None
    }
}

/// Declares the keys of a step and [`StepFile::forms`].
macro_rules! kinds {
    (
        $($(#[doc = $doc:literal])+ $key:ident: $form:ty,)+
        later $($(#[doc = $later_doc:literal])+ $later:ident,)+
    ) => {
        /// One step. Exactly one of the kind keys is set.
        #[derive(Debug, Clone, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct StepFile {
            /// Name of the step, unique in the job.
            pub id: String,
            /// Steps that must have succeeded for an asset (or barriers that must have been released) before this one starts.
            #[serde(default)]
            pub needs: Vec<String>,
            /// What an asset's failure means for the rest.
            #[serde(default)]
            pub on_failure: OnFailure,
            /// How often and how soon to try again.
            pub retry: Option<RetryFile>,
            $($(#[doc = $doc])+ pub $key: Option<$form>,)+
            $($(#[doc = $later_doc])+ pub $later: Option<serde_json::Value>,)+
        }

        /// Keys of the kinds, for messages.
        pub(super) const KINDS: &[&str] = &[$(stringify!($key)),+];

        impl StepFile {
            /// The forms that the step has; a valid one has exactly one form.
            pub(super) fn forms(&self) -> Vec<&dyn StepForm> {
                let forms: [Option<&dyn StepForm>; KINDS.len()] =
                    [$(self.$key.as_ref().map(|form| form as &dyn StepForm)),+];
                forms.into_iter().flatten().collect()
            }

            /// Keys of kinds that this version does not run.
            pub(super) fn later(&self) -> Vec<&'static str> {
                let keys = [$(self.$later.as_ref().map(|_| stringify!($later))),+];
                keys.into_iter().flatten().collect()
            }
        }
    };
}

kinds! {
    /// Copy and verify.
    transfer: transfer::TransferFile,
    /// Measure and judge.
    qc: qc::QcFile,
    /// Hash content where it is.
    checksum: checksum::ChecksumFile,
    /// Move to cheaper storage.
    archive: archive::ArchiveFile,
    /// Bring back from an archive, and wait for it.
    restore: restore::RestoreFile,
    /// Delete what is proven to be elsewhere.
    purge: purge::PurgeFile,
    /// Wait for others.
    barrier: barrier::BarrierFile,
    /// A person's decision.
    approval: approval::ApprovalFile,
    /// Take time only.
    noop: noop::NoopFile,
    later
    /// Metadata to another system.
    sync,
    /// Sends a message.
    notify,
    /// Hand over to a partner.
    deliver,
}
