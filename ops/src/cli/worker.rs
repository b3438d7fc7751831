//! `showrunner worker`: takes units from Redis. No database, no inbound port but health and metrics.
use super::redis::{self, RedisArgs};
use super::stop::{guard, stop_signal};
use crate::context::Context;
use crate::embedded::worker_config;
use crate::error::{CliError, CliResult, Exit};
use crate::metrics::counted;
use crate::storage::{self, Part};
use crate::submit::now;
use ::coordinator::http::Served;
use ::coordinator::metrics::register_process;
use ::worker::actor::drain_deadline::DrainDeadline;
use ::worker::actor::heartbeat::Pulse;
use ::worker::metrics::WorkerMetrics;
use ::worker::queue::redis::RedisQueue;
use ::worker::queue::timed::Timed;
use ::worker::runtime::{Worker, WorkerConfig};
use prometheus::Registry;
use protocol::id::{Kind, WorkerId};
use protocol::time::Timestamp;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use transport::report_key::ReportKeys;

/// Interval of checks of the notice file.
const NOTICE_EVERY: Duration = Duration::from_secs(1);

/// Arguments of `worker`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// Instead of working: steer workers
    #[command(subcommand)]
    pub(crate) command: Option<super::fleet::Command>,
    #[command(flatten)]
    redis: RedisArgs,
    /// Work for this deployment alone, by the id that `doctor` shows [env: SHOWRUNNER_DEPLOYMENT]
    #[arg(long, value_name = "ID")]
    deployment: Option<String>,
    /// Kinds to take; all by default
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<String>,
    /// Address of health and metrics; none by default
    #[arg(long)]
    listen: Option<String>,
    /// Time for running units after SIGTERM; units that have not started are returned at once. A second signal ends it
    /// now
    #[arg(long, default_value = "30s")]
    grace: String,
    /// When this machine ends (RFC 3339): only units that finish before are taken
    #[arg(long, value_name = "TIME")]
    leaves_at: Option<String>,
    /// File that holds such a moment once it is known, as an agent writes it on a spot notice
    #[arg(long, value_name = "FILE")]
    notice: Option<PathBuf>,
}

impl Args {
    /// Its flags as settings.
    pub(crate) fn flags(&self, flags: &mut BTreeMap<&str, String>) {
        self.redis.flags(flags);
        flags.extend(self.deployment.clone().map(|id| ("deployment", id)));
    }
}

/// The kinds of these names.
fn kinds(names: &[String]) -> CliResult<Vec<Kind>> {
    let known = Kind::ALL.map(Kind::as_str);
    let unknown = |name: &str| {
        CliError::usage(format!("unknown kind {name:?}"))
            .hint(protocol::yaml::suggest(name, &known))
    };
    names
        .iter()
        .map(|name| Kind::parse(name).ok_or_else(|| unknown(name)))
        .collect()
}

/// The configuration of this worker, with the slots of the kinds that it takes.
fn config_of(context: &Context, args: &Args) -> CliResult<WorkerConfig> {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let mut config = worker_config(&context.settings, &host)?;
    if !args.kinds.is_empty() {
        let kinds = kinds(&args.kinds)?;
        config.slots.retain(|kind, _| kinds.contains(kind));
    }
    Ok(config)
}

/// Announces when the machine ends: at the time of the flag, and at the time that the notice file names once it is there.
fn announce_drain_deadline(args: &Args, worker: &Worker) -> CliResult<()> {
    let drain_deadline = Arc::clone(&worker.vitals().drain_deadline);
    if let Some(text) = &args.leaves_at {
        let at = Timestamp::parse(text);
        let at = at.ok_or_else(|| {
            CliError::usage(format!("--leaves-at {text:?} is no RFC 3339 moment"))
        })?;
        drain_deadline.announce(at, now());
    }
    if let Some(notice) = args.notice.clone() {
        tokio::spawn(watch_notice(notice, drain_deadline));
    }
    Ok(())
}

/// Serves health and metrics. The worker is ready until it drains.
fn serve_health(listen: &str, registry: Registry, worker: &Worker) -> CliResult<Served> {
    let draining = Arc::clone(&worker.vitals().draining);
    let ready = Arc::new(move || !draining.load(Ordering::Relaxed));
    let served = ::coordinator::http::serve_health(listen, registry, ready)
        .map_err(|e| CliError::failed(format!("cannot listen on {listen}: {e}")))?;
    eprintln!("health and metrics on http://{}", served.address);
    Ok(served)
}

/// Runs the command until a signal.
pub(crate) async fn run(context: Context, args: Args) -> CliResult<Exit> {
    let server = redis::server(&context)?;
    storage::warn_without_roots(&context.settings, Part::Works)?;
    let grace = protocol::quantity::Span::parse(&args.grace)
        .map_err(CliError::usage)?
        .0;
    guard(&context, grace)?;
    let config = config_of(&context, &args)?;
    let keys = redis::report_keys(&context)?;
    let expected = redis::expected(&context, &server).await?;
    let replaced = redis::replaced(server.clone(), expected);
    let away = |why: String| redis::unreachable(&context, &why);
    let beating = Beating::start()
        .map_err(|e| CliError::failed(format!("a thread cannot be started: {e}")))?;
    let pulse = beating
        .pulse(server.clone(), config.worker.clone(), keys.clone())
        .await
        .map_err(away)?;
    let queue = RedisQueue::connect(server, config.worker.clone())
        .await
        .map_err(away)?
        .authenticated_with(keys);
    let (registry, metrics) = (Registry::new(), counted(WorkerMetrics::new())?);
    let queue = counted(Timed::new(queue, &registry))?;
    eprintln!("worker {}", config.worker);
    let stop = CancellationToken::new();
    let token = stop.clone();
    let give_up: Arc<dyn Fn() + Send + Sync> = Arc::new(move || token.cancel());
    let runtime = tokio::runtime::Handle::current();
    let worker = Worker::start(
        config,
        Arc::new(queue),
        runtime,
        Some(pulse),
        give_up,
        metrics.clone(),
    );
    counted(metrics.register(&registry, worker.vitals().clone()))?;
    counted(register_process(&registry, "worker"))?;
    announce_drain_deadline(&args, &worker)?;
    let served = match &args.listen {
        None => None,
        Some(listen) => Some(serve_health(listen, registry, &worker)?),
    };
    let exit = tokio::select! {
        () = stop_signal() => Exit::Ok,
        error = replaced => {
            // Its units belong to the other deployment: reported here, they would count as other units.
            eprintln!("error: {}", error.message);
            std::process::exit(error.exit as i32);
        }
        () = worker.drained() => Exit::Ok,
        () = stop.cancelled() => Exit::Failed,
    };
    worker.shutdown(grace).await;
    if let Some(served) = served {
        served.stop().await;
    }
    Ok(exit)
}

/// The thread that signs of life are sent from.
struct Beating(Option<tokio::runtime::Runtime>);

impl Beating {
    fn start() -> std::io::Result<Beating> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder
            .worker_threads(1)
            .thread_name("heartbeat")
            .enable_all()
            .build()
            .map(|runtime| Beating(Some(runtime)))
    }

    /// A connection that lives there.
    async fn pulse(
        &self,
        server: transport::Server,
        worker: WorkerId,
        keys: Option<ReportKeys>,
    ) -> Result<Pulse, String> {
        let runtime = self
            .0
            .as_ref()
            .map(|runtime| runtime.handle().clone())
            .ok_or("it has ended")?;
        let connecting = runtime.spawn(RedisQueue::connect(server, worker));
        let queue = connecting.await.map_err(|e| e.to_string())??;
        Ok(Pulse {
            queue: Arc::new(queue.authenticated_with(keys)),
            runtime,
        })
    }
}

impl Drop for Beating {
    fn drop(&mut self) {
        // Its last message is not waited for.
        self.0
            .take()
            .into_iter()
            .for_each(tokio::runtime::Runtime::shutdown_background);
    }
}

/// Announces the moment that a file holds, as soon as it does.
async fn watch_notice(file: PathBuf, drain_deadline: Arc<DrainDeadline>) {
    loop {
        // No file, or one that is being written: there is no notice yet.
        let text = tokio::fs::read_to_string(&file).await.unwrap_or_default();
        if let Some(at) = Timestamp::parse(&text) {
            tracing::warn!(%at, "this worker leaves: it takes only what ends before");
            return drain_deadline.announce(at, now());
        }
        tokio::time::sleep(NOTICE_EVERY).await;
    }
}
