//! `showrunner coordinator`: the truth in a database, workers anywhere, several coordinators of which one leads.
use super::listen::{self, ListenArgs};
use super::redis::{self, RedisArgs};
use super::stop::{guard, stop_signal};
use crate::context::Context;
use crate::database;
use crate::embedded::DataDir;
use crate::error::{CliError, CliResult, Exit};
use crate::limits::{LimitArgs, endpoint_limits, slice_limits};
use crate::metrics::counted;
use crate::storage::{self, Part};
use crate::submit::now;
use ::coordinator::clock::{Clock, steady};
use ::coordinator::http::{Served, State, leader_name, serve};
use ::coordinator::leader::election::{Candidate, CoordinatorFactory, Leadership, QueueConnector};
use ::coordinator::leader::{Coordinator, CoordinatorConfig};
use ::coordinator::metrics::{Metrics, register_process};
use ::coordinator::queue::UnitQueue;
use ::coordinator::queue::redis::RedisQueue;
use ::coordinator::queue::timed::{Timed, Timings};
use ::coordinator::store::handle::Store;
use prometheus::Registry;
use protocol::rules::cluster::election::ElectionLimits;
use protocol::rules::cluster::retention::RetentionLimits;
use protocol::rules::schedule::endpoint::EndpointLimit;
use protocol::rules::storage::multipart::SliceLimits;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use transport::Server;
use transport::report_key::ReportKeys;

/// Time for the transaction in progress and for open requests after a signal.
const GRACE: Duration = Duration::from_secs(15);

/// Arguments of `coordinator`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    redis: RedisArgs,
    #[command(flatten)]
    listen: ListenArgs,
    /// Where others reach the address of --listen, when that is not where it listens
    #[arg(long, value_name = "URL")]
    advertise: Option<String>,
    #[command(flatten)]
    limits: LimitArgs,
}

impl Args {
    /// Its flags as settings.
    pub(crate) fn flags(&self, flags: &mut BTreeMap<&str, String>) {
        self.redis.flags(flags);
        self.listen.flags(flags);
        self.limits.flags(flags);
    }
}

async fn warn_of_eviction(queue: &RedisQueue) {
    if let Some(warning) = queue.eviction().await {
        eprintln!("warning: {warning}");
    }
}

/// Connects to Redis; each term of leading has connections of its own.
fn connect(server: Server, deployment: String, keys: Option<ReportKeys>) -> QueueConnector {
    Arc::new(move || {
        let (server, deployment, keys) = (server.clone(), deployment.clone(), keys.clone());
        Box::pin(async move {
            let name = server.name();
            let queue = RedisQueue::connect(server)
                .await
                .map_err(|e| e.to_string())?;
            let queue = queue
                .authenticated_with(keys)
                .belonging_to(deployment)
                .await
                .map_err(|e| format!("Redis at {name}: {e}"))?;
            warn_of_eviction(&queue).await;
            Ok(Arc::new(queue) as Arc<dyn UnitQueue>)
        })
    })
}

fn member(
    store: &Store,
    registry: &Registry,
    holder: String,
    connect: QueueConnector,
    clock: Clock,
    retention: Option<RetentionLimits>,
    limits: (Vec<EndpointLimit>, SliceLimits),
) -> CliResult<Candidate> {
    let metrics = Arc::new(counted(Metrics::new(registry))?);
    let timings = counted(Timings::new(registry))?;
    counted(store.write_times().register(registry))?;
    counted(register_process(registry, "coordinator"))?;
    let terms = store.clone();
    let (endpoints, slicing) = limits;
    let config = CoordinatorConfig {
        endpoints,
        slicing,
        retention,
        shared: true,
        ..CoordinatorConfig::default()
    };
    config
        .validate()
        .map_err(|error| CliError::usage(error.to_string()))?;
    let make: CoordinatorFactory = Arc::new(move |queue| {
        let queue = Arc::new(Timed::new(queue, timings.clone()));
        Coordinator::new(
            terms.clone(),
            queue,
            Arc::clone(&clock),
            Arc::clone(&metrics),
            config.clone(),
        )
    });
    Ok(Candidate::new(
        store.clone(),
        holder,
        ElectionLimits::default(),
        connect,
        make,
    ))
}

/// The name of this incarnation, and where a standby sends those who want something changed.
fn holder(args: &Args, served: &Served) -> String {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let anywhere = served.address.ip().is_unspecified();
    let here = if anywhere {
        format!("{host}:{}", served.address.port())
    } else {
        served.address.to_string()
    };
    let address = args
        .advertise
        .clone()
        .unwrap_or_else(|| format!("http://{here}"));
    leader_name(&format!("{host}-{:08x}", fastrand::u32(..)), &address)
}

/// Connects to Redis once: a wrong address and the Redis of another deployment are errors now, instead of endless retries.
async fn try_redis(context: &Context, server: &Server, deployment: &str) -> CliResult<()> {
    let database = database::name(&context.settings);
    redis::belongs(context, server, deployment, &database).await?;
    let tried = RedisQueue::connect(server.clone()).await;
    let queue = tried.map_err(|error| redis::unreachable(context, &error.to_string()))?;
    warn_of_eviction(&queue).await;
    Ok(())
}

/// Runs the command until a signal.
pub(crate) async fn run(context: Context, args: Args) -> CliResult<Exit> {
    let server = redis::server(&context)?;
    let keys = redis::report_keys(&context)?;
    let listen = listen::address(&context)?;
    guard(&context, GRACE)?;
    storage::warn_without_roots(&context.settings, Part::Coordinates)?;
    let limits = (
        endpoint_limits(&context.settings)?,
        slice_limits(&context.settings)?,
    );
    // A file belongs to one coordinator.
    let _data = match database::url(&context.settings) {
        Some(_) => None,
        None => Some(DataDir::open(&context.data())?),
    };
    let (store, thread) = database::open_store(&context.settings, true)?;
    let deployment = store.read(|tx| tx.deployment()).await?;
    try_redis(&context, &server, &deployment).await?;
    let connect = connect(server, deployment, keys);
    let registry = Registry::new();
    // Whom to ask is known once the address is, and the address is part of the member's name.
    let part: Arc<OnceLock<watch::Receiver<Leadership>>> = Arc::default();
    let known = Arc::clone(&part);
    let role = move || {
        known
            .get()
            .map_or_else(Leadership::default, |role| role.borrow().clone())
    };
    let clock = steady(now);
    let hosts = listen::host_names(&context).and(args.advertise.as_deref());
    let state = State {
        store: store.clone(),
        registry: registry.clone(),
        clock: Arc::clone(&clock),
        role: Arc::new(role),
        hosts,
    };
    let retention = database::retention(&context.settings)?;
    let served = serve(listen, state)
        .map_err(|e| CliError::failed(format!("cannot listen on {listen}: {e}")))?;
    let member = member(
        &store,
        &registry,
        holder(&args, &served),
        connect,
        clock,
        retention,
        limits,
    )?;
    drop(part.set(member.role()));
    eprintln!("coordinator on http://{}", served.address);
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        stop_signal().await;
        token.cancel();
    });
    let ran = member.run(stop).await;
    served.stop().await;
    drop(member);
    drop(thread);
    ran?;
    Ok(Exit::Ok)
}
