//! `showrunner unit`.
use super::explain;
use crate::context::Context;
use crate::error::{CliResult, Exit};
use crate::output::{self, Columns, Lister};
use crate::target::{Target, each_page, pages};
use coordinator::http::endpoint::Nothing;
use coordinator::http::units;
use coordinator::query::unit_log::{Execution, UnitLogFilter};
use coordinator::query::units::UnitsFilter;
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
    /// Failed and lost executions of a unit, and the one that ended it
    Log {
        /// Unit as job/step/partition
        unit: String,
        /// Executions at most
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
}

/// Runs the command.
pub(crate) fn run(context: &Context, command: &Command) -> CliResult<Exit> {
    match command {
        Command::List {
            job,
            state,
            step,
            limit,
        } => list(context, job, state.as_deref(), step.as_deref(), *limit),
        Command::Get { unit } => get(context, unit),
        Command::Explain { unit } => explain::unit(context, unit),
        Command::Log { unit, limit } => log(context, unit, *limit),
    }
}

fn list(
    context: &Context,
    job: &str,
    state: Option<&str>,
    step: Option<&str>,
    limit: u32,
) -> CliResult<Exit> {
    let mut target = Target::open(context)?;
    let page = |limit, after| {
        let filter = UnitsFilter {
            state: state.map(str::to_owned),
            step: step.map(str::to_owned),
            after,
            limit,
        };
        target.ask::<units::List>((job.to_owned(),), filter)
    };
    let mut lister = Lister::new(context.output, COLUMNS);
    let id = |unit: &UnitView| unit.unit.clone();
    let listed = each_page(limit, page, id, |page| Ok(lister.page(&page)?))?;
    lister.end()?;
    listed.note(context, "units");
    Ok(Exit::Ok)
}

fn get(context: &Context, unit: &str) -> CliResult<Exit> {
    let (job, step, part) = explain::parse_unit(unit)?;
    let found = Target::open(context)?.ask::<units::Get>((job, step, part), Nothing {})?;
    let render = |u: &UnitView| {
        format!(
            "{}  {}  {} assets from {}  epoch {}  failed attempts {}\n",
            u.unit, u.state, u.assets, u.first_asset, u.epoch, u.attempt
        )
    };
    output::one(context.output, &found, render, unit)?;
    Ok(Exit::Ok)
}

fn log(context: &Context, unit: &str, limit: u32) -> CliResult<Exit> {
    let at = explain::parse_unit(unit)?;
    let mut target = Target::open(context)?;
    let page = |limit, after: Option<String>| {
        let after = after.and_then(|epoch| epoch.parse().ok());
        target.ask::<units::Log>(at.clone(), UnitLogFilter { after, limit })
    };
    let executions = pages(limit, page, |execution: &Execution| {
        execution.epoch.to_string()
    })?;
    executions.note_cut_off(context, "executions");
    let row = |e: &Execution| {
        vec![
            e.epoch.to_string(),
            e.result.clone(),
            e.worker.clone(),
            e.ended_at.clone(),
            e.seconds
                .map(|seconds| format!("{seconds:.1}"))
                .unwrap_or_default(),
            e.assets_failed.to_string(),
            e.reason.clone().unwrap_or_default(),
            e.message.clone().unwrap_or_default(),
        ]
    };
    let columns = [
        "epoch",
        "result",
        "worker",
        "ended",
        "seconds",
        "assets failed",
        "reason",
        "message",
    ];
    let columns = Columns {
        table: &columns,
        row: &row,
        csv: &[
            "epoch",
            "result",
            "worker",
            "ended_at",
            "seconds",
            "assets_failed",
            "reason",
            "class",
            "message",
        ],
        name: &|e| e.epoch.to_string(),
    };
    output::list(context.output, &executions.items, columns)?;
    Ok(Exit::Ok)
}

const COLUMNS: Columns<'static, UnitView> = Columns {
    table: &[
        "unit",
        "kind",
        "state",
        "failed attempts",
        "assets",
        "first asset",
        "title",
    ],
    row: &|u: &UnitView| {
        vec![
            u.unit.clone(),
            u.kind.clone(),
            u.state.clone(),
            u.attempt.to_string(),
            u.assets.to_string(),
            u.first_asset.clone(),
            u.title.clone(),
        ]
    },
    csv: &[
        "unit",
        "step",
        "kind",
        "part",
        "title",
        "first_asset",
        "assets",
        "state",
        "epoch",
        "attempt",
        "duration_us",
    ],
    name: &|u: &UnitView| u.unit.clone(),
};
