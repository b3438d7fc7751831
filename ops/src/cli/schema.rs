//! `showrunner schema`: JSON Schemas, so that editors complete and check our files.
use crate::error::{CliResult, Exit};
use crate::settings;
use ::storage::settings::StorageSettings;
use clap::ValueEnum;
use protocol::media::asset::Role;
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
    /// A row of a manifest, as a line of JSON.
    Manifest,
    /// A row of corrected input for `job retry --input`, as a line of JSON.
    Mapping,
}

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Kind of file
    kind: FileKind,
}

/// Profiles by name, each with the settings that there are.
fn profiles() -> Schema {
    let settings: serde_json::Map<String, serde_json::Value> = settings::names()
        .map(|name| (name.to_owned(), json!({ "type": "string" })))
        .collect();
    json_schema!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Profiles",
        "description": "Settings by profile; `default` is used where no other is named.",
        "type": "object",
        "additionalProperties": { "type": "object", "properties": settings, "additionalProperties": false }
    })
}

/// A row of a manifest; the header of a CSV file names the same columns.
fn manifest_row() -> Schema {
    let text = json!({ "type": "string" });
    let number = json!({ "type": ["integer", "string"] });
    let roles = Role::ALL.map(Role::as_str);
    json_schema!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Manifest row",
        "description": "One asset of a library. Columns that are not named here are kept as metadata.",
        "type": "object",
        "required": ["asset", "title", "role", "location"],
        "properties": {
            "asset": text, "title": text, "role": { "enum": roles }, "location": text,
            "title_name": text, "series": text, "season": number, "episode": number, "version": number,
            "language": text, "bytes": number, "hash": text, "duration": { "type": ["number", "string"] },
            "frame_rate": { "type": ["number", "string"] }, "width": number, "height": number
        }
    })
}

/// A row of corrected input; the header of a CSV file names the same columns.
fn mapping_row() -> Schema {
    json_schema!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Mapping row",
        "description": "Corrected input of one asset.",
        "type": "object",
        "required": ["asset"],
        "properties": {
            "asset": { "type": "string" },
            "location": { "type": "string" },
            "hash": { "type": "string", "description": "algorithm:digest" },
            "bytes": { "type": "integer", "minimum": 0 }
        },
        "additionalProperties": false
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
        FileKind::Manifest => manifest_row(),
        FileKind::Mapping => mapping_row(),
    };
    let text = serde_json::to_string_pretty(&schema).map_err(std::io::Error::other)?;
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::rules::unit::retry::RetryPolicy;

    #[test]
    fn schema_of_jobs_names_the_default_of_attempts() {
        let schema = serde_json::to_value(schemars::schema_for!(JobFile)).expect("serialisable");
        let said = &schema["$defs"]["RetryFile"]["properties"]["attempts"]["description"];
        let (moving, measuring) = (
            RetryPolicy::default().attempts_max,
            RetryPolicy::measuring().attempts_max,
        );
        let default = format!("default {moving}; {measuring} for `qc` and `noop`");
        assert!(
            said.as_str().is_some_and(|said| said.contains(&default)),
            "{said}"
        );
    }
}
