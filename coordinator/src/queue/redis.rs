//! The transport over Redis Streams, coordinator's side. Only commands of Redis 7.0; everything here can be deleted at any
//! moment, at the cost of delay.
//!
//! Units go into `sr:{KIND}:units:CLASS`, packed by step; reports come from `sr:reports` and are deleted once they are in the
//! store, so a new leader finds exactly what the old one had not taken.
use super::deployment_mark::DeploymentMark;
use super::report_check::{ReportCheck, ReportEntry};
use super::stream_entry::StreamEntry;
use super::{Cleaned, Collected, IsOut, Lost, QueueError, UnitQueue};
use async_trait::async_trait;
use foldhash::HashMap as IdMap;
use parking_lot::Mutex;
use protocol::id::{Execution, UnitId, WorkerId};
use protocol::model::priority::Priority;
use protocol::rules::cluster::report_read::{ReportReadLimits, ReportReply, entries_of_next_read};
use protocol::wire::control::Control;
use protocol::wire::report::Report;
use protocol::wire::unit::Unit;
use protocol::wire::{envelope, keys};
use redis::{RedisError, Value, cmd, pipe};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;
use transport::alarm::Alarm;
use transport::report_key::ReportKeys;
use transport::signature::Signer;
use transport::{BulkPool, Connection, Server, SharedConnection};

/// Longest wait for reports in one read.
const BLOCK: Duration = Duration::from_millis(500);
/// A reply later than this means that the connection is dead.
const RESPONSE: Duration = Duration::from_secs(5);
/// Messages kept for workers.
const CONTROL_MAX: u64 = 1_000;

/// The coordinator's connections.
pub struct RedisQueue {
    server: Server,
    pub(super) short: SharedConnection,
    /// For units: an entry that is added twice is run twice, under one epoch.
    pub(super) publishing: SharedConnection,
    /// For inspection rounds, whose replies are large.
    pub(super) pool: BulkPool,
    reader: AsyncMutex<Option<Connection>>,
    alarm: Alarm,
    last_report: Mutex<String>,
    pub(super) places: Mutex<IdMap<UnitId, StreamEntry>>,
    pub(super) mark: DeploymentMark,
    pub(super) signer: Mutex<Option<Arc<Signer>>>,
    /// Entries that the next read of reports asks for.
    report_entries: Mutex<usize>,
    report_check: ReportCheck,
}

/// Sorts an error of the client by what can be done about it.
pub(super) fn failed(error: RedisError) -> QueueError {
    let text = error.to_string();
    match error.code() {
        Some("OOM") => QueueError::Full(text),
        Some("NOPERM" | "NOAUTH" | "WRONGPASS") => QueueError::Refused(text),
        _ => QueueError::Away(text),
    }
}

impl RedisQueue {
    /// Connects to a server.
    pub async fn connect(server: Server) -> Result<RedisQueue, QueueError> {
        let short = SharedConnection::open(server.clone(), RESPONSE)
            .await
            .map_err(failed)?;
        Ok(RedisQueue {
            publishing: short.at_most_once().await.map_err(failed)?,
            pool: BulkPool::new(server.clone(), RESPONSE),
            server,
            short,
            reader: AsyncMutex::new(None),
            alarm: Alarm::new("reports cannot be read; leases stand still meanwhile"),
            last_report: Mutex::new("0".into()),
            places: Mutex::default(),
            mark: DeploymentMark::default(),
            signer: Mutex::default(),
            report_entries: Mutex::new(ReportReadLimits::default().first),
            report_check: ReportCheck::default(),
        })
    }

    /// The same with the keys of the deployment: messages that none of them has authenticated are refused.
    pub fn authenticated_with(mut self, keys: Option<ReportKeys>) -> RedisQueue {
        self.report_check = ReportCheck::new(keys);
        self
    }

    /// Whether the server may drop streams by itself, and what to do about it; nothing when it may not, or does not say.
    pub async fn eviction(&self) -> Option<String> {
        let mut short = self.short.clone();
        // INFO, not CONFIG: hosted servers have no CONFIG, and its readers see passwords.
        let info: String = cmd("INFO")
            .arg("memory")
            .query_async(&mut short)
            .await
            .ok()?;
        transport::health::eviction(&info)
    }

    async fn read_reports(&self, max: usize) -> Result<Vec<ReportEntry>, QueueError> {
        let mut guard = self.reader.lock().await;
        let mut reader = match guard.take() {
            Some(reader) => reader,
            // A blocking read has a connection of its own, whose patience is longer than the read.
            None => {
                let opened = self.server.open(BLOCK + RESPONSE).await.map_err(failed)?;
                // Settled reports are deleted: what is there is to be read. Behind a connection that broke may be
                // another server, whose entries have lower ids if its clock is behind.
                *self.last_report.lock() = "0".into();
                opened
            }
        };
        let last = self.last_report.lock().clone();
        let reply: Value = cmd("XREAD")
            .arg("COUNT")
            .arg(max)
            .arg("BLOCK")
            .arg(u64::try_from(BLOCK.as_millis()).unwrap_or(500))
            .arg("STREAMS")
            .arg(keys::REPORTS)
            .arg(last)
            .query_async(&mut reader)
            .await
            .map_err(failed)?;
        *guard = Some(reader);
        Ok(report_entries(reply))
    }
}

/// A reply over streams: per stream its entries, per entry its field names and values.
type Streams = Vec<(String, Vec<(String, Option<Vec<Vec<u8>>>)>)>;

/// The entries of an XREAD reply over the stream of reports; anything else is no entry.
fn report_entries(reply: Value) -> Vec<ReportEntry> {
    let parsed: Result<Streams, _> = redis::from_redis_value(reply);
    let streams = parsed.unwrap_or_default();
    streams
        .into_iter()
        .flat_map(|(_, entries)| entries)
        .map(|(id, fields)| {
            let mut entry = ReportEntry {
                id,
                ..ReportEntry::default()
            };
            let mut fields = fields.unwrap_or_default().into_iter();
            // The body comes first, by whatever name: earlier versions read it by its place.
            entry.body = fields.nth(1).unwrap_or_default();
            while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
                if name == keys::SENDER.as_bytes() {
                    entry.sender = Some(value);
                } else if name == keys::AUTHENTICATOR.as_bytes() {
                    entry.authenticator = Some(value);
                }
            }
            entry
        })
        .collect()
}

#[async_trait]
impl UnitQueue for RedisQueue {
    async fn publish(&self, class: Priority, units: Vec<Unit>) -> Result<(), QueueError> {
        self.publish_units(class, units).await
    }

    fn sign_with(&self, seed: &str) {
        *self.signer.lock() = Signer::of(seed).map(Arc::new);
    }

    fn sends_messages(&self) -> bool {
        true
    }

    async fn collect(&self, max: usize) -> Result<Collected, QueueError> {
        self.mark.check()?;
        let limits = ReportReadLimits::default();
        let asked = max.div_ceil(64).min(*self.report_entries.lock());
        let read = self.read_reports(asked).await;
        let reply = read.as_ref().ok().map(|read| ReportReply {
            entries: read.len(),
            bytes: read.iter().map(|entry| entry.body.len()).sum(),
        });
        *self.report_entries.lock() = entries_of_next_read(asked, reply, &limits);
        match &read {
            Ok(_) => self.alarm.clear(),
            Err(error) => self.alarm.raise(error),
        }
        let read = read?;
        let mut collected = Collected {
            more: read.len() >= asked,
            ..Collected::default()
        };
        for entry in read {
            let Collected {
                reports, refused, ..
            } = &mut collected;
            // What cannot be read is deleted with the rest: the units in it lapse and run again.
            if let Err(error) = self.report_check.read(&entry, reports, refused) {
                tracing::error!(entry = %entry.id, %error, "an unreadable report was dropped");
            }
            *self.last_report.lock() = entry.id.clone();
            collected.entries.push(entry.id);
        }
        let mut places = self.places.lock();
        for sent in &collected.reports {
            if let Report::Settled(outcome) = &sent.report {
                let current = places
                    .get(&outcome.unit)
                    .is_some_and(|place| place.epoch == outcome.epoch);
                if current {
                    places.remove(&outcome.unit);
                }
            }
        }
        Ok(collected)
    }

    async fn settled(&self, entries: Vec<String>) -> Result<(), QueueError> {
        if entries.is_empty() {
            return Ok(());
        }
        self.mark.check()?;
        let mut short = self.short.clone();
        let _deleted: i64 = cmd("XDEL")
            .arg(keys::REPORTS)
            .arg(entries)
            .query_async(&mut short)
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn control(&self, message: Control) -> Result<(), QueueError> {
        self.mark.check()?;
        let body = envelope::encode(&message).map_err(|e| QueueError::TooLong(e.to_string()))?;
        let mut short = self.short.clone();
        let signer = self.signer.lock().clone();
        let mut add = cmd("XADD");
        add.arg(keys::CONTROL)
            .arg("MAXLEN")
            .arg("~")
            .arg(CONTROL_MAX)
            .arg("*")
            .arg(keys::BODY)
            .arg(&body);
        if let Some(signer) = signer {
            add.arg(keys::SIGNATURE).arg(signer.sign_control(&body));
        }
        let _id: String = add.query_async(&mut short).await.map_err(failed)?;
        Ok(())
    }

    async fn recall(&self, out: BTreeSet<Execution>) -> Result<(), QueueError> {
        self.recall_streams(&out).await
    }

    async fn lost(
        &self,
        units: Vec<Execution>,
        alive: Vec<WorkerId>,
    ) -> Result<Vec<Lost>, QueueError> {
        let mut lost: Vec<Lost> = Vec::new();
        let mut asked: Vec<(Execution, StreamEntry)> = Vec::new();
        {
            let places = self.places.lock();
            for Execution { unit, epoch } in units {
                match places.get(&unit).filter(|place| place.epoch == epoch) {
                    Some(place) => asked.push((Execution { unit, epoch }, place.clone())),
                    // Not published at all, or gone before an earlier leader's entries were looked through.
                    None => lost.push(Lost {
                        unit,
                        epoch,
                        holder: None,
                        vanished: false,
                    }),
                }
            }
        }
        if asked.is_empty() {
            return Ok(lost);
        }
        let mut pipeline = pipe();
        for (_, place) in &asked {
            pipeline
                .cmd("XRANGE")
                .arg(&place.stream)
                .arg(&place.entry)
                .arg(&place.entry);
            pipeline
                .cmd("XPENDING")
                .arg(&place.stream)
                .arg(keys::GROUP)
                .arg(&place.entry)
                .arg(&place.entry)
                .arg(1);
        }
        let mut connection = self.pool.borrow().await.map_err(failed)?;
        let replies: Vec<Value> = pipeline
            .ignore_errors()
            .query_async(&mut connection)
            .await
            .map_err(failed)?;
        for ((Execution { unit, epoch }, _), pair) in asked.into_iter().zip(replies.chunks(2)) {
            let [entry, pending] = pair else { continue };
            let there = matches!(entry, Value::Array(found) if !found.is_empty());
            let holder = holder_of(pending);
            let dead = holder.filter(|name| !alive.iter().any(|w| w.0 == *name));
            if !there || dead.is_some() {
                lost.push(Lost {
                    unit,
                    epoch,
                    holder: dead.map(WorkerId),
                    vanished: !there,
                });
            }
        }
        Ok(lost)
    }

    async fn clean(
        &self,
        alive: Vec<WorkerId>,
        is_out: IsOut,
        idle_min: Duration,
    ) -> Result<Cleaned, QueueError> {
        self.places
            .lock()
            .retain(|unit, place| is_out(*unit, place.epoch));
        self.clean_streams(&alive, &is_out, idle_min).await
    }

    async fn wiped(&self) -> Result<bool, QueueError> {
        self.claim().await?;
        let mut short = self.short.clone();
        // SET … NX GET needs Redis 7.0: it answers what stood there and writes only where nothing stood.
        let before: Option<String> = cmd("SET")
            .arg(keys::MARK)
            .arg("1")
            .arg("NX")
            .arg("GET")
            .query_async(&mut short)
            .await
            .map_err(failed)?;
        let signer = self.signer.lock().clone();
        if let Some(signer) = signer {
            // An older list of users may deny it; workers then run units unchecked, and say so.
            let said: Result<(), RedisError> = cmd("SET")
                .arg(keys::KEY)
                .arg(signer.public())
                .query_async(&mut short)
                .await;
            drop(said);
        }
        let wiped = before.is_none();
        if wiped {
            *self.last_report.lock() = "0".into();
        }
        Ok(wiped)
    }

    fn is_foreign(&self) -> bool {
        self.mark.check().is_err()
    }
}

/// The consumer in an XPENDING reply of one entry.
fn holder_of(pending: &Value) -> Option<String> {
    let parsed: Vec<(String, String, i64, i64)> = redis::from_redis_value(pending.clone()).ok()?;
    parsed
        .into_iter()
        .next()
        .map(|(_, consumer, _, _)| consumer)
}
