//! `showrunner schema`: JSON Schemas, so that editors complete and check our files.
use crate::error::{CliResult, Exit};
use clap::ValueEnum;
use protocol::media::spec::DeliverySpec;
use protocol::workflow::file::JobFile;
use protocol::workflow::waivers::WaiversFile;
use std::io::Write;

/// File kinds with a schema.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum FileKind {
    /// A job file.
    Job,
    /// A delivery spec, also the policy of a qc step.
    Spec,
    /// Waivers for `qc` without a job.
    Waivers,
}

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Kind of file
    kind: FileKind,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> CliResult<Exit> {
    let schema = match args.kind {
        FileKind::Job => schemars::schema_for!(JobFile),
        FileKind::Spec => schemars::schema_for!(DeliverySpec),
        FileKind::Waivers => schemars::schema_for!(WaiversFile),
    };
    let text = serde_json::to_string_pretty(&schema).map_err(std::io::Error::other)?;
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(Exit::Ok)
}
