//! `showrunner unit`.
use super::{Context, explain};
use crate::database;
use crate::error::{CliError, CliResult, Exit};
use crate::output;
use coordinator::service::Workflows;
use coordinator::service::control::Refusal;
use coordinator::store::view::{UnitFilter, UnitView};
use protocol::rules::lifecycle::UnitState;

/// Commands of `unit`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List the units of a job
    List {
        /// The job
        job: String,
        /// Only units in this state
        #[arg(long)]
        state: Option<String>,
        /// Only units of this step
        #[arg(long)]
        step: Option<String>,
        /// Units at most
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// One unit
    Get {
        /// job/step/partition
        unit: String,
    },
    /// Why a unit is where it is
    Explain {
        /// job/step/partition
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
    let known = UnitState::ALL.map(UnitState::as_str);
    if let Some(wrong) = state.filter(|s| UnitState::parse(s).is_none()) {
        return Err(CliError::usage(format!("unknown state {wrong:?}")).hint(protocol::yaml::suggest(wrong, &known)));
    }
    let mut db = database::open(&context.settings, false)?;
    let row = db.read(|tx| tx.job_by_id(job))?.ok_or(Refusal::NotFound)?;
    let workflow = db.read(|tx| Workflows::default().of(tx, row.no))?;
    if let Some(wrong) = step.filter(|step| workflow.step_no(step).is_none()) {
        let known: Vec<&str> = workflow.steps.iter().map(|step| step.id.as_str()).collect();
        return Err(
            CliError::usage(format!("job {job} has no step {wrong:?}")).hint(protocol::yaml::suggest(wrong, &known))
        );
    }
    let filter = UnitFilter { state: state.map(str::to_owned), step: step.map(str::to_owned), part: None, limit };
    show(context, &db.units(job, &filter)?)
}

fn get(context: &Context, unit: &str) -> CliResult<Exit> {
    let (job, step, part) = explain::parse_unit(unit)?;
    let mut db = database::open(&context.settings, false)?;
    let filter = UnitFilter { state: None, step: Some(step), part: Some(part), limit: 1 };
    let units = db.units(&job, &filter)?;
    let Some(found) = units.first() else {
        return Err(CliError::new(Exit::NotFound, format!("no unit {unit}")).hint("showrunner unit list JOB"));
    };
    let words = |u: &UnitView| {
        format!(
            "{}  {}  {} assets from {}  epoch {}  failed attempts {}\n",
            u.unit, u.state, u.assets, u.first_asset, u.epoch, u.attempt
        )
    };
    output::one(context.output, found, words, unit)?;
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
