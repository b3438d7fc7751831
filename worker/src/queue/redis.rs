//! The transport over Redis Streams, worker's side.
//!
//! Each kind has a blocking connection of its own; nothing races a read, so no entry is assigned to a reader that has
//! gone. An entry is acknowledged and deleted in the same round trip that reports its last unit: if that is lost, the lease
//! lapses and the coordinator acts.
use super::backlog::Backlog;
use super::control::ControlReader;
use super::gate::Gate;
use super::held_entries::HeldEntries;
use super::lane::Lane;
use super::message::{self, Message};
use super::trust::Trust;
use super::{QueueError, WorkQueue};
use async_trait::async_trait;
use protocol::id::{Kind, WorkerId};
use protocol::wire::control::Control;
use protocol::wire::keys;
use protocol::wire::report::{Outcome, Report, UnitResult};
use protocol::wire::unit::Unit;
use redis::{RedisError, Value, cmd, pipe};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;
use transport::alarm::Alarm;
use transport::report_key::ReportKeys;
use transport::server_run_id;
use transport::{Connection, Server, SharedConnection};

/// Longest wait for units in one read.
const BLOCK: Duration = Duration::from_secs(2);
/// A reply later than this (beyond the wait) means that the connection is dead.
const RESPONSE: Duration = Duration::from_secs(5);
/// Pause after a failed read, doubled up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How often a page of a listing that waits for room looks at the backlog.
const ROOM_EVERY: Duration = Duration::from_millis(5);

/// The worker's connections.
pub struct RedisQueue {
    server: Server,
    worker: WorkerId,
    short: SharedConnection,
    lanes: BTreeMap<Kind, AsyncMutex<Lane>>,
    entries: HeldEntries,
    control: AsyncMutex<ControlReader>,
    reading: Alarm,
    report_alarm: Alarm,
    gate: Gate,
    trust: Trust,
    report_keys: Option<ReportKeys>,
}

impl RedisQueue {
    /// Connects to a server as this worker incarnation.
    pub async fn connect(server: Server, worker: WorkerId) -> Result<RedisQueue, String> {
        let short = SharedConnection::open(server.clone(), RESPONSE)
            .await
            .map_err(|e| e.to_string())?;
        Ok(RedisQueue {
            server,
            worker,
            short,
            lanes: Kind::ALL
                .into_iter()
                .map(|kind| (kind, AsyncMutex::default()))
                .collect(),
            entries: HeldEntries::default(),
            control: AsyncMutex::default(),
            reading: Alarm::new("no units can be read; trying again"),
            report_alarm: Alarm::new("reports wait until the transport takes them"),
            gate: Gate::default(),
            trust: Trust::default(),
            report_keys: None,
        })
    }

    /// The same with keys that its reports are authenticated with.
    pub fn authenticated_with(mut self, keys: Option<ReportKeys>) -> RedisQueue {
        self.report_keys = keys;
        self
    }

    async fn connection(&self) -> Result<Connection, RedisError> {
        self.server.open(BLOCK + RESPONSE).await
    }

    /// Reads at most `max` entries of a kind, urgent ones first; waits when there are none.
    async fn read(&self, lane: &mut Lane, kind: Kind, max: usize) -> Result<(), RedisError> {
        let mut reader = match lane.reader.take() {
            Some(reader) => reader,
            None => {
                let mut opened = self.connection().await?;
                lane.run = server_run_id::read(&mut opened).await;
                opened
            }
        };
        if self.trust.is_open() {
            self.trust.renew(&mut reader).await;
        }
        for class in keys::CLASSES {
            let room = max.saturating_sub(lane.stash.len());
            if room == 0 {
                break;
            }
            let reply: Value = self
                .read_command(room, None, &[keys::units(kind, class)])
                .query_async(&mut reader)
                .await?;
            lane.take_in(reply, &self.trust, &self.entries);
        }
        if lane.stash.is_empty() && lane.stale.is_empty() {
            let streams = keys::CLASSES.map(|class| keys::units(kind, class));
            let reply: Value = self
                .read_command(1, Some(BLOCK), &streams)
                .query_async(&mut reader)
                .await?;
            lane.take_in(reply, &self.trust, &self.entries);
        }
        let unreadable = std::mem::take(&mut lane.unreadable);
        if !unreadable.is_empty() {
            // Another deployment may have taken the server over: what it has signed is read the next time.
            self.trust.renew(&mut reader).await;
        }
        lane.reader = Some(reader);
        for entry in unreadable {
            self.give_back(entry).await?;
        }
        self.return_stale(lane).await;
        Ok(())
    }

    /// Gives back what was added to an earlier run of the server: it may have been done. If it has, nothing changes; if not,
    /// it comes again under another epoch.
    async fn return_stale(&self, lane: &mut Lane) {
        let stale = std::mem::take(&mut lane.stale);
        if stale.is_empty() {
            return;
        }
        tracing::info!(
            units = stale.len(),
            "given back: another run of the server had them"
        );
        let returned = stale.into_iter().map(|unit| {
            let (worker, result) = (self.worker.clone(), UnitResult::Returned);
            Report::Settled(Outcome {
                unit: unit.id,
                epoch: unit.epoch,
                worker,
                result,
                duration_us: 0,
            })
        });
        drop(self.report(returned.collect()).await);
    }

    /// The connection of short commands, and who we are.
    pub(super) fn short(&self) -> (SharedConnection, &WorkerId) {
        (self.short.clone(), &self.worker)
    }

    fn read_command(
        &self,
        count: usize,
        block: Option<Duration>,
        streams: &[String],
    ) -> redis::Cmd {
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP")
            .arg(keys::GROUP)
            .arg(&self.worker.0)
            .arg("COUNT")
            .arg(count);
        if let Some(block) = block {
            read.arg("BLOCK")
                .arg(u64::try_from(block.as_millis()).unwrap_or(2_000));
        }
        read.arg("STREAMS").arg(streams);
        for _ in streams {
            read.arg(">");
        }
        read
    }

    async fn make_groups(&self, kind: Kind) -> Result<(), RedisError> {
        let mut short = self.short.clone();
        for class in keys::CLASSES {
            let made: Result<String, RedisError> = cmd("XGROUP")
                .arg("CREATE")
                .arg(keys::units(kind, class))
                .arg(keys::GROUP)
                // From the start, always: what was added before the group existed must be seen.
                .arg("0")
                .arg("MKSTREAM")
                .query_async(&mut short)
                .await;
            match made {
                Err(error) if error.code() != Some("BUSYGROUP") => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Sends a message, and acknowledges and deletes the entries of which it has the last end.
    fn sending(&self, message: &Message) -> redis::Pipeline {
        let finished = self.entries.finish(&message.reports);
        let mut pipeline = pipe();
        let add = pipeline
            .cmd("XADD")
            .arg(keys::REPORTS)
            .arg("*")
            .arg(keys::BODY)
            .arg(&message.body)
            .ignore();
        if let Some(report_keys) = &self.report_keys {
            let authenticator = report_keys.authenticate(&self.worker.0, &message.body);
            add.arg(keys::SENDER).arg(&self.worker.0);
            add.arg(keys::AUTHENTICATOR).arg(authenticator);
        }
        let mut by_stream: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (stream, entry) in &finished {
            by_stream.entry(stream).or_default().push(entry);
        }
        for (stream, entries) in by_stream {
            pipeline
                .cmd("XACK")
                .arg(stream)
                .arg(keys::GROUP)
                .arg(&entries)
                .ignore();
            pipeline.cmd("XDEL").arg(stream).arg(&entries).ignore();
        }
        pipeline
    }
}

#[async_trait]
impl WorkQueue for RedisQueue {
    async fn take(&self, kind: Kind, max: usize) -> Result<Vec<Unit>, QueueError> {
        let mut lane = self
            .lanes
            .get(&kind)
            .ok_or(QueueError::Closed)?
            .lock()
            .await;
        let mut pause = PAUSE_MIN;
        while lane.stash.is_empty() && self.gate.is_open() {
            match self.read(&mut lane, kind, max).await {
                Ok(()) => {
                    self.reading.clear();
                    pause = PAUSE_MIN;
                }
                Err(error) => {
                    // A wiped server, a deleted stream, a server that is away: all normal, none a reason to spin.
                    tracing::debug!(%kind, %error, "no units could be read");
                    if matches!(error.code(), Some("NOGROUP" | "UNBLOCKED" | "WRONGTYPE")) {
                        if let Err(error) = self.make_groups(kind).await {
                            self.reading.raise(&error);
                        }
                    } else {
                        self.reading.raise(&error);
                    }
                    let jitter = 0.5 + fastrand::f64();
                    tokio::select! {
                        () = self.gate.closed() => {}
                        () = tokio::time::sleep(pause.mul_f64(jitter)) => {}
                    }
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
        if !self.gate.is_open() {
            // What a read brought meanwhile is left to `drain`.
            return Err(QueueError::Held);
        }
        let count = lane.stash.len().min(max.max(1));
        Ok(lane.stash.drain(..count).collect())
    }

    fn hold(&self, held: bool) {
        self.gate.set(!held);
    }

    async fn drain(&self, kind: Kind) -> Vec<Unit> {
        let Some(lane) = self.lanes.get(&kind) else {
            return Vec::new();
        };
        // A read under way is waited for: what it brings is ours already.
        let mut lane = lane.lock().await;
        if self.gate.is_open() {
            return Vec::new();
        }
        lane.stash.drain(..).collect()
    }

    async fn report(&self, reports: Vec<Report>) -> Result<(), QueueError> {
        let (messages, refused) = message::pack(reports);
        for message in &messages {
            let pipeline = self.sending(message);
            let mut pause = PAUSE_MIN;
            loop {
                let mut short = self.short.clone();
                let sent: Result<(), RedisError> = pipeline.query_async(&mut short).await;
                match sent {
                    Ok(()) => {
                        self.report_alarm.clear();
                        break;
                    }
                    // A report that came twice changes nothing; one that never came costs a lease.
                    Err(error) => {
                        self.report_alarm.raise(&error);
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(PAUSE_MAX);
                    }
                }
            }
        }
        refused.map_or(Ok(()), |error| Err(QueueError::TooLong(error)))
    }

    async fn report_fresh(
        &self,
        make: &(dyn Fn() -> Vec<Report> + Send + Sync),
    ) -> Result<(), QueueError> {
        let away = |error: RedisError| {
            self.report_alarm.raise(&error);
            QueueError::Away(error.to_string())
        };
        // A connection that has to be opened first may take long: the reports are made after that.
        self.short.server_run_id().await.map_err(away)?;
        let (messages, refused) = message::pack(make());
        for message in &messages {
            let mut short = self.short.clone();
            let sent: Result<(), RedisError> = self.sending(message).query_async(&mut short).await;
            sent.map_err(away)?;
        }
        self.report_alarm.clear();
        refused.map_or(Ok(()), |error| Err(QueueError::TooLong(error)))
    }

    async fn room(&self) {
        let (mut short, mut backlog) = (self.short.clone(), Backlog::default());
        // What cannot be asked (an older ACL, a server that is away) is no reason to wait: the report itself will.
        while let Ok(length) = cmd("XLEN")
            .arg(keys::REPORTS)
            .query_async::<usize>(&mut short)
            .await
        {
            if backlog.has_room(length) {
                return;
            }
            tokio::time::sleep(ROOM_EVERY).await;
        }
    }

    async fn control(&self) -> Result<Control, QueueError> {
        let mut reader = self.control.lock().await;
        let mut pause = PAUSE_MIN;
        loop {
            match reader
                .next(&self.server, BLOCK + RESPONSE, &self.trust)
                .await
            {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => pause = PAUSE_MIN,
                Err(error) => {
                    tracing::debug!(%error, "no control messages could be read");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }
}
