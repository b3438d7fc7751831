//! Cleans up behind workers that are gone: acknowledges entries that are still pending for them once another worker has
//! it, then removes the consumer. Bounded work a round; what is left waits for the next.
use crate::queue::redis::{RedisQueue, failed};
use crate::queue::{Cleaned, IsOut, QueueError};
use protocol::id::{Kind, WorkerId};
use protocol::rules::worker::consumer_cleanup::{ConsumerDecision, ConsumerSnapshot, decide};
use protocol::wire::batch::UnitBatch;
use protocol::wire::{envelope, keys};
use redis::{FromRedisValue, Value, cmd, pipe};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use transport::bulk_pool::PooledConnection;

/// Dead consumers cleaned up behind in one stream and round.
const CONSUMERS_MAX: usize = 256;
/// Entries of one consumer looked at in one round.
const ENTRIES_MAX: usize = 128;

impl RedisQueue {
    /// One round over every unit stream. `is_out` says of an execution whether it is out when it is asked.
    pub(super) async fn clean_streams(
        &self,
        alive: &[WorkerId],
        is_out: &IsOut,
        idle_min: Duration,
    ) -> Result<Cleaned, QueueError> {
        let mut cleaned = Cleaned::default();
        let alive: BTreeSet<&str> = alive.iter().map(|worker| worker.0.as_str()).collect();
        let mut connection = self.pool.borrow().await.map_err(failed)?;
        for kind in Kind::ALL {
            for class in keys::CLASSES {
                let stream = keys::units(kind, class);
                let seen = consumers(&mut connection, &stream, &alive)
                    .await?
                    .into_iter();
                let judged = seen.map(|(name, seen)| (name, decide(seen, idle_min)));
                // The living are no work, and the server names all consumers in one order: counted, they would hide
                // the dead behind them for ever.
                let dead = judged.filter(|(_, decision)| *decision != ConsumerDecision::Keep);
                for (name, decision) in dead.take(CONSUMERS_MAX) {
                    match decision {
                        ConsumerDecision::Keep => {}
                        ConsumerDecision::HandOver => {
                            cleaned.entries +=
                                hand_over(&mut connection, &stream, &name, is_out).await?;
                        }
                        ConsumerDecision::Remove => {
                            let mut remove = cmd("XGROUP");
                            remove
                                .arg("DELCONSUMER")
                                .arg(&stream)
                                .arg(keys::GROUP)
                                .arg(&name);
                            let _pending: u64 =
                                remove.query_async(&mut connection).await.map_err(failed)?;
                            cleaned.consumers += 1;
                        }
                    }
                }
            }
        }
        cleaned.parked = cmd("XLEN")
            .arg(keys::PARKED)
            .query_async(&mut connection)
            .await
            .map_err(failed)?;
        Ok(cleaned)
    }
}

async fn consumers(
    connection: &mut PooledConnection<'_>,
    stream: &str,
    alive: &BTreeSet<&str>,
) -> Result<Vec<(String, ConsumerSnapshot)>, QueueError> {
    let mut ask = cmd("XINFO");
    ask.arg("CONSUMERS").arg(stream).arg(keys::GROUP);
    let listed: Vec<HashMap<String, Value>> = match ask.query_async(connection).await {
        Ok(listed) => listed,
        // No stream or no group: no consumer to clean up behind.
        Err(error) if matches!(error.code(), Some("ERR" | "NOGROUP")) => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let number = |of: &HashMap<String, Value>, name: &str| {
        of.get(name)
            .and_then(|value| u64::from_redis_value_ref(value).ok())
            .unwrap_or(0)
    };
    let seen = listed.into_iter().filter_map(|consumer| {
        let name = String::from_redis_value_ref(consumer.get("name")?).ok()?;
        let seen = ConsumerSnapshot {
            alive: alive.contains(name.as_str()),
            idle: Duration::from_millis(number(&consumer, "idle")),
            pending: number(&consumer, "pending"),
        };
        Some((name, seen))
    });
    Ok(seen.collect())
}

/// Acknowledges and deletes the entries of a dead consumer in which no unit is out any more under the epoch of the entry.
/// Entries that were never delivered to a consumer are not affected.
async fn hand_over(
    connection: &mut PooledConnection<'_>,
    stream: &str,
    name: &str,
    is_out: &IsOut,
) -> Result<u64, QueueError> {
    let mut ask = cmd("XPENDING");
    ask.arg(stream)
        .arg(keys::GROUP)
        .arg("-")
        .arg("+")
        .arg(ENTRIES_MAX)
        .arg(name);
    let pending: Vec<(String, String, u64, u64)> =
        ask.query_async(connection).await.map_err(failed)?;
    let ids: Vec<String> = pending.into_iter().map(|(id, ..)| id).collect();
    if ids.is_empty() {
        return Ok(0);
    }
    let mut look = pipe();
    for id in &ids {
        look.cmd("XRANGE").arg(stream).arg(id).arg(id);
    }
    let found: Vec<Vec<(String, Vec<Vec<u8>>)>> =
        look.query_async(connection).await.map_err(failed)?;
    let mut spent = Vec::new();
    for (id, entry) in ids.into_iter().zip(found) {
        let body = entry
            .into_iter()
            .next()
            .and_then(|(_, fields)| fields.into_iter().nth(1));
        let awaited = body.is_some_and(|body| match envelope::decode::<UnitBatch>(&body) {
            Ok(batch) => batch.units.iter().any(|unit| is_out(unit.id, unit.epoch)),
            Err(_) => false,
        });
        if !awaited {
            spent.push(id);
        }
    }
    if spent.is_empty() {
        return Ok(0);
    }
    let mut end = pipe();
    end.cmd("XACK")
        .arg(stream)
        .arg(keys::GROUP)
        .arg(&spent)
        .ignore();
    end.cmd("XDEL").arg(stream).arg(&spent).ignore();
    end.query_async::<()>(connection).await.map_err(failed)?;
    Ok(spent.len() as u64)
}
