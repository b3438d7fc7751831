//! What may happen to a cluster, drawn by lot.
use super::cluster::{COORDINATORS, Cluster, Heal};
use crate::fleet::DATABASE;
use fastrand::Rng;
use rustix::process::Signal;
use std::thread::sleep;
use std::time::Duration;
use testkit::proxy::Way;

fn millis(random: &mut Rng, from: u64, to: u64) -> Duration {
    Duration::from_millis(random.u64(from..to))
}

/// Does something to it; says what.
pub(super) fn strike(cluster: &mut Cluster, random: &mut Rng) -> String {
    match random.u32(0..100) {
        0..40 => process(cluster, random),
        40..62 => transport(cluster, random),
        62..74 => database(cluster, random),
        _ => network(cluster, random),
    }
}

/// Kills, stops or drains a worker or a coordinator.
fn process(cluster: &mut Cluster, random: &mut Rng) -> String {
    let coordinator = random.f64() < 0.35;
    let number = if coordinator {
        random.usize(0..COORDINATORS)
    } else {
        random.usize(COORDINATORS..cluster.members.len())
    };
    let frozen = cluster.is_broken(Heal::Continue(number));
    let (away, still) = (
        millis(random, 0, 4_000),
        millis(random, 500, if coordinator { 9_000 } else { 25_000 }),
    );
    let member = &mut cluster.members[number];
    let Some(running) = &member.running else {
        return format!("member {number} is away anyway");
    };
    match random.u32(0..10) {
        0..5 => {
            cluster.kill(number, away);
            format!("member {number} is killed for {away:?}")
        }
        5..7 if !frozen => {
            running.signal(Signal::TERM);
            member.ending = true;
            format!("member {number} is asked to end")
        }
        _ if !frozen => {
            cluster.freeze(number, still);
            format!("member {number} stands still for {still:?}")
        }
        _ => format!("member {number} stands still already"),
    }
}

/// Wipes, restarts, sets back or replaces the transport.
fn transport(cluster: &mut Cluster, random: &mut Rng) -> String {
    if cluster.is_broken(Heal::RedisGoesOn) {
        return "the transport stands still already".into();
    }
    let pause = millis(random, 50, 1_500);
    match random.u32(0..12) {
        0..3 => {
            cluster.fleet.redis.cli(&["FLUSHALL"]);
            "the transport is wiped".into()
        }
        3..5 => {
            let key = [
                "sr:{noop}:units:normal",
                "sr:{transfer}:units:normal",
                "sr:reports",
                "sr:control",
            ];
            let key = key[random.usize(0..key.len())];
            cluster.fleet.redis.cli(&["DEL", key]);
            format!("{key} is deleted")
        }
        5..7 => {
            std::fs::remove_file(cluster.fleet.scratch.path("dump.rdb")).unwrap_or_default();
            cluster.fleet.redis.kill();
            sleep(pause);
            cluster.fleet.redis.restart();
            cluster.follow();
            format!("the transport was away for {pause:?} and comes back empty")
        }
        7..9 => {
            cluster.fleet.redis.cli(&["SAVE"]);
            sleep(pause);
            cluster.fleet.redis.kill();
            cluster.fleet.redis.restart();
            cluster.follow();
            format!("the transport comes back as it was {pause:?} ago")
        }
        9..11 => {
            cluster.replica.cli(&["REPLICAOF", "NO", "ONE"]);
            sleep(pause);
            std::mem::swap(&mut cluster.fleet.redis, &mut cluster.replica);
            cluster.replica.kill();
            let port = cluster.fleet.redis.port();
            for member in &cluster.members {
                member.redis.lead_to(port);
                member.redis.cut();
            }
            cluster.replica.restart();
            cluster.follow();
            format!("a replica that is {pause:?} behind is promoted")
        }
        _ => {
            let still = millis(random, 500, 9_000);
            cluster.fleet.redis.signal(Signal::STOP);
            cluster.later(still, Heal::RedisGoesOn);
            format!("the transport stands still for {still:?}")
        }
    }
}

/// Restarts or stops the database, or ends its sessions.
fn database(cluster: &mut Cluster, random: &mut Rng) -> String {
    if cluster.is_broken(Heal::DatabaseGoesOn) {
        return "the database stands still already".into();
    }
    match random.u32(0..6) {
        0 => {
            cluster.fleet.postgres.stop();
            cluster.fleet.postgres.restart();
            "the database restarts".into()
        }
        1 => {
            cluster.fleet.postgres.stop_immediate();
            cluster.fleet.postgres.restart();
            "the database restarts without a checkpoint".into()
        }
        2 => {
            cluster.fleet.postgres.kill();
            cluster.fleet.postgres.restart();
            "the database is killed".into()
        }
        3..5 => {
            let others = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()";
            cluster.fleet.postgres.ask(DATABASE, others);
            "every session of the database is ended".into()
        }
        _ => {
            let still = millis(random, 500, 8_000);
            cluster.fleet.postgres.freeze(true);
            cluster.later(still, Heal::DatabaseGoesOn);
            format!("the database stands still for {still:?}")
        }
    }
}

/// Does something to the ways of one member.
fn network(cluster: &mut Cluster, random: &mut Rng) -> String {
    let number = random.usize(0..cluster.members.len());
    let coordinator = number < COORDINATORS;
    let to_database = coordinator && random.bool();
    let long = millis(random, 300, if coordinator { 9_000 } else { 25_000 });
    let member = &cluster.members[number];
    let (proxy, heal, place) = match to_database {
        true => (&member.database, Heal::Database(number), "the database"),
        false => (&member.redis, Heal::Redis(number), "the transport"),
    };
    if cluster.is_broken(heal) {
        return format!("member {number} does not reach {place} anyway");
    }
    match random.u32(0..12) {
        0..3 => {
            proxy.blackhole(true);
            cluster.later(long, heal);
            format!("what member {number} says to {place} is swallowed for {long:?}")
        }
        3..5 => {
            proxy.refuse(true);
            cluster.later(long, heal);
            format!("member {number} is refused by {place} for {long:?}")
        }
        5..7 => {
            proxy.abandon();
            format!("connections of member {number} to {place} are half open")
        }
        7 => {
            proxy.stall(Way::Down, true);
            cluster.later(long, heal);
            format!("{place} hears member {number} and is not heard for {long:?}")
        }
        8 => {
            let latency = millis(random, 2, 80);
            proxy.delay(Way::Up, latency);
            proxy.delay(Way::Down, latency);
            cluster.later(long, heal);
            format!("the way of member {number} to {place} takes {latency:?} for {long:?}")
        }
        9 => {
            proxy.cut();
            format!("connections of member {number} to {place} are cut")
        }
        _ => {
            let pattern: &[u8] = if to_database { b"COMMIT" } else { b"XADD" };
            proxy.lose_reply_to(pattern);
            format!("member {number} will lose a reply of {place}")
        }
    }
}
