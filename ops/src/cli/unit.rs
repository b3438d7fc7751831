//! `showrunner unit`.
use super::explain;
use crate::context::Context;
use crate::error::{CliResult, Exit};
use crate::output;
use crate::target::Target;
use coordinator::store::view::UnitView;

/// Commands of `unit`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List the units of a job
    List {
        /// Id of the job
        job: String,
        /// Only units in this state
        #[arg(long)]
        state: Option<String>,
        /// Only units of this step
        #[arg(long)]
        step: Option<String>,
        /// Maximum number of units
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Show one unit
    Get {
        /// Unit as job/step/partition
        unit: String,
    },
    /// Why a unit is where it is
    Explain {
        /// Unit as job/step/partition
        unit: String,
    },
}

/// Runs the command.
pub(crate) fn run(context: &Context, command: &Command) -> CliResult<Exit> {
    match command {
        Command::List { job, state, step, limit } => list(context, job, state.as_deref(), step.as_deref(), *limit),
        Command::Get { unit } => get(context, unit),
        Command::Explain { unit } => explain::unit(context, unit),
    }
}

fn list(context: &Context, job: &str, state: Option<&str>, step: Option<&str>, limit: u32) -> CliResult<Exit> {
    show(context, &Target::open(context)?.units(job, state, step, limit)?)
}

fn get(context: &Context, unit: &str) -> CliResult<Exit> {
    let (job, step, part) = explain::parse_unit(unit)?;
    let found = Target::open(context)?.unit((&job, &step, part))?;
    let render = |u: &UnitView| {
        format!(
            "{}  {}  {} assets from {}  epoch {}  failed attempts {}\n",
            u.unit, u.state, u.assets, u.first_asset, u.epoch, u.attempt
        )
    };
    output::one(context.output, &found, render, unit)?;
    Ok(Exit::Ok)
}

fn show(context: &Context, units: &[UnitView]) -> CliResult<Exit> {
    let row = |u: &UnitView| {
        let attempts = u.attempt.to_string();
        vec![
            u.unit.clone(),
            u.kind.clone(),
            u.state.clone(),
            attempts,
            u.assets.to_string(),
            u.first_asset.clone(),
            u.title.clone(),
        ]
    };
    let columns = ["unit", "kind", "state", "failed attempts", "assets", "first asset", "title"];
    output::list(context.output, units, &columns, row, |u| u.unit.clone())?;
    Ok(Exit::Ok)
}
