//! `showrunner task`: what people must decide.
mod outcome;

use super::change::AuditArgs;
use crate::context::Context;
use crate::error::{CliError, CliResult, Exit};
use crate::output::{self, Columns, Format};
use crate::target::{Target, pages};
use base64::Engine;
use coordinator::http::endpoint::{Endpoint, Nothing};
use coordinator::http::tasks;
use coordinator::review::waivers::CheckWaived;
use coordinator::review::{
    DecisionOutcome, TaskEvent, TaskPicture, TaskRequest, TaskView, TasksFilter, WaiverScope,
};
use std::path::{Path, PathBuf};

/// Commands of `task`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Tasks by number
    List {
        /// pending (what is still to be decided or delivered), all, or one of open, rejected, approved, waived, closed
        #[arg(long, default_value = "pending")]
        state: String,
        /// Only rework or approval
        #[arg(long)]
        kind: Option<String>,
        /// Only those that units of this job wait for, or did
        #[arg(long)]
        job: Option<String>,
        /// Only about this asset
        #[arg(long)]
        asset: Option<String>,
        /// Only about this title
        #[arg(long)]
        title: Option<String>,
        /// Maximum number of tasks
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// One task with its findings and its history
    Get {
        /// Number of the task
        task: i64,
    },
    /// The pictures that go with its findings, and the waveform, as long as it is pending
    Pictures {
        /// Number of the task
        task: i64,
        /// Write them as files into this folder
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
    /// Agree: the waiting units continue
    Approve {
        /// Number of the task
        task: i64,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// Refuse: an approval ends, a rework waits for a new delivery; needs --reason
    Reject {
        /// Number of the task
        task: i64,
        #[command(flatten)]
        audit: AuditArgs,
    },
    /// Accept the findings, or skip an approval; needs --reason
    Waive {
        /// Number of the task
        task: i64,
        /// Only this check; may be given several times [default: every blocking check]
        #[arg(long = "check", value_name = "CHECK")]
        checks: Vec<String>,
        /// How far it reaches: these bytes, this asset in any delivery, every asset of its title, or all of the policy
        #[arg(long, value_enum, default_value = "delivery")]
        reach: ReachWord,
        /// Until when it holds, e.g. 2026-12-01T18:00:00Z
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        #[command(flatten)]
        audit: AuditArgs,
    },
}

/// [`WaiverScope`] as it is spelt here.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum ReachWord {
    Delivery,
    Asset,
    Title,
    Policy,
}

impl From<ReachWord> for WaiverScope {
    fn from(word: ReachWord) -> WaiverScope {
        match word {
            ReachWord::Delivery => WaiverScope::Delivery,
            ReachWord::Asset => WaiverScope::Asset,
            ReachWord::Title => WaiverScope::Title,
            ReachWord::Policy => WaiverScope::Policy,
        }
    }
}

/// Runs the command.
pub(crate) fn run(context: &Context, command: Command) -> CliResult<Exit> {
    let plain = |audit: &AuditArgs| TaskRequest {
        audit: audit.order(),
        ..TaskRequest::default()
    };
    match command {
        Command::List {
            state,
            kind,
            job,
            asset,
            title,
            limit,
        } => {
            let mut target = Target::open(context)?;
            let job = job.map(|job| target.job_id(&job)).transpose()?;
            let filter = control_filter(state, kind, job, asset, title);
            let page = |limit, after: Option<String>| {
                let after = after.and_then(|no| no.parse().ok()).unwrap_or(filter.after);
                target.ask::<tasks::List>(
                    (),
                    TasksFilter {
                        after,
                        limit,
                        ..filter.clone()
                    },
                )
            };
            let listed = pages(limit, page, |task: &TaskView| task.task.to_string())?;
            listed.note_cut_off(context, "tasks");
            list(context, &listed.items)
        }
        Command::Get { task } => {
            let found = Target::open(context)?.ask::<tasks::Get>((task,), Nothing {})?;
            output::one(context.output, &found, render, &task.to_string())?;
            Ok(Exit::Ok)
        }
        Command::Pictures { task, to } => pictures(context, task, to.as_deref()),
        Command::Approve { task, audit } => settle::<tasks::Approve>(context, task, plain(&audit)),
        Command::Reject { task, audit } => settle::<tasks::Reject>(context, task, plain(&audit)),
        Command::Waive {
            task,
            checks,
            reach,
            until,
            audit,
        } => {
            let request = TaskRequest {
                checks,
                reach: reach.into(),
                until,
                audit: audit.order(),
            };
            settle::<tasks::Waive>(context, task, request)
        }
    }
}

fn control_filter(
    state: String,
    kind: Option<String>,
    job: Option<String>,
    asset: Option<String>,
    title: Option<String>,
) -> TasksFilter {
    TasksFilter {
        state,
        kind,
        job,
        asset,
        title,
        after: 0,
        limit: 0,
    }
}

fn list(context: &Context, tasks: &[TaskView]) -> CliResult<Exit> {
    let row = |t: &TaskView| {
        let due = t.due_at.clone().unwrap_or_default();
        vec![
            t.task.to_string(),
            t.kind.clone(),
            t.state.clone(),
            t.asset.clone(),
            t.title.clone(),
            t.supplier
                .clone()
                .or_else(|| t.role.clone())
                .unwrap_or_default(),
            t.round.to_string(),
            if t.overdue {
                format!("{due} overdue")
            } else {
                due
            },
            if t.checks.is_empty() {
                t.message.clone()
            } else {
                t.checks.join(", ")
            },
        ]
    };
    let columns = [
        "task", "kind", "state", "asset", "title", "with", "round", "due", "about",
    ];
    let columns = Columns {
        table: &columns,
        row: &row,
        csv: &[
            "task",
            "kind",
            "state",
            "asset",
            "title",
            "supplier",
            "role",
            "policy",
            "hash",
            "checks",
            "message",
            "round",
            "opened_at",
            "due_at",
            "overdue",
            "ended_at",
            "units",
        ],
        name: &|t| t.task.to_string(),
    };
    output::list(context.output, tasks, columns)?;
    Ok(Exit::Ok)
}

fn pictures(context: &Context, task: i64, folder: Option<&Path>) -> CliResult<Exit> {
    let found = Target::open(context)?.ask::<tasks::Pictures>((task,), Nothing {})?;
    let names: Vec<String> = found
        .iter()
        .enumerate()
        .map(|(n, picture)| file_name(task, n + 1, picture))
        .collect();
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder)
            .map_err(|e| CliError::failed(format!("{}: {e}", folder.display())))?;
        for (picture, name) in found.iter().zip(&names) {
            let path = folder.join(name);
            let written = base64::engine::general_purpose::STANDARD
                .decode(&picture.image)
                .map_err(|e| e.to_string());
            let written =
                written.and_then(|bytes| std::fs::write(&path, bytes).map_err(|e| e.to_string()));
            written.map_err(|why| CliError::failed(format!("{}: {why}", path.display())))?;
        }
    }
    let named: Vec<(&TaskPicture, String)> = found.iter().zip(names).collect();
    if matches!(context.output, Format::Json | Format::Jsonl) {
        let columns = Columns {
            table: &[],
            row: &|_| Vec::new(),
            csv: &[],
            name: &|picture: &TaskPicture| picture.kind.clone(),
        };
        output::list(context.output, &found, columns)?;
        return Ok(Exit::Ok);
    }
    let row = |(picture, name): &(&TaskPicture, String)| {
        let at = picture
            .at
            .map_or_else(String::new, |at| format!("{at:.2} s"));
        vec![
            name.clone(),
            picture.kind.clone(),
            picture.check.clone().unwrap_or_default(),
            at,
        ]
    };
    let columns = Columns {
        table: &["file", "kind", "check", "at"],
        row: &row,
        csv: &[],
        name: &|(_, name)| name.clone(),
    };
    output::list(context.output, &named, columns)?;
    Ok(Exit::Ok)
}

/// `task-3-1-black.jpg`: nothing of it comes from the worker but words that are known.
fn file_name(task: i64, n: usize, picture: &TaskPicture) -> String {
    let word = picture.check.as_deref().unwrap_or(&picture.kind);
    let word: String = word
        .chars()
        .filter(|c| c.is_ascii_lowercase() || *c == '_')
        .collect();
    let extension = if picture.media_type == "image/png" {
        "png"
    } else {
        "jpg"
    };
    format!("task-{task}-{n}-{word}.{extension}")
}

/// A waiver in one line.
pub(crate) fn waived_line(w: &CheckWaived) -> String {
    let until = w
        .until
        .as_ref()
        .map(|until| format!(" until {until}"))
        .unwrap_or_default();
    let expired = if w.holds {
        ""
    } else {
        " (expired: it counts no more)"
    };
    format!(
        "{} waived by {}{until}: {}{expired}",
        w.check, w.by, w.reason
    )
}

fn event_line(event: &TaskEvent) -> String {
    format!(
        "{}  {:<11} {:<12} {}",
        event.at, event.event, event.by, event.reason
    )
}

fn render(t: &TaskView) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    let mut out = format!(
        "task      {} ({}, {})\nasset     {}\ntitle     {}\nwith      {}\npolicy    {}\nhash      {}\nround     {}\nopened    {}\ndue       {}{}\nended     {}\nwaits     {}\n{}\n",
        t.task,
        t.kind,
        t.state,
        t.asset,
        t.title,
        t.supplier
            .clone()
            .or_else(|| t.role.clone())
            .unwrap_or_else(|| "-".into()),
        text(&t.policy),
        text(&t.hash),
        t.round,
        t.opened_at,
        text(&t.due_at),
        if t.overdue { " (overdue)" } else { "" },
        text(&t.ended_at),
        if t.units.is_empty() {
            "-".to_owned()
        } else {
            t.units.join(", ")
        },
        t.message,
    );
    for waived in &t.waived {
        out.push_str(&format!("  {}\n", waived_line(waived)));
    }
    for event in &t.history {
        out.push_str(&format!("  {}\n", event_line(event)));
    }
    out
}

fn settle<E>(context: &Context, task: i64, request: TaskRequest) -> CliResult<Exit>
where
    E: Endpoint<Path = (i64,), Query = Nothing, Body = TaskRequest, Answer = DecisionOutcome>,
{
    let mut target = Target::open(context)?;
    let decided = target.change::<E>((task,), request)?;
    if decided.units > 0 && !decided.dry_run {
        target.warn_not_running(context);
    }
    output::one(
        context.output,
        &decided,
        outcome::render_decision,
        &task.to_string(),
    )?;
    Ok(Exit::Ok)
}
