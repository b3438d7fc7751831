//! `showrunner status`: open jobs, slots and limits, the slowest running units, and workers.
use crate::context::Context;
use crate::error::{CliResult, Exit};
use crate::moment::{Moments, slack};
use crate::output;
use crate::submit::now;
use crate::target::Target;
use coordinator::http::status::Now;
use coordinator::query::job_forecast::JobForecast;
use coordinator::query::jobs::JobListed;
use coordinator::query::status::{KindStatus, SlowUnit, Status, StatusFilter};
use coordinator::query::workers::WorkerView;
use protocol::rules::schedule::forecast::DeadlineState;
use protocol::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// Workers that the table lists at most; `worker list` lists all.
const WORKERS_SHOWN: usize = 20;
/// Running units that the table lists at most.
const SLOWEST_SHOWN: usize = 10;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Maximum number of open jobs
    #[arg(long, default_value_t = 20)]
    limit: u32,
}

/// Runs the command.
pub(crate) fn run(context: &Context, args: &Args) -> CliResult<Exit> {
    let mut target = Target::open(context)?;
    let status = ask(&mut target, args.limit)?;
    output::one(context.output, &status, render, "")?;
    target.warn_not_running(context);
    Ok(Exit::Ok)
}

/// Asks for the status.
pub(super) fn ask(target: &mut Target, limit: u32) -> CliResult<Status> {
    target.ask::<Now>((), StatusFilter { limit })
}

/// The status as text.
pub(super) fn render(status: &Status) -> String {
    let moments = Moments::local(Timestamp::parse(&status.at).unwrap_or_else(now));
    let mut parts = vec![head(status, &moments)];
    if !status.jobs.is_empty() {
        parts.push(jobs(status, &moments));
    }
    if !status.kinds.is_empty() {
        parts.push(kinds(&status.kinds));
    }
    if !status.slowest.is_empty() {
        parts.push(slowest(&status.slowest));
    }
    if !status.workers.is_empty() {
        parts.push(workers(&status.workers, &moments));
    }
    parts.join("\n")
}

/// Counts in one line.
fn head(status: &Status, moments: &Moments) -> String {
    let mut states: BTreeMap<&str, u64> = BTreeMap::new();
    for worker in &status.workers {
        *states.entry(&worker.state).or_default() += 1;
    }
    let states: Vec<String> = states
        .into_iter()
        .map(|(state, n)| format!("{} {state}", output::count(n)))
        .collect();
    let (busy, slots) = status.kinds.iter().fold((0, 0), |(busy, slots), of| {
        (busy + of.busy, slots + of.slots)
    });
    let more = if status.more_jobs { " or more" } else { "" };
    let workers = match states.is_empty() {
        true => "no workers".to_owned(),
        false => format!("workers: {}", states.join(", ")),
    };
    let seen = match status.seen_at.as_deref().and_then(Timestamp::parse) {
        Some(seen) => format!("; the coordinator wrote this {}", moments.distance(seen)),
        None => "; no coordinator has run yet".to_owned(),
    };
    format!(
        "{}{more}, {busy} of {slots} slots busy, {workers}{seen}\n",
        output::counted(status.jobs.len() as u64, "open job"),
    )
}

/// The open jobs.
fn jobs(status: &Status, moments: &Moments) -> String {
    let row = |job: &JobListed| {
        let mut row = vec![job.job.clone(), job.state.clone()];
        row.extend(forecast_cells(job, moments));
        row
    };
    let columns = [
        "job", "state", "done", "rate", "ends", "deadline", "slack", "priority", "tenant",
    ];
    output::table(&columns, status.jobs.iter().map(row))
}

/// Progress and forecast of a job as cells: done, rate, ends, deadline, slack, priority, tenant.
pub(super) fn forecast_cells(job: &JobListed, moments: &Moments) -> [String; 7] {
    let JobForecast {
        priority,
        tenant,
        percent,
        units_per_second,
        outlook,
    } = &job.forecast;
    let at = |text: &Option<String>| text.as_deref().and_then(Timestamp::parse);
    let done = percent.map_or_else(|| "listing".to_owned(), |percent| format!("{percent:.1}%"));
    let rate = match (job.bytes_per_second, *units_per_second) {
        (bytes, _) if bytes > 0 => format!("{}/s", output::bytes(bytes)),
        (_, units) if units >= 0.05 => format!("{units:.1} units/s"),
        _ => "-".to_owned(),
    };
    let ends = match (at(&outlook.finish_p50), at(&outlook.finish_p90)) {
        (Some(p50), Some(p90)) => {
            format!("{} (90%: {})", moments.distance(p50), moments.clock(p90))
        }
        _ => "-".to_owned(),
    };
    let deadline = at(&outlook.deadline).map_or_else(
        || "-".to_owned(),
        |due| {
            format!(
                "{} {}",
                moments.clock(due),
                state_words(outlook.deadline_state)
            )
        },
    );
    let spare = outlook.slack_seconds.map_or_else(|| "-".to_owned(), slack);
    let tenant = match tenant.is_empty() {
        true => "-".to_owned(),
        false => tenant.clone(),
    };
    [done, rate, ends, deadline, spare, priority.clone(), tenant]
}

/// The state of a deadline in words.
pub(super) fn state_words(state: DeadlineState) -> &'static str {
    match state {
        DeadlineState::None => "",
        DeadlineState::OnTrack => "on track",
        DeadlineState::AtRisk => "AT RISK",
        DeadlineState::Late => "LATE",
        DeadlineState::Missed => "MISSED",
        DeadlineState::Unknown => "no forecast yet",
    }
}

fn kinds(kinds: &[KindStatus]) -> String {
    let row = |of: &KindStatus| {
        vec![
            of.kind.clone(),
            format!("{} of {}", of.busy, of.slots),
            output::count(of.ready),
            output::count(of.out),
            of.message.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    };
    let columns = ["kind", "busy slots", "ready", "published", "limited by"];
    output::table(&columns, kinds.iter().map(row))
}

fn slowest(units: &[SlowUnit]) -> String {
    let seconds = |s: f64| output::span(Duration::from_secs_f64(s.max(0.0)));
    let row = |unit: &SlowUnit| {
        let usual = match (unit.usual_seconds, unit.usual_p90_seconds) {
            (Some(p50), Some(p90)) => format!("{} (90%: {})", seconds(p50), seconds(p90)),
            _ => "not measured yet".to_owned(),
        };
        vec![
            unit.unit.clone(),
            unit.worker.clone(),
            seconds(unit.seconds),
            usual,
        ]
    };
    let columns = [
        "slowest running units",
        "worker",
        "runs for",
        "usual duration",
    ];
    output::table(&columns, units.iter().take(SLOWEST_SHOWN).map(row))
}

fn workers(workers: &[WorkerView], moments: &Moments) -> String {
    let row = |worker: &WorkerView| {
        vec![
            worker.worker.clone(),
            worker.state.clone(),
            worker.slots.join(" "),
            output::count(worker.held),
            Timestamp::parse(&worker.heard_at)
                .map_or_else(|| worker.heard_at.clone(), |at| moments.distance(at)),
        ]
    };
    let columns = ["worker", "state", "busy slots", "units", "last heartbeat"];
    let mut text = output::table(&columns, workers.iter().take(WORKERS_SHOWN).map(row));
    if let Some(more) = workers.len().checked_sub(WORKERS_SHOWN).filter(|n| *n > 0) {
        let more = output::counted(more as u64, "more worker");
        text += &format!("{more}: showrunner worker list\n");
    }
    text
}
