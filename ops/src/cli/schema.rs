//! `showrunner schema`: JSON Schemas, so that editors complete and check our files.
use crate::error::{CliResult, Exit};
use crate::settings;
use ::storage::settings::StorageSettings;
use clap::ValueEnum;
use protocol::workflow::file::JobFile;
use protocol::workflow::waivers::WaiversFile;
use schemars::{Schema, json_schema};
use serde_json::json;
use spec::DeliverySpec;
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
    /// A storage file: roots, endpoints, credentials and limits.
    Storage,
    /// A file of configuration profiles (config.toml), as JSON sees it.
    Profile,
}

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Kind of file
    kind: FileKind,
}

/// Profiles by name, each with the settings that there are.
fn profiles() -> Schema {
    let settings: serde_json::Map<String, serde_json::Value> =
        settings::names().map(|name| (name.to_owned(), json!({ "type": "string" }))).collect();
    json_schema!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Profiles",
        "description": "Settings by profile; `default` is used where no other is named.",
        "type": "object",
        "additionalProperties": { "type": "object", "properties": settings, "additionalProperties": false }
    })
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> CliResult<Exit> {
    let schema = match args.kind {
        FileKind::Job => schemars::schema_for!(JobFile),
        FileKind::Spec => schemars::schema_for!(DeliverySpec),
        FileKind::Waivers => schemars::schema_for!(WaiversFile),
        FileKind::Storage => schemars::schema_for!(StorageSettings),
        FileKind::Profile => profiles(),
    };
    let text = serde_json::to_string_pretty(&schema).map_err(std::io::Error::other)?;
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(Exit::Ok)
}
