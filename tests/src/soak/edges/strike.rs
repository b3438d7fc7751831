//! What hits a cluster in a phase of a job.
use super::super::cluster::{COORDINATORS, Cluster};
use crate::crowd::Crowd;
use fastrand::Rng;
use std::time::Duration;

fn millis(random: &mut Rng, from: u64, to: u64) -> Duration {
    Duration::from_millis(random.u64(from..to))
}

/// Strikes once; returns what kind of fault that was, and what was done.
pub(super) fn strike(
    cluster: &mut Cluster,
    crowd: &Crowd,
    random: &mut Rng,
) -> (&'static str, String) {
    let worker = random.usize(COORDINATORS..cluster.members.len());
    match random.u32(0..20) {
        0..4 => ("leader killed", leader(cluster, random, true)),
        4..7 => ("leader stopped", leader(cluster, random, false)),
        7..9 => {
            let away = millis(random, 0, 3_000);
            let done = cluster.kill(worker, away);
            let what = format!(
                "worker {worker} is killed for {away:?}{}",
                if done { "" } else { " (it was away)" }
            );
            ("worker killed", what)
        }
        9..11 => {
            let still = millis(random, 1_000, 24_000);
            let done = cluster.freeze(worker, still);
            let what = format!(
                "worker {worker} is stopped for {still:?}{}",
                if done { "" } else { " (already)" }
            );
            ("worker stopped", what)
        }
        11..14 => {
            cluster.fleet.redis.cli(&["FLUSHALL"]);
            ("Redis wiped", "Redis is wiped".into())
        }
        14..16 => {
            let pause = millis(random, 50, 1_500);
            cluster.fleet.redis.kill();
            std::thread::sleep(pause);
            cluster.fleet.redis.restart();
            (
                "Redis restarted",
                format!("Redis was away for {pause:?} and comes back empty"),
            )
        }
        16 => {
            cluster.fleet.postgres.stop();
            cluster.fleet.postgres.restart();
            ("PostgreSQL restarted", "PostgreSQL restarts".into())
        }
        17 => {
            cluster.fleet.postgres.kill();
            cluster.fleet.postgres.restart();
            (
                "PostgreSQL killed",
                "PostgreSQL is killed and restarts".into(),
            )
        }
        18 => {
            crowd.kill(100);
            ("100 workers killed", "100 simulated workers die".into())
        }
        _ => {
            let still = millis(random, 1_000, 24_000);
            crowd.freeze(still);
            (
                "all workers stopped",
                format!("all simulated workers are stopped for {still:?}"),
            )
        }
    }
}

/// Kills the coordinator that leads, so that another one takes over; nothing when none leads at the moment.
pub(super) fn failover(cluster: &mut Cluster, random: &mut Rng) -> Option<String> {
    let (number, _) = cluster.leader()?;
    let away = millis(random, 0, 3_000);
    cluster
        .kill(number, away)
        .then(|| format!("leader {number} is killed for {away:?}"))
}

/// Kills or stops the coordinator that leads, or the first one when none does.
fn leader(cluster: &mut Cluster, random: &mut Rng, kill: bool) -> String {
    let number = cluster.leader().map_or(0, |(number, _)| number);
    let (away, still) = (millis(random, 0, 3_000), millis(random, 1_000, 12_000));
    if kill {
        cluster.kill(number, away);
        return format!("leader {number} is killed for {away:?}");
    }
    cluster.freeze(number, still);
    format!("leader {number} is stopped for {still:?}")
}
