//! Coordinator and worker in one process over one data directory.
use crate::database::database_path;
use crate::error::{CliError, CliResult, Exit};
use crate::limits::{endpoint_limits, slice_limits};
use crate::metrics::counted;
use crate::settings::Settings;
use crate::submit::now;
use ::qc::Tools;
use coordinator::http::{HostNames, State};
use coordinator::leader::election::Leadership;
use coordinator::leader::{Coordinator, CoordinatorConfig};
use coordinator::metrics::{Metrics, register_process};
use coordinator::queue::local::LocalQueue as CoordinatorQueue;
use coordinator::store::handle::{Store, StoreThread};
use prometheus::Registry;
use protocol::id::{Kind, WorkerId};
use protocol::rules::unit::lease::LeaseLimits;
use rustix::fs::FlockOperation;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use worker::metrics::WorkerMetrics;
use worker::queue::local::LocalQueue as WorkerQueue;
use worker::runtime::{Worker, WorkerConfig};
use worker::step::noop::{ExecutionLog, FaultPlan, Rehearsal};

/// Capacity of the channel of report batches.
const REPORT_BATCHES: usize = 8;

/// Attempts to lock a data directory, and the pause between them.
const LOCK_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Creates a data directory with mode 700, since it holds signed locations, manifests and pictures. An existing one keeps
/// its mode, which may be shared on purpose; a warning says so.
fn make_private(path: &Path) -> std::io::Result<()> {
    if path.is_dir() {
        let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let shown = path.display().to_string();
            let shown = crate::output::line(&shown);
            eprintln!(
                "warning: data directory {shown} is open to others (mode {mode:o}): chmod 700 {shown}"
            );
        }
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

/// A data directory, locked for this process.
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Opens or creates a data directory and locks it against a second coordinator.
    pub fn open(path: &Path) -> CliResult<DataDir> {
        let refused = |error: std::io::Error| {
            let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
            let refused = CliError::failed(format!("data directory {}: {error}", path.display()));
            if denied {
                refused.hint("name a directory of this user with --data")
            } else {
                refused
            }
        };
        make_private(path).map_err(refused)?;
        let private = |name: &Path| {
            File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(name)
        };
        let lock = private(&path.join("lock")).map_err(refused)?;
        // SQLite gives its journals the mode of the database.
        private(&database_path(path)).map_err(refused)?;
        let take = || rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive);
        // Another process may hold the lock for a moment to test it.
        let taken = (0..LOCK_TRIES).find_map(|tried| {
            std::thread::sleep(LOCK_PAUSE * u32::from(tried > 0));
            take().ok()
        });
        taken.ok_or_else(|| {
            CliError::new(
                Exit::Conflict,
                format!("{} is in use by another showrunner", path.display()),
            )
            .hint("wait for it, or name another directory with --data")
        })?;
        Ok(DataDir {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Whether a coordinator runs over a data directory now.
    pub fn is_coordinated(path: &Path) -> bool {
        let lock = File::open(path.join("lock"));
        lock.is_ok_and(|lock| {
            rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared).is_err()
        })
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        database_path(&self.path)
    }
}

/// A running coordinator and worker.
pub struct Embedded {
    /// The store of the data directory.
    pub store: Store,
    /// Registry of exported metrics.
    pub registry: Registry,
    /// The coordinator of this process.
    pub coordinator: Coordinator,
    worker: Worker,
    stop: CancellationToken,
    driving: JoinHandle<()>,
    // Dropped in this order: the store commits before the lock is released.
    thread: StoreThread,
    _data: DataDir,
}

impl Embedded {
    /// Starts both over a data directory. Must be called inside an actix system on a multi-thread runtime.
    pub fn start(data: DataDir, settings: &Settings) -> CliResult<Embedded> {
        let config = worker_config(settings, "local")?;
        let (endpoints, slices) = (endpoint_limits(settings)?, slice_limits(settings)?);
        let path = data.database();
        let (store, thread) =
            Store::sqlite(&path).map_err(|error| CliError::from(error).about(&path))?;
        let registry = Registry::new();
        let metrics = counted(Metrics::new(&registry))?;
        counted(store.write_times().register(&registry))?;
        counted(register_process(&registry, "up"))?;
        let worker_metrics = counted(WorkerMetrics::new())?;
        let (coordinator_queue, worker_queue) = transport();
        let clock = coordinator::clock::steady(now);
        // Channels lose no message: a unit may wait for its slot without limit.
        let leases = LeaseLimits {
            unclaimed_max: Duration::MAX,
            ..LeaseLimits::default()
        };
        let retention = crate::database::retention(settings)?;
        let limits = CoordinatorConfig {
            leases,
            endpoints,
            slicing: slices,
            retention,
            ..CoordinatorConfig::default()
        };
        limits
            .validate()
            .map_err(|error| CliError::usage(error.to_string()))?;
        let coordinator = Coordinator::new(
            store.clone(),
            Arc::new(coordinator_queue),
            clock,
            Arc::new(metrics),
            limits,
        );
        let stop = CancellationToken::new();
        let (running, token) = (coordinator.clone(), stop.clone());
        let driving = tokio::spawn(async move {
            if let Err(error) = running.run(token.clone()).await {
                tracing::error!(%error, "the coordinator stopped");
                token.cancel();
            }
        });
        let token = stop.clone();
        let give_up = Arc::new(move || token.cancel());
        let worker = Worker::start(
            config,
            Arc::new(worker_queue),
            tokio::runtime::Handle::current(),
            None,
            give_up,
            worker_metrics.clone(),
        );
        counted(worker_metrics.register(&registry, worker.vitals().clone()))?;
        Ok(Embedded {
            store,
            registry,
            coordinator,
            worker,
            stop,
            driving,
            thread,
            _data: data,
        })
    }

    /// Resolves when the coordinator or the worker has stopped.
    pub async fn failed(&self) {
        self.stop.cancelled().await;
    }

    /// Bytes moved so far.
    pub fn bytes(&self) -> u64 {
        self.worker.vitals().beat().bytes
    }

    /// State of the HTTP API; this process is the leader.
    pub fn api(&self) -> State {
        let coordinator = self.coordinator.clone();
        let role = move || Leadership::Leader {
            generation: 1,
            coordinator: Some(Box::new(coordinator.clone())),
        };
        State {
            store: self.store.clone(),
            registry: self.registry.clone(),
            clock: Arc::new(now),
            role: Arc::new(role),
            hosts: HostNames::default(),
        }
    }

    /// Gives running units `grace` to finish, returns the others, and closes the store.
    pub async fn shutdown(self, grace: Duration) {
        self.worker.shutdown(grace).await;
        // The last reports reach the store within this time.
        tokio::time::sleep(Duration::from_millis(50)).await;
        self.stop.cancel();
        drop(self.driving.await);
        drop(self.coordinator);
        drop(self.store);
        drop(self.thread);
    }
}

fn transport() -> (CoordinatorQueue, WorkerQueue) {
    let mut senders = BTreeMap::new();
    let mut receivers = BTreeMap::new();
    for kind in Kind::ALL {
        let (sender, receiver) = mpsc::unbounded_channel();
        senders.insert(kind, sender);
        receivers.insert(kind, receiver);
    }
    let (report_sender, report_receiver) = mpsc::channel(REPORT_BATCHES);
    let (control_sender, control_receiver) = mpsc::unbounded_channel();
    let coordinator = CoordinatorQueue::new(senders, report_receiver, control_sender);
    (
        coordinator,
        WorkerQueue::new(receivers, report_sender, control_receiver),
    )
}

/// The worker as the settings describe it; `name` starts its incarnation's id.
pub fn worker_config(settings: &Settings, name: &str) -> CliResult<WorkerConfig> {
    let cores =
        std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
    let mut slots = WorkerConfig::default_slots(cores);
    slots.extend(parse_slots(&settings["slots"].value)?);
    let log = std::env::var_os("SHOWRUNNER_REHEARSAL_LOG").map(PathBuf::from);
    let log = log.map(|path| {
        ExecutionLog::open(&path).map_err(|e| {
            CliError::failed(format!("SHOWRUNNER_REHEARSAL_LOG {}: {e}", path.display()))
        })
    });
    let faults = FaultPlan {
        kill: std::env::var("SHOWRUNNER_REHEARSAL_KILL").ok(),
        sick: std::env::var("SHOWRUNNER_REHEARSAL_SICK").ok(),
        block: std::env::var_os("SHOWRUNNER_REHEARSAL_BLOCK").is_some(),
    };
    let rehearsal = Rehearsal {
        log: log.transpose()?,
        faults,
    };
    let tools = Tools {
        ffmpeg: settings["ffmpeg"].value.clone(),
        ffprobe: settings["ffprobe"].value.clone(),
        ..Tools::default()
    };
    let worker = WorkerId(format!("{name}-{:08x}", fastrand::u32(..)));
    Ok(WorkerConfig {
        worker,
        slots,
        tools,
        rehearsal,
        storage: crate::storage::registry(settings)?,
    })
}

/// Parses slots per kind, such as `transfer=8,qc=2`.
pub fn parse_slots(text: &str) -> CliResult<BTreeMap<Kind, u32>> {
    let mut slots = BTreeMap::new();
    for pair in text
        .split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
    {
        let wrong = || {
            CliError::usage(format!("slots: {pair:?} is not kind=number"))
                .hint("transfer=8,qc=2,sync=16")
        };
        let (name, number) = pair.split_once('=').ok_or_else(wrong)?;
        let known = Kind::ALL.map(Kind::as_str);
        let kind = Kind::parse(name.trim()).ok_or_else(|| {
            CliError::usage(format!("slots: unknown kind {name:?}"))
                .hint(protocol::yaml::suggest(name, &known))
        })?;
        slots.insert(kind, number.trim().parse().map_err(|_| wrong())?);
    }
    Ok(slots)
}
