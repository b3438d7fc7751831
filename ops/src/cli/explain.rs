//! `job explain` and `unit explain`.
use super::Context;
use crate::database;
use crate::error::{CliError, CliResult, Exit};
use crate::output;
use crate::submit::now;
use coordinator::service::Workflows;
use coordinator::service::control::Refusal;
use coordinator::service::explain::{self, BarrierExplanation, UnitExplanation};
use coordinator::service::summary::summary;
use protocol::id::PartNo;
use serde::Serialize;

#[derive(Serialize)]
struct JobExplanation {
    job: String,
    state: String,
    phase: String,
    units_open: u64,
    units_retrying: u64,
    barriers: Vec<BarrierExplanation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// Explains a job: what is open, and which barriers wait for what.
pub(crate) fn job(context: &Context, id: &str) -> CliResult<Exit> {
    let mut db = database::open(&context.settings, false)?;
    let found = db.read(|tx| {
        let Some(row) = tx.job_by_id(id)? else { return Ok(None) };
        let workflows = Workflows::default();
        let account = summary(tx, &workflows, row.no, now())?;
        let barriers = explain::barriers(tx, &workflows, &row)?;
        Ok(Some(JobExplanation {
            job: row.id.clone(),
            state: row.state.as_str().to_owned(),
            phase: row.phase.as_str().to_owned(),
            units_open: account.units.total - account.units.succeeded - account.units.dead - account.units.cancelled,
            units_retrying: account.units.failed,
            barriers,
            message: row.message,
        }))
    })?;
    let explanation = found.ok_or(Refusal::NotFound)?;
    output::one(context.output, &explanation, words, id)?;
    Ok(Exit::Ok)
}

fn words(e: &JobExplanation) -> String {
    let mut text = format!("{} is {}, its library is {}; {} units open", e.job, e.state, e.phase, e.units_open);
    if e.units_retrying > 0 {
        text += &format!(", {} of them pause before another attempt", e.units_retrying);
    }
    text.push('\n');
    if let Some(message) = &e.message {
        text += &format!("  {message}\n");
    }
    for barrier in &e.barriers {
        text += &format!("  {} {} is {}: {}\n", barrier.barrier, barrier.key, barrier.state, barrier.message);
        for member in &barrier.missing {
            text += &format!("      {member}\n");
        }
    }
    text
}

/// A unit as people name it: job/step/partition.
pub(crate) fn parse_unit(text: &str) -> CliResult<(String, String, PartNo)> {
    let wrong = || {
        CliError::usage(format!("{text:?} is not a unit"))
            .hint("job/step/partition, as in: showrunner unit list JOB -o name")
    };
    let mut pieces = text.splitn(3, '/');
    let (Some(job), Some(step), Some(part)) = (pieces.next(), pieces.next(), pieces.next()) else {
        return Err(wrong());
    };
    Ok((job.to_owned(), step.to_owned(), part.parse().map_err(|_| wrong())?))
}

/// Explains a unit.
pub(crate) fn unit(context: &Context, text: &str) -> CliResult<Exit> {
    let (job_id, step_id, part) = parse_unit(text)?;
    let mut db = database::open(&context.settings, false)?;
    let found = db.read(|tx| {
        let Some(row) = tx.job_by_id(&job_id)? else { return Ok(None) };
        let workflows = Workflows::default();
        let workflow = workflows.of(tx, row.no)?;
        let Some(step) = workflow.step_no(&step_id) else { return Ok(None) };
        // Partitions are counted from 1; 0 is what a step does once for the whole job.
        let missing = part < 1 && workflow.step(step).is_some_and(|s| s.has_units());
        if missing || part > row.parts || (part > 0 && tx.partitions(row.no, &[part]).is_err()) {
            return Ok(None);
        }
        explain::unit(tx, &workflows, &row, step, part, now()).map(Some)
    })?;
    let explanation = found.ok_or_else(|| CliError::new(Exit::NotFound, format!("no unit {text}")))?;
    let words = |e: &UnitExplanation| format!("{text} is {}: {}\n", e.state, e.message);
    output::one(context.output, &explanation, words, text)?;
    Ok(Exit::Ok)
}
