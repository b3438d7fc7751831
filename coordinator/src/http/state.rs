//! State shared by the handlers.
use crate::clock::Clock;
use crate::command::{self, Among, Preview, Retried, RetryRequest};
use crate::error::{Answer, outcome};
use crate::http::door::HostNames;
use crate::http::endpoint::{Ask, Checked, Endpoint, Nothing};
use crate::http::problem::Problem;
use crate::leader::election::Leadership;
use crate::store::Tx;
use crate::store::handle::Store;
use crate::workflows::Workflows;
use actix_web::HttpRequest;
use actix_web::web::Json;
use prometheus::Registry;
use protocol::rules::unit::redrive_rate::{RATE_MAX, RATE_MIN, is_rate};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the answer to a retry waits for the coordinator to count and carry it out, and how often it looks.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Terms and corrections of a retry at most.
const TERMS_MAX: usize = 10_000;

/// Separates a leader's name from the address of its API; names have no spaces.
const AT: char = ' ';

/// The name under which a coordinator leads, with where its API is.
pub fn leader_name(name: &str, address: &str) -> String {
    format!("{name}{AT}{address}")
}

fn address_of(leader: &str) -> Option<&str> {
    leader
        .split_once(AT)
        .map(|(_, address)| address)
        .filter(|address| !address.is_empty())
}

/// The store, the role of this process, and its metrics.
#[derive(Clone)]
pub struct State {
    /// The store of this process.
    pub store: Store,
    /// Metrics that are exported.
    pub registry: Registry,
    /// The clock of this process.
    pub clock: Clock,
    /// Whether this process leads.
    pub role: Arc<dyn Fn() -> Leadership + Send + Sync>,
    /// Names by which clients may address this server.
    pub hosts: HostNames,
}

impl State {
    pub(super) fn now(&self) -> protocol::time::Timestamp {
        (self.clock)()
    }

    /// A retry as it may be recorded and carried out.
    pub(super) fn retry(&self, mut asked: RetryRequest) -> Result<RetryRequest, Problem> {
        asked.audit = asked.audit.checked()?;
        if let Some(rate) = asked.rate.filter(|rate| !is_rate(*rate)) {
            let why = format!("a rate of {rate} units a second is not possible");
            return Err(Problem::new("usage", why)
                .hint(format!("from one a year ({RATE_MIN:.1e}) to {RATE_MAX}"))
                .at("rate"));
        }
        let many = asked.filter.len().max(asked.corrections.len());
        if many > TERMS_MAX {
            return Err(
                Problem::new("usage", format!("{many} terms in one request"))
                    .hint(format!("{TERMS_MAX} at most")),
            );
        }
        if asked
            .corrections
            .iter()
            .any(|c| c.bytes.is_some_and(|bytes| i64::try_from(bytes).is_err()))
        {
            return Err(
                Problem::new("usage", "bytes is larger than a file can be").at("corrections")
            );
        }
        Ok(asked)
    }

    /// Refuses on a standby, with the address of the leader.
    pub(super) fn leads(&self, request: &HttpRequest) -> Result<(), Problem> {
        match (self.role)() {
            Leadership::Leader { .. } => Ok(()),
            Leadership::Standby { leader } => {
                let leader = leader.as_deref().and_then(address_of);
                let problem = Problem::new(
                    "standby",
                    "this coordinator is a standby; only the leader accepts changes",
                );
                Err(match leader {
                    Some(leader) => Problem {
                        elsewhere: Some(format!(
                            "{}{}",
                            leader.trim_end_matches('/'),
                            request.uri()
                        )),
                        ..problem.hint(format!("ask the leader at {leader}"))
                    },
                    None => problem
                        .hint("no leader is elected, or its address is not known: retry later"),
                })
            }
        }
    }

    /// The role of this process, and the address of the leader's API.
    pub(super) fn part(&self) -> (&'static str, Option<String>) {
        let role = (self.role)();
        let leader = match &role {
            Leadership::Standby {
                leader: Some(leader),
            } => address_of(leader).map(str::to_owned),
            _ => None,
        };
        (role.as_str(), leader)
    }

    /// Runs a query in a read transaction of the store.
    pub(super) async fn read<R, F>(&self, work: F) -> Result<R, Problem>
    where
        R: Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Answer<R> + Send + 'static,
    {
        Ok(self.store.read(|tx| outcome(work(tx))).await??)
    }

    /// Answers a request that changes nothing.
    pub(super) async fn ask<E>(
        &self,
        path: E::Path,
        query: E::Query,
    ) -> Result<Json<E::Answer>, Problem>
    where
        E: Endpoint<Body = Nothing>,
    {
        let ask = Ask::<E>::new(path, query, Nothing {}, self.now())?;
        self.read(move |tx| E::answer(tx, &ask)).await.map(Json)
    }

    /// Answers a change on the leader, and wakes the coordinator.
    pub(super) async fn change<E: Endpoint>(
        &self,
        request: &HttpRequest,
        path: E::Path,
        query: E::Query,
        body: E::Body,
    ) -> Result<Json<E::Answer>, Problem> {
        let ask = Ask::<E>::new(path, query, body, self.now())?;
        self.write(request, move |tx| E::answer(tx, &ask))
            .await
            .map(Json)
    }

    /// Counts what a retry means, and has the coordinator carry it out. Counting for nothing reads page by page and never
    /// takes the writer's time; for real the operation is recorded, and the leader counts it in its turns. The answer
    /// waits a moment for it, and otherwise says how far it is.
    pub(super) async fn bring_back(
        &self,
        request: &HttpRequest,
        among: Among,
        asked: RetryRequest,
    ) -> Result<Retried, Problem> {
        let asked = self.retry(asked)?;
        if !asked.audit.dry_run {
            self.leads(request)?;
        }
        let previewed = if command::needs_preview(&asked) {
            Some(self.preview(&among, &asked).await?)
        } else {
            None
        };
        if let Some(previewed) = previewed.filter(|_| asked.audit.dry_run) {
            return Ok(previewed);
        }
        let (now, paced) = (self.now(), asked.rate.is_some());
        let operation = self
            .write(request, move |tx| {
                command::retry(tx, &Workflows::default(), &among, &asked, now)
            })
            .await?;
        let begun = Instant::now();
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            let retried = self.read(move |tx| command::retried(tx, operation)).await?;
            let settled = !retried.counting && (paced || retried.done >= retried.units);
            if settled || begun.elapsed() >= ANSWER_WITHIN {
                return Ok(retried);
            }
        }
    }

    async fn preview(&self, among: &Among, asked: &RetryRequest) -> Result<Retried, Problem> {
        let (workflows, now) = (Workflows::default(), self.now());
        let (inside, among, asked) = (workflows.clone(), among.clone(), asked.clone());
        let mut preview = self
            .read(move |tx| Preview::begin(tx, &inside, &among, &asked))
            .await?;
        loop {
            let inside = workflows.clone();
            let (counted, more) = self
                .read(move |tx| {
                    let more = preview.page(tx, &inside, now)?;
                    Ok((preview, more))
                })
                .await?;
            if !more {
                return Ok(counted.answer()?);
            }
            preview = counted;
        }
    }

    /// Writes on the leader, and wakes the coordinator.
    pub(super) async fn write<R, F>(&self, request: &HttpRequest, work: F) -> Result<R, Problem>
    where
        R: Send + 'static,
        F: FnOnce(&mut dyn Tx) -> Answer<R> + Send + 'static,
    {
        self.leads(request)?;
        let done = self.store.write(|tx| outcome(work(tx))).await??;
        if let Leadership::Leader {
            coordinator: Some(coordinator),
            ..
        } = (self.role)()
        {
            coordinator.wake();
        }
        Ok(done)
    }
}
