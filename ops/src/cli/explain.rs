//! `job explain` and `unit explain`.
use crate::context::Context;
use crate::error::{CliResult, Exit};
use crate::output;
use crate::target::Target;
use coordinator::http::endpoint::Nothing;
use coordinator::http::{Problem, jobs, units};
use coordinator::query::explain::UnitExplanation;
use coordinator::query::jobs::JobExplanation;
use coordinator::query::units::parse_unit as unit_of;
use protocol::id::PartNo;

/// Explains a job: what is open, and which barriers wait for what.
pub(crate) fn job(context: &Context, id: &str) -> CliResult<Exit> {
    let explanation = Target::open(context)?.ask::<jobs::Explain>((id.to_owned(),), Nothing {})?;
    output::one(context.output, &explanation, render, &explanation.job)?;
    Ok(Exit::Ok)
}

fn render(e: &JobExplanation) -> String {
    let mut text = format!(
        "{} is {}, its library is {}; {} units open",
        e.job, e.state, e.phase, e.units_open
    );
    if e.units_retrying > 0 {
        text += &format!(
            ", {} of them pause before another attempt",
            e.units_retrying
        );
    }
    text.push('\n');
    if let Some(message) = &e.message {
        text += &format!("  {message}\n");
    }
    for barrier in &e.barriers {
        text += &format!(
            "  {} {} is {}: {}\n",
            barrier.barrier, barrier.key, barrier.state, barrier.message
        );
        for member in &barrier.missing {
            text += &format!("      {member}\n");
        }
        for task in &barrier.tasks {
            text += &format!("      waits for {task}\n");
        }
    }
    text
}

/// A unit as people name it: job/step/partition.
pub(crate) fn parse_unit(text: &str) -> CliResult<(String, String, PartNo)> {
    Ok(unit_of(text).map_err(Problem::from)?)
}

/// Explains a unit.
pub(crate) fn unit(context: &Context, text: &str) -> CliResult<Exit> {
    let (job, step, part) = parse_unit(text)?;
    let explanation =
        Target::open(context)?.ask::<units::Explain>((job, step, part), Nothing {})?;
    let render = |e: &UnitExplanation| {
        let mut words = format!("{text} is {}: {}\n", e.state, e.message);
        if let Some(since) = &e.since {
            words += &format!("  since {since}\n");
        }
        words += &format!("  what changes it: {}\n", e.next);
        if let Some(at) = &e.changes_at {
            words += &format!("  at {at}\n");
        }
        if !e.lost_with.is_empty() {
            words += &format!("  it was lost with {}\n", e.lost_with.join(", "));
        }
        words
    };
    output::one(context.output, &explanation, render, text)?;
    Ok(Exit::Ok)
}
