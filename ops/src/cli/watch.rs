//! Watches a job to its end, with a progress bar on a terminal.
use super::awaited::{Awaited, ESTIMATE, style};
use crate::context::Context;
use crate::embedded::Embedded;
use crate::error::{CliError, CliResult};
use crate::output;
use crate::submit::now;
use coordinator::query::rejected_rows::ROW_INVALID;
use coordinator::query::summary::{FailureSummary, Summary, summary};
use coordinator::store::{JobRow, StepRow};
use coordinator::workflows::Workflows;
use indicatif::ProgressBar;
use protocol::id::JobNo;
use protocol::rules::cluster::smoothing::Rate;
use std::io::Write;
use std::time::Duration;

const LOOK_EVERY: Duration = Duration::from_millis(40);

/// Result of watching a job.
pub(crate) enum WatchEnd {
    /// The job has ended.
    Ended(Box<Summary>),
    /// A stop signal arrived first.
    Interrupted,
}

/// Watches a job that runs in this process.
pub(crate) async fn watch(
    context: &Context,
    embedded: &Embedded,
    job: JobNo,
) -> CliResult<WatchEnd> {
    let quiet = context.quiet;
    let (bar, mut rate) = (bar(quiet), Rate::default());
    let mut awaited = Awaited::new(context);
    let signal = super::stop_signal();
    tokio::pin!(signal);
    loop {
        let (row, steps) = progress_of(embedded, job).await?;
        rate.note(embedded.bytes(), now());
        draw(&bar, &row, &steps, rate);
        if !row.state.has_ended() {
            awaited.look(embedded, job, &bar).await?;
        }
        if row.state.has_ended() {
            bar.finish_and_clear();
            let account = embedded
                .store
                .write(move |tx| summary(tx, &Workflows::default(), job, now()))
                .await?;
            return Ok(WatchEnd::Ended(Box::new(account)));
        }
        tokio::select! {
            () = &mut signal => {
                bar.finish_and_clear();
                return Ok(WatchEnd::Interrupted);
            }
            () = embedded.failed() => {
                bar.finish_and_clear();
                return Err(CliError::failed("this process can no longer work: see the log").hint("run the same command again: it continues"));
            }
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn progress_of(embedded: &Embedded, job: JobNo) -> CliResult<(JobRow, Vec<StepRow>)> {
    let progress = embedded
        .store
        .write(move |tx| Ok((tx.job(job)?, tx.steps(job)?)))
        .await?;
    let row = progress
        .0
        .ok_or_else(|| CliError::failed("the job is no longer in the database"))?;
    Ok((row, progress.1))
}

fn bar(quiet: bool) -> ProgressBar {
    if quiet || !output::interactive() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    bar.set_style(style(ESTIMATE));
    bar
}

fn draw(bar: &ProgressBar, row: &JobRow, steps: &[StepRow], moved: Rate) {
    let total: u64 = steps.iter().map(|s| s.total).sum();
    let ended: u64 = steps
        .iter()
        .map(|s| s.succeeded + s.dead + s.cancelled)
        .sum();
    let dead: u64 = steps.iter().map(|s| s.dead).sum();
    bar.set_length(total.max(1));
    bar.set_position(ended);
    let failed = if dead > 0 {
        format!(", {dead} dead")
    } else {
        String::new()
    };
    bar.set_message(format!(
        "{}: {} ({} assets, {}, {}/s{failed})",
        row.name,
        row.phase.as_str(),
        output::count(row.assets),
        output::bytes(moved.total),
        output::bytes(moved.per_second as u64)
    ));
}

/// The summary of a job as text.
pub(crate) fn account(summary: &Summary) -> String {
    let mut text = Vec::new();
    // Writing to memory cannot fail.
    drop(write_account(&mut text, summary));
    String::from_utf8_lossy(&text).into_owned()
}

fn write_account(out: &mut Vec<u8>, s: &Summary) -> std::io::Result<()> {
    writeln!(
        out,
        "{}  {}  {}, {} in {}",
        s.job,
        s.state,
        output::counted(s.assets, "asset"),
        output::bytes(s.bytes),
        output::span(Duration::from_secs_f64(s.seconds))
    )?;
    if let Some(message) = &s.message {
        writeln!(out, "  {message}")?;
    }
    for task in &s.tasks {
        write!(out, "{}", super::explain::open_task(task))?;
    }
    if s.truncated.iter().any(|member| member == "tasks") {
        writeln!(
            out,
            "  and more tasks: showrunner task list --job {}",
            s.job
        )?;
    }
    write_steps(out, s)?;
    write_work(out, s)?;
    let is_row = |failure: &&FailureSummary| failure.reason == ROW_INVALID;
    let rows = s.failures.iter().filter(is_row).count() as u64;
    let (failures, waived) = (s.failures.len() as u64 - rows, s.waived.len() as u64);
    let counts: Vec<String> = [
        (
            s.rows_rejected,
            output::counted(s.rows_rejected, "unusable row"),
        ),
        (failures, output::counted(failures, "failure")),
        (waived, format!("{} waived", output::count(waived))),
    ]
    .into_iter()
    .filter_map(|(n, words)| (n > 0).then_some(words))
    .collect();
    if !counts.is_empty() {
        writeln!(out, "\n{}", counts.join(", "))?;
    }
    write_failures(out, s)
}

/// Steps and barriers with their counts, a line each.
fn write_steps(out: &mut Vec<u8>, s: &Summary) -> std::io::Result<()> {
    for step in &s.steps {
        let u = step.units;
        writeln!(
            out,
            "  {:<20} {:<9} {} of {} succeeded{}{}",
            step.id,
            step.kind,
            output::count(u.succeeded),
            output::count(u.total),
            part(", ", u.dead, " dead"),
            part(", ", u.cancelled, " not run")
        )?;
    }
    for barrier in &s.barriers {
        writeln!(
            out,
            "  {:<20} barrier   {} of {} released{}",
            barrier.id,
            output::count(barrier.released),
            output::count(barrier.total),
            part(", ", barrier.held, " held")
        )?;
    }
    Ok(())
}

/// The first failures, and what was waived.
fn write_failures(out: &mut Vec<u8>, s: &Summary) -> std::io::Result<()> {
    for failure in s.failures.iter().take(50) {
        let asset = if failure.asset.is_empty() {
            "(unit)"
        } else {
            &failure.asset
        };
        writeln!(
            out,
            "  {asset}  [{}: {}]  {}",
            failure.step,
            reason(failure),
            failure.message
        )?;
        write_waived(out, failure)?;
    }
    for waived in &s.waived {
        writeln!(
            out,
            "  {}  [{}: {}]  accepted",
            waived.asset,
            waived.step,
            reason(waived)
        )?;
        write_waived(out, waived)?;
    }
    if s.failures.len() > 50 {
        writeln!(
            out,
            "  … {} more: showrunner failure list --job {}, or -o json",
            s.failures.len() - 50,
            s.job
        )?;
    }
    if s.truncated.iter().any(|member| member == "failures") {
        writeln!(out, "  … and more than a summary holds")?;
    }
    Ok(())
}

/// Totals of transfers and QC.
fn write_work(out: &mut Vec<u8>, s: &Summary) -> std::io::Result<()> {
    let t = s.transfer;
    if t.copied + t.present > 0 {
        let line = format!(
            "{} copied ({})",
            output::count(t.copied),
            output::bytes(t.copied_bytes)
        );
        let present = match t.present {
            0 => String::new(),
            n => format!(
                ", {} already present ({})",
                output::count(n),
                output::bytes(t.present_bytes)
            ),
        };
        writeln!(out, "  {:<20} transfer  {line}{present}", "")?;
    }
    if s.qc.judged > 0 {
        let (judged, decoded) = (output::count(s.qc.judged), output::count(s.qc.decoded));
        let failed = part(", ", s.qc.failed, " failed");
        let waived = part(", ", s.qc.waived, " waived");
        writeln!(
            out,
            "  {:<20} qc        {judged} judged, {decoded} decoded{failed}{waived}",
            ""
        )?;
    }
    Ok(())
}

fn write_waived(out: &mut Vec<u8>, failure: &FailureSummary) -> std::io::Result<()> {
    failure
        .waived
        .iter()
        .try_for_each(|waived| writeln!(out, "    {}", super::task::waived_line(waived)))
}

fn reason(failure: &FailureSummary) -> String {
    if failure.checks.is_empty() {
        failure.reason.clone()
    } else {
        failure.checks.join(", ")
    }
}

fn part(before: &str, n: u64, after: &str) -> String {
    if n == 0 {
        String::new()
    } else {
        format!("{before}{}{after}", output::count(n))
    }
}
