//! Arguments of changes: the job, and the audit record.
use crate::context::Context;
use crate::error::{CliResult, Exit};
use crate::output;
use crate::target::Target;
use coordinator::audit::AuditContext;
use coordinator::command::JobChanged;
use coordinator::field_change::FieldChange;
use coordinator::http::endpoint::{Endpoint, Nothing};
use coordinator::store::JobState;

/// Audit arguments: reason, person, dry run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AuditArgs {
    /// Check and print what would happen, change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Reason for the record
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Person for the record [default: the user's name]
    #[arg(long, env = "SHOWRUNNER_ACTOR", hide_env_values = true)]
    pub(crate) by: Option<String>,
}

impl AuditArgs {
    /// The audit context of these arguments.
    pub(crate) fn order(&self) -> AuditContext {
        let named = |name: &String| !name.is_empty();
        let user = || std::env::var("USER").ok().filter(named);
        // Services and containers often have no USER; the user database has the name.
        let account = || whoami::username().ok().filter(named);
        let id = || format!("uid {}", rustix::process::getuid().as_raw());
        AuditContext {
            actor: self
                .by
                .clone()
                .or_else(user)
                .or_else(account)
                .unwrap_or_else(id),
            reason: self.reason.clone().unwrap_or_default(),
            dry_run: self.dry_run,
        }
    }
}

/// A job to change.
#[derive(Debug, clap::Args)]
pub(crate) struct JobTarget {
    /// Id of the job
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) audit: AuditArgs,
}

/// Changes the state of a job.
pub(crate) fn job<E>(context: &Context, target: &JobTarget) -> CliResult<Exit>
where
    E: Endpoint<Path = (String,), Query = Nothing, Body = AuditContext, Answer = JobChanged>,
{
    let mut place = Target::open(context)?;
    let changed = place.change::<E>((target.id.clone(),), target.audit.order())?;
    let runs = JobState::parse(&changed.state) == Some(JobState::Running);
    if runs && !changed.dry_run {
        place.warn_not_running(context);
    }
    show(context, &changed)
}

/// Shows a job after a change.
pub(crate) fn show(context: &Context, changed: &JobChanged) -> CliResult<Exit> {
    output::one(context.output, changed, render, &changed.job)?;
    Ok(Exit::Ok)
}

fn render(changed: &JobChanged) -> String {
    let mut text = changes(
        &changed.job,
        &changed.state,
        &changed.changes,
        changed.dry_run,
    );
    if changed.units_open > 0 {
        let units = output::counted(changed.units_open, "unit");
        let word = if changed.dry_run {
            "would not"
        } else {
            "do not"
        };
        text += &format!("  {units} {word} run\n");
    }
    text
}

/// A change of an object in lines: what changed from what to what, and under a dry run what would have.
pub(crate) fn changes(name: &str, state: &str, changes: &[FieldChange], dry_run: bool) -> String {
    if changes.is_empty() {
        let word = if dry_run { "would stay" } else { "stays" };
        return format!("{name}: {word} {state}\n");
    }
    let word = if dry_run { "would change" } else { "changed" };
    let line = |change: &FieldChange| {
        format!(
            "{name}: {} {word} from {} to {}\n",
            change.field, change.from, change.to
        )
    };
    changes.iter().map(line).collect()
}
