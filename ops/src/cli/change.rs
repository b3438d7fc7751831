//! Arguments of changes: the job, and the audit record.
use crate::context::Context;
use crate::error::{CliResult, Exit};
use crate::output;
use crate::target::Target;
use coordinator::audit::AuditContext;
use coordinator::command::JobChanged;
use coordinator::http::endpoint::{Endpoint, Nothing};

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
        let user = || std::env::var("USER").ok().filter(|name| !name.is_empty());
        let id = || format!("uid {}", rustix::process::getuid().as_raw());
        AuditContext {
            actor: self.by.clone().or_else(user).unwrap_or_else(id),
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
    show(
        context,
        &Target::open(context)?.change::<E>((target.id.clone(),), target.audit.order())?,
    )
}

/// Shows a job after a change.
pub(crate) fn show(context: &Context, changed: &JobChanged) -> CliResult<Exit> {
    let would = if changed.dry_run { "would be " } else { "" };
    output::one(
        context.output,
        changed,
        |s| format!("{}: {would}{}\n", s.job, s.state),
        &changed.job,
    )?;
    Ok(Exit::Ok)
}
