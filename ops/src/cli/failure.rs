//! `showrunner failure`: dead letters by cause.
use super::change::AuditArgs;
use super::retry::{self, Select};
use crate::context::Context;
use crate::error::{CliResult, Exit};
use crate::output::{self, Columns, Lister};
use crate::target::{Target, each_page, one_page};
use coordinator::command::WaiveRequest;
use coordinator::http::failures::{self, OfJob};
use coordinator::query::causes::CauseView;
use coordinator::query::failed_assets::{FailedAsset, FailedAssetsFilter};

/// Commands of `failure`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Dead units by what they have in common, most first
    List {
        /// Only of this job
        #[arg(long)]
        job: Option<String>,
        /// Causes at most
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Assets that failed for one cause
    Get {
        /// The cause, as `failure list` shows it
        cause: String,
        /// Assets at most
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Run dead units again, all at once or at a rate
    Retry {
        /// The cause, as `failure list` shows it
        cause: Option<String>,
        /// Only of this job
        #[arg(long)]
        job: Option<String>,
        #[command(flatten)]
        select: Select,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// Record the decision to leave a cause as it is
    Waive {
        /// The cause, as `failure list` shows it
        cause: String,
        /// Until when it holds, e.g. 2026-12-01T18:00:00Z
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        #[command(flatten)]
        audit: AuditArgs,
    },
}

/// Runs the command.
pub(crate) fn run(context: &Context, command: &Command) -> CliResult<Exit> {
    match command {
        Command::List { job, limit } => list(context, job.as_deref(), *limit),
        Command::Get { cause, limit } => get(context, cause, *limit),
        Command::Retry {
            cause,
            job,
            select,
            audit,
        } => retry::redrive(context, job.as_deref(), audit, select, cause.as_deref()),
        Command::Waive {
            cause,
            until,
            audit,
        } => {
            let request = WaiveRequest {
                until: until.clone(),
                audit: audit.order(),
            };
            let waived =
                Target::open(context)?.change::<failures::Waive>((cause.clone(),), request)?;
            output::one(
                context.output,
                &waived,
                |w| {
                    let word = if w.dry_run {
                        "would be waived"
                    } else {
                        "waived"
                    };
                    let until = w.until.as_ref().map(|until| format!(" until {until}"));
                    format!("{cause}: {word} by {}{}\n", w.by, until.unwrap_or_default())
                },
                cause,
            )?;
            Ok(Exit::Ok)
        }
    }
}

fn get(context: &Context, cause: &str, limit: u32) -> CliResult<Exit> {
    let mut target = Target::open(context)?;
    let page = |limit, after| {
        target.ask::<failures::Assets>((cause.to_owned(),), FailedAssetsFilter { after, limit })
    };
    let id = |failed: &FailedAsset| format!("{}/{}", failed.unit, failed.asset);
    let row = |f: &FailedAsset| {
        vec![
            f.asset.clone(),
            f.title.clone(),
            f.role.clone(),
            f.unit.clone(),
            f.reason.clone(),
            f.message.clone(),
        ]
    };
    let columns = Columns {
        table: &["asset", "title", "role", "unit", "reason", "message"],
        row: &row,
        csv: &[
            "asset", "title", "role", "supplier", "location", "bytes", "row", "unit", "reason",
            "message",
        ],
        name: &|f| f.asset.clone(),
    };
    let mut lister = Lister::new(context.output, columns);
    let failed = each_page(limit, page, id, |page| Ok(lister.page(&page)?))?;
    lister.end()?;
    failed.note(context, "assets");
    Ok(Exit::Ok)
}

fn list(context: &Context, job: Option<&str>, limit: u32) -> CliResult<Exit> {
    let mut target = Target::open(context)?;
    let job = job.map(|job| target.job_id(job)).transpose()?;
    let causes = one_page(limit, |limit| {
        target.ask::<failures::List>((), OfJob::new(job.as_deref(), limit))
    })?;
    causes.note_cut_off(context, "causes");
    let row = |c: &CauseView| {
        let waived = c
            .waived
            .as_ref()
            .map(|w| format!("waived by {}", w.by))
            .unwrap_or_default();
        vec![
            c.cause.clone(),
            output::count(c.assets),
            output::count(c.units),
            c.steps.join(", "),
            c.reason.clone(),
            c.last_at.clone(),
            output::count(c.jobs.len() as u64),
            waived,
            c.example.clone(),
        ]
    };
    let columns = [
        "cause", "assets", "units", "step", "reason", "last", "jobs", "decision", "example",
    ];
    let columns = Columns {
        table: &columns,
        row: &row,
        csv: &[
            "cause",
            "reason",
            "class",
            "units",
            "assets",
            "steps",
            "jobs",
            "example",
            "first_at",
            "last_at",
            "waived.by",
            "waived.reason",
            "waived.until",
        ],
        name: &|c| c.cause.clone(),
    };
    output::list(context.output, &causes.items, columns)?;
    Ok(Exit::Ok)
}
