//! `showrunner coordinator`: the truth in a database, workers anywhere, several coordinators of which one leads.
use super::{Context, stop_signal};
use crate::database;
use crate::embedded::DataDir;
use crate::error::{CliError, CliResult, Exit};
use crate::settings::masked;
use crate::submit::now;
use ::coordinator::member::{Connect, Make, Member};
use ::coordinator::metrics::Metrics;
use ::coordinator::queue::UnitQueue;
use ::coordinator::queue::redis::RedisQueue;
use ::coordinator::runtime::Coordinator;
use ::coordinator::store::handle::Store;
use prometheus::Registry;
use protocol::rules::election::ElectionLimits;
use protocol::rules::lease::LeaseLimits;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Arguments of `coordinator`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Redis or Valkey [env: SHOWRUNNER_REDIS]
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// Address of health, metrics and jobs [env: SHOWRUNNER_LISTEN]
    #[arg(long)]
    listen: Option<String>,
}

impl Args {
    /// Its flags as settings.
    pub(crate) fn flags(&self, flags: &mut BTreeMap<&str, String>) {
        flags.extend(self.redis.clone().map(|url| ("redis", url)));
        flags.extend(self.listen.clone().map(|listen| ("listen", listen)));
    }
}

/// Says which server could not be used; its credentials are not shown.
pub(crate) fn unreachable_redis(context: &Context, why: &str) -> CliError {
    let shown = masked(&context.settings)["redis"].value.clone();
    CliError::failed(format!("Redis at {shown}: {why}")).hint("is it running and reachable? try: redis-cli -u URL ping")
}

/// Connects to Redis; each term of leading has connections of its own.
fn connect(redis: &str) -> Connect {
    let redis = redis.to_owned();
    Arc::new(move || {
        let redis = redis.clone();
        Box::pin(async move {
            let queue = RedisQueue::connect(&redis).await.map_err(|e| e.to_string())?;
            if let Some(policy) = queue.eviction_policy().await.filter(|policy| policy != "noeviction") {
                tracing::warn!(%policy, "Redis may evict streams: set maxmemory-policy to noeviction");
            }
            Ok(Arc::new(queue) as Arc<dyn UnitQueue>)
        })
    })
}

fn member(store: &Store, registry: &Registry, holder: String, connect: Connect) -> CliResult<Member> {
    let metrics = Arc::new(Metrics::new(registry).map_err(|e| CliError::failed(e.to_string()))?);
    let terms = store.clone();
    let make: Make = Arc::new(move |queue| {
        let limits = LeaseLimits::default();
        Coordinator::new(terms.clone(), queue, Arc::new(now), limits, Arc::clone(&metrics)).shared()
    });
    Ok(Member::new(store.clone(), holder, ElectionLimits::default(), connect, make))
}

/// Runs the command until a signal.
pub(crate) async fn run(context: Context, _: Args) -> CliResult<Exit> {
    let redis = &context.settings["redis"].value;
    if redis.is_empty() {
        return Err(CliError::usage("no Redis given").hint("--redis redis://127.0.0.1/ or SHOWRUNNER_REDIS"));
    }
    // A file belongs to one coordinator.
    let _data = match database::url(&context.settings) {
        Some(_) => None,
        None => Some(DataDir::open(&context.data())?),
    };
    let (store, thread) = database::open_store(&context.settings, true)?;
    let connect = connect(redis);
    // A wrong address is said at once, not tried again for ever.
    drop(connect().await.map_err(|why| unreachable_redis(&context, &why))?);
    let registry = Registry::new();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let holder = format!("{host}-{:08x}", fastrand::u32(..));
    let member = member(&store, &registry, holder, connect)?;
    let role = member.role();
    let word = Arc::new(move || role.borrow().as_str());
    let listen = &context.settings["listen"].value;
    let served = ::coordinator::http::serve(listen, store, registry, word)
        .map_err(|e| CliError::failed(format!("cannot listen on {listen}: {e}")))?;
    eprintln!("coordinator on http://{}", served.address);
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        stop_signal().await;
        token.cancel();
    });
    let ran = member.run(stop).await;
    served.handle.stop(true).await;
    drop(member);
    drop(thread);
    ran?;
    Ok(Exit::Ok)
}
