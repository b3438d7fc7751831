//! Where commands get their answers: the database of a local data directory, or a running coordinator. Both ask the same
//! services and answer in the same shapes, so each command renders one way.
mod client;
mod tasks;
mod units;

pub(crate) use client::Client;
use client::Remote;

use crate::context::Context;
use crate::database;
use crate::embedded::DataDir;
use crate::error::{CliError, CliResult, Exit};
use crate::settings::Origin;
use crate::submit::now;
use coordinator::audit::AuditContext;
use coordinator::command::submission::{Sources, Submitted, submit};
use coordinator::command::{
    self, Among, JobChanged, OperationChange, PriorityRequest, Retried, RetryRequest, WaiveRequest,
};
use coordinator::error::{Answer, outcome};
use coordinator::http::{OfJob, Problem};
use coordinator::paging::PAGE_MAX;
use coordinator::query::causes;
use coordinator::query::causes::{CauseView, Waived};
use coordinator::query::jobs;
use coordinator::query::jobs::{JobExplanation, JobListed, JobsFilter, Progress};
use coordinator::query::operations;
use coordinator::query::operations::OperationView;
use coordinator::query::summary::Summary;
use coordinator::query::workers;
use coordinator::query::workers::WorkerView;
use coordinator::store::handle::Backend;
use coordinator::store::{NewJob, StoreResult};
use coordinator::workflows::Workflows;

/// Where commands are executed.
pub(crate) enum Target {
    /// Directly on the database of the settings: of a data directory, or of a cluster.
    Local(Box<Backend>),
    /// Through the API of a coordinator.
    Remote(Remote),
}

/// A change of a job by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobChange {
    Pause,
    Resume,
    Cancel,
}

impl JobChange {
    fn as_str(self) -> &'static str {
        match self {
            JobChange::Pause => "pause",
            JobChange::Resume => "resume",
            JobChange::Cancel => "cancel",
        }
    }
}

/// The coordinator of the settings, if any. A data directory or a database on the command line overrides a server from
/// the environment or a file.
pub(crate) fn server(context: &Context) -> CliResult<Option<&str>> {
    let server = &context.settings["server"];
    if server.value.is_empty() {
        return Ok(None);
    }
    let local = ["data", "database"].into_iter().find(|name| context.settings[name].origin == Origin::Flag);
    match (&server.origin, local) {
        (Origin::Flag, Some(name)) => {
            Err(CliError::usage(format!("both --server and --{name} are given")).hint("name the one to ask"))
        }
        (_, Some(_)) => Ok(None),
        (_, None) => Ok(Some(&server.value)),
    }
}

impl Target {
    /// Opens an existing data directory, database or server.
    pub(crate) fn open(context: &Context) -> CliResult<Target> {
        match server(context)? {
            Some(url) => Ok(Target::Remote(Remote::new(url)?)),
            None => Ok(Target::Local(Box::new(database::open(&context.settings, false)?))),
        }
    }

    /// Opens the same, and creates the data directory if needed.
    pub(crate) fn open_or_make(context: &Context) -> CliResult<Target> {
        if let Some(url) = server(context)? {
            return Ok(Target::Remote(Remote::new(url)?));
        }
        Ok(Target::Local(Box::new(database::open(&context.settings, true)?)))
    }

    /// Warns when no coordinator runs over the data directory, since a job does not run by itself.
    pub(crate) fn warn_not_running(&self, context: &Context) {
        let data = context.data();
        let here = matches!(self, Target::Local(_)) && database::url(&context.settings).is_none();
        if here && !context.quiet && !DataDir::is_coordinated(&data) {
            eprintln!("no coordinator runs over {0}; start one with: showrunner up --data {0}", data.display());
        }
    }

    /// Hands a job in. The same key never makes a second job.
    pub(crate) fn submit(&mut self, job: &NewJob, sources: &Sources, key: &str, dry_run: bool) -> CliResult<Submitted> {
        match self {
            Target::Local(_) if dry_run => Ok(Submitted { job: job.id.clone(), dry_run }),
            Target::Local(db) => answered(db.write(|tx| outcome(submit(tx, job)))),
            Target::Remote(remote) => remote.submit(sources, key, dry_run),
        }
    }

    /// Lists jobs, newest first.
    pub(crate) fn jobs(&mut self, state: Option<&str>, limit: u32) -> CliResult<Vec<JobListed>> {
        pages(
            limit,
            |limit, after| {
                let filter = JobsFilter { state: state.map(str::to_owned), after, limit };
                match self {
                    Target::Local(db) => answered(db.read(|tx| outcome(jobs::jobs(tx, &filter)))),
                    Target::Remote(remote) => remote.get(&["jobs"], &filter),
                }
            },
            |listed| listed.job.clone(),
        )
    }

    /// The account of a job.
    pub(crate) fn job(&mut self, id: &str) -> CliResult<Summary> {
        match self {
            Target::Local(db) => answered(db.read(|tx| outcome(jobs::job(tx, id, now())))),
            Target::Remote(remote) => remote.get(&["jobs", id], &()),
        }
    }

    /// How far a job is.
    pub(crate) fn progress(&mut self, id: &str) -> CliResult<Progress> {
        match self {
            Target::Local(db) => answered(db.read(|tx| outcome(jobs::progress(tx, id)))),
            Target::Remote(remote) => remote.get(&["jobs", id, "progress"], &()),
        }
    }

    /// Why a job is where it is.
    pub(crate) fn explain_job(&mut self, id: &str) -> CliResult<JobExplanation> {
        match self {
            Target::Local(db) => answered(db.read(|tx| outcome(jobs::explain_job(tx, id)))),
            Target::Remote(remote) => remote.get(&["jobs", id, "explain"], &()),
        }
    }

    /// Pauses, resumes or cancels a job.
    pub(crate) fn change(&mut self, job_change: JobChange, id: &str, order: &AuditContext) -> CliResult<JobChanged> {
        let change = match job_change {
            JobChange::Pause => command::pause,
            JobChange::Resume => command::resume,
            JobChange::Cancel => command::cancel,
        };
        match self {
            Target::Local(db) => answered(db.write(|tx| outcome(change(tx, id, order, now())))),
            Target::Remote(remote) => remote.post(&["jobs", id, job_change.as_str()], order),
        }
    }

    /// Changes who goes first.
    pub(crate) fn prioritise(&mut self, id: &str, request: &PriorityRequest) -> CliResult<JobChanged> {
        match self {
            Target::Local(db) => answered(db.write(|tx| outcome(command::prioritise(tx, id, request, now())))),
            Target::Remote(remote) => remote.post(&["jobs", id, "priority"], request),
        }
    }

    /// Runs failed units of a job again.
    pub(crate) fn retry(&mut self, id: &str, request: &RetryRequest) -> CliResult<Retried> {
        match self {
            Target::Local(db) => bring_back(db, &Among::Job(id.to_owned()), request),
            Target::Remote(remote) => remote.post(&["jobs", id, "retry"], request),
        }
    }

    /// Runs dead units again, of one job or of all.
    pub(crate) fn redrive(&mut self, job: Option<&str>, request: &RetryRequest) -> CliResult<Retried> {
        match self {
            Target::Local(db) => bring_back(db, &Among::Dead(job.map(str::to_owned)), request),
            Target::Remote(remote) => remote.post_for(&["failures", "retry"], &[("job", job)], request),
        }
    }

    /// What failed, by cause.
    pub(crate) fn causes(&mut self, job: Option<&str>, limit: u32) -> CliResult<Vec<CauseView>> {
        let filter = OfJob { job: job.map(str::to_owned), limit: limit.clamp(1, PAGE_MAX) };
        match self {
            Target::Local(db) => {
                answered(db.read(|tx| outcome(causes::causes(tx, &Workflows::default(), job, filter.limit, now()))))
            }
            Target::Remote(remote) => remote.get(&["failures"], &filter),
        }
    }

    /// Leaves a cause as it is.
    pub(crate) fn waive(&mut self, cause: &str, request: &WaiveRequest) -> CliResult<Waived> {
        match self {
            Target::Local(db) => answered(db.write(|tx| outcome(command::waive(tx, cause, request, now())))),
            Target::Remote(remote) => remote.post(&["failures", cause, "waive"], request),
        }
    }

    /// What operators asked for, newest first.
    pub(crate) fn operations(&mut self, job: Option<&str>, limit: u32) -> CliResult<Vec<OperationView>> {
        let filter = OfJob { job: job.map(str::to_owned), limit: limit.clamp(1, PAGE_MAX) };
        match self {
            Target::Local(db) => answered(db.read(|tx| outcome(operations::operations(tx, job, filter.limit)))),
            Target::Remote(remote) => remote.get(&["operations"], &filter),
        }
    }

    /// Pauses, resumes or aborts an operation.
    pub(crate) fn steer_operation(
        &mut self,
        no: i64,
        steering: OperationChange,
        order: &AuditContext,
    ) -> CliResult<OperationView> {
        let job_change = match steering {
            OperationChange::Pause => "pause",
            OperationChange::Resume => "resume",
            OperationChange::Abort => "abort",
        };
        match self {
            Target::Local(db) => {
                answered(db.write(|tx| outcome(command::change_operation(tx, no, steering, order, now()))))
            }
            Target::Remote(remote) => remote.post(&["operations", &no.to_string(), job_change], order),
        }
    }

    /// Workers heard of lately.
    pub(crate) fn workers(&mut self) -> CliResult<Vec<WorkerView>> {
        match self {
            Target::Local(db) => Ok(db.read(|tx| workers::workers(tx, now()))?),
            Target::Remote(remote) => remote.get(&["workers"], &()),
        }
    }

    /// Gives a worker no more work.
    pub(crate) fn drain_worker(&mut self, worker: &str, order: &AuditContext) -> CliResult<WorkerView> {
        match self {
            Target::Local(db) => answered(db.write(|tx| outcome(command::drain(tx, worker, order, now())))),
            Target::Remote(remote) => remote.post(&["workers", worker, "drain"], order),
        }
    }

    /// Gives a worker work again.
    pub(crate) fn release_worker(&mut self, worker: &str, order: &AuditContext) -> CliResult<WorkerView> {
        match self {
            Target::Local(db) => answered(db.write(|tx| outcome(command::release(tx, worker, order, now())))),
            Target::Remote(remote) => remote.post(&["workers", worker, "release"], order),
        }
    }
}

/// Brings units back without a coordinator: counted and carried out a page in a transaction, as far as the rate allows now.
fn bring_back(db: &mut Backend, among: &Among, request: &RetryRequest) -> CliResult<Retried> {
    let workflows = Workflows::default();
    if command::needs_preview(request) {
        let previewed = answered(db.read(|tx| outcome(command::preview(tx, &workflows, among, request, now()))))?;
        if request.audit.dry_run {
            return Ok(previewed);
        }
    }
    let operation = answered(db.write(|tx| outcome(command::retry(tx, &workflows, among, request, now()))))?;
    while db.write(|tx| command::carry_on(tx, &workflows, operation, now()))? {}
    answered(db.read(|tx| outcome(command::retried(tx, operation))))
}

fn answered<R>(result: StoreResult<Answer<R>>) -> CliResult<R> {
    result?.map_err(|error| Problem::from(error).into())
}

/// As many pages as `limit` entries need.
fn pages<T>(
    limit: u32,
    mut fetch: impl FnMut(u32, Option<String>) -> CliResult<Vec<T>>,
    id: impl Fn(&T) -> String,
) -> CliResult<Vec<T>> {
    let mut all: Vec<T> = Vec::new();
    loop {
        let left = limit.saturating_sub(u32::try_from(all.len()).unwrap_or(u32::MAX)).min(PAGE_MAX);
        if left == 0 {
            return Ok(all);
        }
        let page = fetch(left, all.last().map(&id))?;
        let last = page.len() < left as usize;
        all.extend(page);
        if last {
            return Ok(all);
        }
    }
}

impl From<Problem> for CliError {
    fn from(problem: Problem) -> CliError {
        let exit = match problem.status() {
            401 | 403 => Exit::Forbidden,
            404 => Exit::NotFound,
            409 | 412 => Exit::Conflict,
            429 | 500.. => Exit::Failed,
            _ => Exit::Usage,
        };
        CliError { exit, message: problem.message, hint: problem.hint, passing: exit == Exit::Failed }
    }
}
