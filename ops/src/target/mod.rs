//! Where commands get their answers: the database of a local data directory, or a running coordinator. Both ask the same
//! services and answer in the same shapes, so each command renders one way.
mod client;
mod listed;

pub(crate) use client::Client;
use client::Remote;
pub(crate) use listed::{each_page, one_page, pages};

use crate::context::Context;
use crate::database;
use crate::embedded::DataDir;
use crate::error::{CliError, CliResult, Exit};
use crate::settings::Origin;
use crate::submit::now;
use coordinator::command::submission::{Sources, Submitted, submit};
use coordinator::command::{self, Among, Retried, RetryRequest};
use coordinator::error::{Answer, outcome};
use coordinator::http::Problem;
use coordinator::http::endpoint::{Ask, Endpoint, Nothing, Segments};
use coordinator::http::jobs;
use coordinator::query::jobs::{JobIdsFilter, JobsFilter};
use coordinator::store::handle::Backend;
use coordinator::store::{NewJob, StoreResult};
use coordinator::workflows::Workflows;
use std::path::PathBuf;

/// Stands for the newest job.
const LAST: &str = "@last";
/// Ids that an error names at most.
const IDS_SHOWN: u32 = 5;

/// Where commands are executed.
pub(crate) enum Target {
    /// Directly on the database of the settings: of a data directory, or of a cluster.
    Local(Box<Backend>),
    /// Through the API of a coordinator.
    Remote(Remote),
}

/// A data directory without a coordinator: its units do not run, and changes have no effect yet.
pub(crate) struct Unserved(PathBuf);

impl Unserved {
    /// What is the case.
    pub(crate) fn message(&self) -> String {
        format!("no coordinator runs over {}", self.0.display())
    }

    /// The command that starts a coordinator.
    pub(crate) fn next(&self) -> String {
        format!("showrunner up --data {}", self.0.display())
    }
}

/// The coordinator of the settings, if any. A data directory or a database on the command line overrides a server from
/// the environment or a file.
pub(crate) fn server(context: &Context) -> CliResult<Option<&str>> {
    let server = &context.settings["server"];
    if server.value.is_empty() {
        return Ok(None);
    }
    let local = ["data", "database"]
        .into_iter()
        .find(|name| context.settings[name].origin == Origin::Flag);
    match (&server.origin, local) {
        (Origin::Flag, Some(name)) => Err(CliError::usage(format!(
            "both --server and --{name} are given"
        ))
        .hint("name the one to ask")),
        (_, Some(_)) => Ok(None),
        (_, None) => Ok(Some(&server.value)),
    }
}

impl Target {
    /// Opens an existing data directory, database or server.
    pub(crate) fn open(context: &Context) -> CliResult<Target> {
        match server(context)? {
            Some(url) => Ok(Target::Remote(Remote::new(url)?)),
            None => Ok(Target::Local(Box::new(database::open(
                &context.settings,
                false,
            )?))),
        }
    }

    /// Opens the same, and creates the data directory if needed.
    pub(crate) fn open_or_make(context: &Context) -> CliResult<Target> {
        if let Some(url) = server(context)? {
            return Ok(Target::Remote(Remote::new(url)?));
        }
        Ok(Target::Local(Box::new(database::open(
            &context.settings,
            true,
        )?)))
    }

    /// Warns when no coordinator runs over the data directory, since a job does not run by itself.
    pub(crate) fn warn_not_running(&self, context: &Context) {
        if let Some(data) = self.unserved(context).filter(|_| !context.quiet) {
            eprintln!("{}; start one with: {}", data.message(), data.next());
        }
    }

    /// The data directory, when no coordinator runs over it. Of a server or a cluster's database this is not known here.
    pub(crate) fn unserved(&self, context: &Context) -> Option<Unserved> {
        let data = context.data();
        let here = matches!(self, Target::Local(_)) && database::url(&context.settings).is_none();
        (here && !DataDir::is_coordinated(&data)).then_some(Unserved(data))
    }

    /// Hands a job in. The same key never makes a second job.
    pub(crate) fn submit(
        &mut self,
        job: &NewJob,
        sources: &Sources,
        key: &str,
        dry_run: bool,
    ) -> CliResult<Submitted> {
        match self {
            Target::Local(_) if dry_run => Ok(Submitted {
                job: job.id.clone(),
                dry_run,
            }),
            Target::Local(db) => answered(db.write(|tx| outcome(submit(tx, job)))),
            Target::Remote(remote) => remote.submit(sources, key, dry_run),
        }
    }

    /// The id of a job from what a person types: an id, the beginning of one id, or `@last` for the newest job. Text that
    /// begins no id stays as it is, and the command that uses it says that there is no such job.
    pub(crate) fn job_id(&mut self, text: &str) -> CliResult<String> {
        if text == LAST {
            let filter = JobsFilter {
                state: None,
                after: None,
                limit: 1,
            };
            let newest = self.ask::<jobs::List>((), filter)?.pop();
            let none = || CliError::new(Exit::NotFound, "there is no job yet");
            return newest.map(|job| job.job).ok_or_else(none);
        }
        let filter = JobIdsFilter {
            prefix: text.to_owned(),
            limit: IDS_SHOWN,
        };
        // A coordinator of an earlier version has no such list.
        let ids = match self.ask::<jobs::Ids>((), filter) {
            Err(error) if error.exit == Exit::NotFound => Vec::new(),
            ids => ids?,
        };
        match ids.as_slice() {
            [only] => Ok(only.clone()),
            [first, ..] if first != text => Err(CliError::usage(format!(
                "several jobs have an id that begins with {text:?}: {}{}",
                ids.join(", "),
                if ids.len() < IDS_SHOWN as usize {
                    ""
                } else {
                    ", …"
                }
            ))
            .hint("write as much of the id as only one has")),
            _ => Ok(text.to_owned()),
        }
    }

    /// The path of a request with the whole id of its job.
    fn with_job_id<E: Endpoint>(&mut self, mut path: E::Path) -> CliResult<E::Path> {
        if E::PATH.starts_with("/api/v1/jobs/{job}")
            && let Some(job) = path.first()
        {
            *job = self.job_id(job)?;
        }
        Ok(path)
    }

    /// Answers a request that changes nothing.
    pub(crate) fn ask<E: Endpoint<Body = Nothing>>(
        &mut self,
        path: E::Path,
        query: E::Query,
    ) -> CliResult<E::Answer> {
        let path = self.with_job_id::<E>(path)?;
        let ask = Ask::<E>::new(path, query, Nothing {}, now())?;
        match self {
            Target::Local(db) => answered(db.read(|tx| outcome(E::answer(tx, &ask)))),
            Target::Remote(remote) => remote.send(&ask),
        }
    }

    /// Makes a change.
    pub(crate) fn change<E: Endpoint<Query = Nothing>>(
        &mut self,
        path: E::Path,
        body: E::Body,
    ) -> CliResult<E::Answer> {
        let path = self.with_job_id::<E>(path)?;
        let ask = Ask::<E>::new(path, Nothing {}, body, now())?;
        match self {
            Target::Local(db) => answered(db.write(|tx| outcome(E::answer(tx, &ask)))),
            Target::Remote(remote) => remote.send(&ask),
        }
    }

    /// Runs failed units of a job again.
    pub(crate) fn retry(&mut self, id: &str, request: &RetryRequest) -> CliResult<Retried> {
        let id = self.job_id(id)?;
        match self {
            Target::Local(db) => bring_back(db, &Among::Job(id), request),
            Target::Remote(remote) => remote.post(&["jobs", &id, "retry"], request),
        }
    }

    /// Runs dead units again, of one job or of all.
    pub(crate) fn redrive(
        &mut self,
        job: Option<&str>,
        request: &RetryRequest,
    ) -> CliResult<Retried> {
        let job = job.map(|job| self.job_id(job)).transpose()?;
        match self {
            Target::Local(db) => bring_back(db, &Among::Dead(job), request),
            Target::Remote(remote) => {
                remote.post_for(&["failures", "retry"], &[("job", job)], request)
            }
        }
    }
}

/// Brings units back without a coordinator: counted and carried out a page in a transaction, as far as the rate allows now.
fn bring_back(db: &mut Backend, among: &Among, request: &RetryRequest) -> CliResult<Retried> {
    let workflows = Workflows::default();
    if command::needs_preview(request) {
        let previewed = answered(
            db.read(|tx| outcome(command::preview(tx, &workflows, among, request, now()))),
        )?;
        if request.audit.dry_run {
            return Ok(previewed);
        }
    }
    let operation =
        answered(db.write(|tx| outcome(command::retry(tx, &workflows, among, request, now()))))?;
    while db.write(|tx| command::carry_on(tx, &workflows, operation, now()))? {}
    answered(db.read(|tx| outcome(command::retried(tx, operation))))
}

fn answered<R>(result: StoreResult<Answer<R>>) -> CliResult<R> {
    result?.map_err(|error| Problem::from(error).into())
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
        CliError {
            exit,
            message: problem.message,
            hint: problem.hint,
            passing: exit == Exit::Failed,
        }
    }
}
