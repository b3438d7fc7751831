//! Election of one leader among several coordinators. A candidate is a standby, leads while it holds the lease, and steps down
//! when another generation has begun. The memory of a leader lives in its term and ends with it.
use crate::leader::Coordinator;
use crate::queue::UnitQueue;
use crate::store::handle::Store;
use crate::store::{StoreError, StoreResult};
use protocol::rules::cluster::election::{Duty, ElectionLimits, Elector, Event};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use transport::alarm::Alarm;

/// Between two attempts to reach the transport at the beginning of a term.
const RETRY_QUEUE: Duration = Duration::from_millis(500);

/// Connects to the transport: each term has connections and places of its own.
pub type QueueConnector = Arc<
    dyn Fn() -> Pin<Box<dyn Future<Output = Result<Arc<dyn UnitQueue>, String>> + Send>>
        + Send
        + Sync,
>;

/// Makes the coordinator of a term over its transport.
pub type CoordinatorFactory = Arc<dyn Fn(Arc<dyn UnitQueue>) -> Coordinator + Send + Sync>;

/// Whether this process leads.
#[derive(Clone)]
pub enum Leadership {
    /// Another process leads, or none: this one answers queries.
    Standby {
        /// The last known leader.
        leader: Option<String>,
    },
    /// This process leads.
    Leader {
        /// Number of its term.
        generation: i64,
        /// Its memory, once it has reached the transport.
        coordinator: Option<Box<Coordinator>>,
    },
}

impl Default for Leadership {
    fn default() -> Leadership {
        Leadership::Standby { leader: None }
    }
}

impl Leadership {
    /// The name of the role in answers and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Leadership::Standby { .. } => "standby",
            Leadership::Leader { .. } => "leader",
        }
    }
}

/// A coordinator that shares its database with others and may be elected.
pub struct Candidate {
    store: Store,
    holder: String,
    limits: ElectionLimits,
    connect: QueueConnector,
    make: CoordinatorFactory,
    role: watch::Sender<Leadership>,
}

/// A term under way; it ends when this is dropped.
struct LeadershipTerm {
    stop: CancellationToken,
    running: JoinHandle<StoreResult<()>>,
}

impl Drop for LeadershipTerm {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Candidate {
    /// A candidate that has not asked for the lease yet. `holder` names this incarnation of this process.
    pub fn new(
        store: Store,
        holder: String,
        limits: ElectionLimits,
        connect: QueueConnector,
        make: CoordinatorFactory,
    ) -> Candidate {
        Candidate {
            store,
            holder,
            limits,
            connect,
            make,
            role: watch::Sender::default(),
        }
    }

    /// The role of this process, as it changes.
    pub fn role(&self) -> watch::Receiver<Leadership> {
        self.role.subscribe()
    }

    /// Takes part until `stop`. An error means that this process can do nothing about it.
    pub async fn run(&self, stop: CancellationToken) -> StoreResult<()> {
        let (mut elector, mut duty) = Elector::new(self.limits);
        let mut term: Option<LeadershipTerm> = None;
        loop {
            let event = match duty {
                Duty::Ask(after) => {
                    tokio::select! {
                        () = stop.cancelled() => Event::Stop,
                        asked = self.ask(after) => asked?,
                    }
                }
                Duty::BeginTerm(generation) => {
                    term = Some(self.begin(generation));
                    Event::Renewed
                }
                Duty::Renew(after) => self.lead(after, &stop, &mut term).await?,
                Duty::EndTerm => {
                    self.end(term.take()).await;
                    Event::TermEnded
                }
                Duty::Release => {
                    if let Err(error) = self.store.release().await {
                        tracing::warn!(%error, "the lease could not be given up; another leads when it ends");
                    }
                    Event::Released
                }
                Duty::End => return Ok(()),
            };
            duty = elector.on(event);
        }
    }

    async fn ask(&self, after: Duration) -> StoreResult<Event> {
        tokio::time::sleep(after).await;
        match self
            .store
            .acquire(self.holder.clone(), self.limits.lease)
            .await
        {
            Ok(None) => {
                let leader = self
                    .store
                    .leader()
                    .await
                    .ok()
                    .flatten()
                    .map(|leader| leader.holder);
                self.role.send_replace(Leadership::Standby { leader });
                Ok(Event::Asked(None))
            }
            Ok(taken) => Ok(Event::Asked(taken)),
            Err(error) => unanswered(error),
        }
    }

    fn begin(&self, generation: i64) -> LeadershipTerm {
        tracing::info!(generation, "this coordinator is the leader");
        self.role.send_replace(Leadership::Leader {
            generation,
            coordinator: None,
        });
        let stop = CancellationToken::new();
        let (connect, make, role, token) = (
            Arc::clone(&self.connect),
            Arc::clone(&self.make),
            self.role.clone(),
            stop.clone(),
        );
        let running = tokio::spawn(async move {
            let connected = tokio::select! {
                () = token.cancelled() => return Ok(()),
                queue = connected(&connect) => queue,
            };
            let coordinator = make(connected);
            role.send_replace(Leadership::Leader {
                generation,
                coordinator: Some(Box::new(coordinator.clone())),
            });
            coordinator.run(token).await
        });
        LeadershipTerm { stop, running }
    }

    /// Waits until the lease is due for renewal, and renews it.
    async fn lead(
        &self,
        after: Duration,
        stop: &CancellationToken,
        term: &mut Option<LeadershipTerm>,
    ) -> StoreResult<Event> {
        let Some(running) = term.as_mut().map(|term| &mut term.running) else {
            return Ok(Event::TermEnded);
        };
        tokio::select! {
            () = stop.cancelled() => return Ok(Event::Stop),
            ended = running => {
                *term = None;
                self.role.send_replace(Leadership::default());
                let panicked = |panic: JoinError| StoreError::Database(format!("a background task panicked: {panic}"));
                return over(ended.unwrap_or_else(|panic| Err(panicked(panic))));
            }
            () = tokio::time::sleep(after) => {}
        }
        match self.store.renew(self.limits.lease).await {
            Ok(()) => Ok(Event::Renewed),
            Err(StoreError::NotLeader(why)) => {
                tracing::warn!(%why, "this coordinator is no longer the leader");
                Ok(Event::Lost)
            }
            Err(error) => unanswered(error),
        }
    }

    async fn end(&self, term: Option<LeadershipTerm>) {
        self.role.send_replace(Leadership::default());
        let Some(mut term) = term else { return };
        term.stop.cancel();
        match (&mut term.running).await {
            Ok(Ok(())) | Ok(Err(StoreError::NotLeader(_))) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the term ended with an error"),
            Err(panic) => tracing::error!(%panic, "a background task of the leader panicked"),
        }
    }
}

async fn connected(connect: &QueueConnector) -> Arc<dyn UnitQueue> {
    let alarm = Alarm::new("the transport cannot be used; trying again");
    loop {
        match connect().await {
            Ok(queue) => {
                alarm.clear();
                return queue;
            }
            Err(why) => alarm.raise(&why),
        }
        tokio::time::sleep(RETRY_QUEUE).await;
    }
}

/// A term that ended by itself: what it remembered is gone, and the next one finds everything in the store.
fn over(ended: StoreResult<()>) -> StoreResult<Event> {
    match ended {
        Ok(()) => Ok(Event::TermEnded),
        Err(StoreError::NotLeader(why)) => {
            tracing::warn!(%why, "this coordinator is no longer the leader");
            Ok(Event::TermEnded)
        }
        Err(error) => {
            tracing::warn!(%error, "the term ended; beginning again from the store");
            unanswered(error).map(|_| Event::TermEnded)
        }
    }
}

/// A store that is away is asked again; one that this build cannot read, or that is closed, is not.
fn unanswered(error: StoreError) -> StoreResult<Event> {
    match error {
        StoreError::NewerSchema { .. } | StoreError::Closed | StoreError::Corrupt(_) => Err(error),
        error => {
            tracing::debug!(%error, "the store did not answer");
            Ok(Event::Unanswered)
        }
    }
}
