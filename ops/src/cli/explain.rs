//! `job explain` and `unit explain`.
use crate::context::Context;
use crate::error::{CliResult, Exit};
use crate::output;
use crate::target::Target;
use coordinator::http::endpoint::Nothing;
use coordinator::http::{Problem, jobs, units};
use coordinator::query::explain::UnitExplanation;
use coordinator::query::jobs::JobExplanation;
use coordinator::query::open_tasks::OpenTask;
use coordinator::query::units::parse_unit as unit_of;
use coordinator::store::JobState;
use protocol::id::PartNo;
use protocol::rules::unit::transition::UnitState;

/// Explains a job: what is open, and which barriers wait for what.
pub(crate) fn job(context: &Context, id: &str) -> CliResult<Exit> {
    let mut target = Target::open(context)?;
    let mut explanation = target.ask::<jobs::Explain>((id.to_owned(),), Nothing {})?;
    let is_open = JobState::parse(&explanation.state).is_some_and(|state| !state.has_ended());
    if let Some(unserved) = target.unserved(context).filter(|_| is_open) {
        let known = explanation.message.take().map(|known| format!("; {known}"));
        let message = format!(
            "{}, so nothing of it runs: {}{}",
            unserved.message(),
            unserved.next(),
            known.unwrap_or_default()
        );
        explanation.message = Some(message);
    }
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
    for task in &e.tasks {
        text += &open_task(task);
    }
    if e.truncated.iter().any(|member| member == "tasks") {
        text += &format!("  and more tasks: showrunner task list --job {}\n", e.job);
    }
    for barrier in &e.barriers {
        text += &format!(
            "  {} {} is {}: {}\n",
            barrier.barrier, barrier.key, barrier.state, barrier.message
        );
        for member in &barrier.missing {
            text += &format!("      {member}\n");
        }
        if barrier.missing_more > 0 {
            text += &format!("      and {} more\n", output::count(barrier.missing_more));
        }
        for task in &barrier.tasks {
            text += &format!("      waits for {task}\n");
        }
    }
    let named = e.barriers.len() as u64;
    if e.barriers_open > named {
        text += &format!(
            "  and {}: {} are held or wait, {} are listed\n",
            output::counted(e.barriers_open - named, "more barrier"),
            output::count(e.barriers_open),
            output::count(named)
        );
    }
    text
}

/// A pending task and the command that ends it, in two lines.
pub(crate) fn open_task(task: &OpenTask) -> String {
    format!("  waits for {}\n      {}\n", task.message, task.next)
}

/// A unit as people name it: job/step/partition.
pub(crate) fn parse_unit(text: &str) -> CliResult<(String, String, PartNo)> {
    Ok(unit_of(text).map_err(Problem::from)?)
}

/// Explains a unit.
pub(crate) fn unit(context: &Context, text: &str) -> CliResult<Exit> {
    let (job, step, part) = parse_unit(text)?;
    let mut target = Target::open(context)?;
    let mut explanation = target.ask::<units::Explain>((job, step, part), Nothing {})?;
    let is_open = matches!(
        UnitState::parse(&explanation.state),
        Some(UnitState::Planned | UnitState::Ready | UnitState::Leased | UnitState::Retrying)
    );
    if let Some(unserved) = target.unserved(context).filter(|_| is_open) {
        explanation.message = format!("{}; {}", unserved.message(), explanation.message);
        explanation.next = format!("{}, then {}", unserved.next(), explanation.next);
    }
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
