//! `showrunner coordinator`: the truth in a database, workers anywhere.
use super::{Context, stop_signal};
use crate::embedded::DataDir;
use crate::error::{CliError, CliResult, Exit};
use crate::settings::masked;
use crate::submit::now;
use ::coordinator::metrics::Metrics;
use ::coordinator::queue::redis::RedisQueue;
use ::coordinator::runtime::Coordinator;
use ::coordinator::store::handle::Store;
use prometheus::Registry;
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

/// Runs the command until a signal.
pub(crate) async fn run(context: Context, _: Args) -> CliResult<Exit> {
    let redis = &context.settings["redis"].value;
    if redis.is_empty() {
        return Err(CliError::usage("no Redis given").hint("--redis redis://127.0.0.1/ or SHOWRUNNER_REDIS"));
    }
    let data = DataDir::open(&context.data())?;
    let (store, thread) = Store::sqlite(&data.database())?;
    let queue = RedisQueue::connect(redis).await.map_err(|e| unreachable_redis(&context, &e.to_string()))?;
    if let Some(policy) = queue.eviction_policy().await.filter(|policy| policy != "noeviction") {
        tracing::warn!(%policy, "Redis may evict streams: set maxmemory-policy to noeviction");
    }
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).map_err(|e| CliError::failed(e.to_string()))?;
    let limits = LeaseLimits::default();
    let coordinator =
        Coordinator::new(store.clone(), Arc::new(queue), Arc::new(now), limits, Arc::new(metrics)).shared();
    let listen = &context.settings["listen"].value;
    let served = ::coordinator::http::serve(listen, store, registry)
        .map_err(|e| CliError::failed(format!("cannot listen on {listen}: {e}")))?;
    eprintln!("coordinator on http://{}", served.address);
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        stop_signal().await;
        token.cancel();
    });
    let ran = coordinator.run(stop).await;
    served.handle.stop(true).await;
    drop(thread);
    ran?;
    Ok(Exit::Ok)
}
