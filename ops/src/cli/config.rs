//! `showrunner config`.
use crate::context::Context;
use crate::error::{CliResult, Exit};
use crate::output::{self, Columns};
use crate::settings::{Origin, masked};
use serde::Serialize;

/// Commands of `config`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Print every setting; credentials are masked
    View {
        /// Also show the origin of each setting
        #[arg(long)]
        show_origin: bool,
    },
}

#[derive(Serialize)]
struct Shown {
    name: String,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
}

/// Runs the command.
pub(crate) fn run(context: &Context, command: &Command) -> CliResult<Exit> {
    let Command::View { show_origin } = command;
    let shown: Vec<Shown> = masked(&context.settings)
        .into_iter()
        .map(|(name, setting)| {
            let origin = match setting.origin {
                Origin::Flag => "flag".to_owned(),
                Origin::Env(variable) => format!("env {variable}"),
                Origin::File(path) => format!("file {path}"),
                Origin::Default => "default".to_owned(),
            };
            Shown {
                name: name.to_owned(),
                value: setting.value,
                origin: show_origin.then_some(origin),
            }
        })
        .collect();
    let columns: &[&str] = if *show_origin {
        &["name", "value", "origin"]
    } else {
        &["name", "value"]
    };
    let row = |s: &Shown| {
        [
            Some(s.name.clone()),
            Some(s.value.clone()),
            s.origin.clone(),
        ]
        .into_iter()
        .flatten()
        .collect()
    };
    let columns = Columns {
        table: columns,
        row: &row,
        csv: columns,
        name: &|s| s.name.clone(),
    };
    output::list(context.output, &shown, columns)?;
    Ok(Exit::Ok)
}
