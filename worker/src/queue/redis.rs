//! The transport over Redis Streams, worker's side.
//!
//! Each kind has a blocking connection of its own; nothing races a read, so no entry is assigned to a reader that has
//! gone. An entry is acknowledged and deleted in the same round trip that reports its last unit: if that is lost, the lease
//! lapses and the coordinator acts.
use super::park::{self, Unreadable, field};
use super::{QueueError, WorkQueue};
use async_trait::async_trait;
use parking_lot::Mutex;
use protocol::id::{Kind, UnitId, WorkerId};
use protocol::wire::batch::UnitBatch;
use protocol::wire::control::Control;
use protocol::wire::envelope::WireError;
use protocol::wire::report::{Outcome, Report, UnitResult};
use protocol::wire::unit::Unit;
use protocol::wire::{envelope, keys};
use redis::{RedisError, Value, cmd, pipe};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;
use tokio_util::sync::CancellationToken;
use transport::alarm::Alarm;
use transport::run::{self, Run};
use transport::{Link, Server, Shared};

/// Longest wait for units in one read.
const BLOCK: Duration = Duration::from_secs(2);
/// A reply later than this (beyond the wait) means that the connection is dead.
const RESPONSE: Duration = Duration::from_secs(5);
/// Pause after a failed read, doubled up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Entries of reports under way beyond which pages of listings wait (MEM-1), and how often they look.
const PAGES_AHEAD: usize = 32;
const ROOM_EVERY: Duration = Duration::from_millis(5);
/// Reports in one entry.
const REPORTS_MAX: usize = 1_024;

/// One entry in hand.
struct Held {
    stream: String,
    entry: String,
    left: usize,
}

#[derive(Default)]
struct Lane {
    reader: Option<Link>,
    /// The run of the server behind it.
    run: Option<Run>,
    /// Units of entries that were added to an earlier run, until they are given back.
    stale: Vec<Unit>,
    /// Units read beyond the free slots, for the next call.
    stash: VecDeque<Unit>,
    /// Entries this build cannot read, until they are given back.
    unreadable: Vec<Unreadable>,
}

/// The worker's connections.
pub struct RedisQueue {
    server: Server,
    worker: WorkerId,
    short: Shared,
    lanes: BTreeMap<Kind, AsyncMutex<Lane>>,
    held: Mutex<HashMap<u64, Held>>,
    holders: Mutex<HashMap<(UnitId, u32), u64>>,
    next: Mutex<u64>,
    control: AsyncMutex<(Option<Link>, String)>,
    reading: Alarm,
    sending: Alarm,
    draining: CancellationToken,
}

impl RedisQueue {
    /// Connects to a server as this worker incarnation.
    pub async fn connect(server: Server, worker: WorkerId) -> Result<RedisQueue, String> {
        let short = Shared::open(server.clone(), RESPONSE).await.map_err(|e| e.to_string())?;
        Ok(RedisQueue {
            server,
            worker,
            short,
            lanes: Kind::ALL.into_iter().map(|kind| (kind, AsyncMutex::default())).collect(),
            held: Mutex::default(),
            holders: Mutex::default(),
            next: Mutex::new(0),
            control: AsyncMutex::new((None, "$".into())),
            reading: Alarm::new("no units can be read; trying again"),
            sending: Alarm::new("reports wait until the transport takes them"),
            draining: CancellationToken::new(),
        })
    }

    async fn connection(&self) -> Result<Link, RedisError> {
        self.server.open(BLOCK + RESPONSE).await
    }

    /// Reads at most `max` entries of a kind, urgent ones first; waits when there are none.
    async fn read(&self, lane: &mut Lane, kind: Kind, max: usize) -> Result<(), RedisError> {
        let mut reader = match lane.reader.take() {
            Some(reader) => reader,
            None => {
                let mut opened = self.connection().await?;
                lane.run = run::of(&mut opened).await;
                opened
            }
        };
        for class in keys::CLASSES {
            let room = max.saturating_sub(lane.stash.len());
            if room == 0 {
                break;
            }
            let reply: Value =
                self.read_command(room, None, &[keys::units(kind, class)]).query_async(&mut reader).await?;
            self.stash(reply, lane);
        }
        if lane.stash.is_empty() && lane.stale.is_empty() {
            let streams = keys::CLASSES.map(|class| keys::units(kind, class));
            let reply: Value = self.read_command(1, Some(BLOCK), &streams).query_async(&mut reader).await?;
            self.stash(reply, lane);
        }
        lane.reader = Some(reader);
        for entry in std::mem::take(&mut lane.unreadable) {
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
        tracing::info!(units = stale.len(), "given back: another run of the server had them");
        let returned = stale.into_iter().map(|unit| {
            let (worker, result) = (self.worker.clone(), UnitResult::Returned);
            Report::Settled(Outcome { unit: unit.id, epoch: unit.epoch, worker, result, duration_us: 0 })
        });
        drop(self.report(returned.collect()).await);
    }

    /// The connection of short commands, and who we are.
    pub(super) fn short(&self) -> (Shared, &WorkerId) {
        (self.short.clone(), &self.worker)
    }

    fn read_command(&self, count: usize, block: Option<Duration>, streams: &[String]) -> redis::Cmd {
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg(keys::GROUP).arg(&self.worker.0).arg("COUNT").arg(count);
        if let Some(block) = block {
            read.arg("BLOCK").arg(u64::try_from(block.as_millis()).unwrap_or(2_000));
        }
        read.arg("STREAMS").arg(streams);
        for _ in streams {
            read.arg(">");
        }
        read
    }

    fn stash(&self, reply: Value, lane: &mut Lane) {
        let parsed: Result<Streams, _> = redis::from_redis_value(reply);
        for (stream, entries) in parsed.unwrap_or_default() {
            for (entry, fields) in entries {
                let fields = fields.unwrap_or_default();
                let tries = park::tries(&fields);
                let run = field(&fields, keys::RUN).cloned();
                let stale = run.as_deref().zip(lane.run.as_deref()).is_some_and(|(of, now)| of != now.as_bytes());
                let body = fields.into_iter().nth(1).unwrap_or_default();
                let units = match envelope::decode::<UnitBatch>(&body) {
                    Ok(batch) => batch.unpack().collect::<Vec<_>>(),
                    Err(error) => {
                        lane.unreadable.push(Unreadable {
                            stream: stream.clone(),
                            entry,
                            body,
                            run,
                            tries,
                            why: error.to_string(),
                        });
                        continue;
                    }
                };
                let mut next = self.next.lock();
                *next += 1;
                self.held.lock().insert(*next, Held { stream: stream.clone(), entry, left: units.len() });
                self.holders.lock().extend(units.iter().map(|unit| ((unit.id, unit.epoch), *next)));
                if stale {
                    lane.stale.extend(units);
                } else {
                    lane.stash.extend(units);
                }
            }
        }
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

    /// Entries whose last unit is among these reports.
    fn finished(&self, reports: &[Report]) -> Vec<(String, String)> {
        let (mut held, mut holders) = (self.held.lock(), self.holders.lock());
        let mut finished = Vec::new();
        for report in reports {
            let Report::Settled(outcome) = report else { continue };
            let Some(key) = holders.remove(&(outcome.unit, outcome.epoch)) else { continue };
            let Some(entry) = held.get_mut(&key) else { continue };
            entry.left = entry.left.saturating_sub(1);
            if entry.left == 0
                && let Some(done) = held.remove(&key)
            {
                finished.push((done.stream, done.entry));
            }
        }
        finished
    }
}

type Streams = Vec<(String, Vec<(String, Option<Vec<Vec<u8>>>)>)>;

#[async_trait]
impl WorkQueue for RedisQueue {
    async fn take(&self, kind: Kind, max: usize) -> Result<Vec<Unit>, QueueError> {
        let mut lane = self.lanes.get(&kind).ok_or(QueueError::Closed)?.lock().await;
        let mut pause = PAUSE_MIN;
        while lane.stash.is_empty() && !self.draining.is_cancelled() {
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
                        () = self.draining.cancelled() => {}
                        () = tokio::time::sleep(pause.mul_f64(jitter)) => {}
                    }
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
        if self.draining.is_cancelled() {
            // What a read brought meanwhile stays for whoever drains.
            return Err(QueueError::Closed);
        }
        let count = lane.stash.len().min(max.max(1));
        Ok(lane.stash.drain(..count).collect())
    }

    async fn drain(&self, kind: Kind) -> Vec<Unit> {
        self.draining.cancel();
        let Some(lane) = self.lanes.get(&kind) else { return Vec::new() };
        // A read under way is waited for: what it brings is ours already.
        lane.lock().await.stash.drain(..).collect()
    }

    async fn report(&self, reports: Vec<Report>) -> Result<(), QueueError> {
        for (chunk, body) in messages(&reports)? {
            let finished = self.finished(chunk);
            let mut pipeline = pipe();
            pipeline.cmd("XADD").arg(keys::REPORTS).arg("*").arg(keys::BODY).arg(body).ignore();
            let mut by_stream: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for (stream, entry) in &finished {
                by_stream.entry(stream).or_default().push(entry);
            }
            for (stream, entries) in by_stream {
                pipeline.cmd("XACK").arg(stream).arg(keys::GROUP).arg(&entries).ignore();
                pipeline.cmd("XDEL").arg(stream).arg(&entries).ignore();
            }
            let mut pause = PAUSE_MIN;
            loop {
                let mut short = self.short.clone();
                let sent: Result<(), RedisError> = pipeline.query_async(&mut short).await;
                match sent {
                    Ok(()) => {
                        self.sending.clear();
                        break;
                    }
                    // A report that came twice changes nothing; one that never came costs a lease.
                    Err(error) => {
                        self.sending.raise(&error);
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(PAUSE_MAX);
                    }
                }
            }
        }
        Ok(())
    }

    async fn room(&self) {
        let mut short = self.short.clone();
        // What cannot be asked (an older ACL, a server that is away) is no reason to wait: the report itself will.
        while let Ok(length) = cmd("XLEN").arg(keys::REPORTS).query_async::<usize>(&mut short).await {
            if length <= PAGES_AHEAD {
                return;
            }
            tokio::time::sleep(ROOM_EVERY).await;
        }
    }

    async fn control(&self) -> Result<Control, QueueError> {
        let mut guard = self.control.lock().await;
        let mut pause = PAUSE_MIN;
        loop {
            match self.read_control(&mut guard).await {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => pause = PAUSE_MIN,
                Err(error) => {
                    tracing::debug!(%error, "no control messages could be read");
                    guard.0 = None;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }
}

impl RedisQueue {
    async fn read_control(&self, state: &mut (Option<Link>, String)) -> Result<Option<Control>, RedisError> {
        let mut reader = match state.0.take() {
            Some(reader) => reader,
            None => self.connection().await?,
        };
        let reply: Value = cmd("XREAD")
            .arg("COUNT")
            .arg(1)
            .arg("BLOCK")
            .arg(2_000)
            .arg("STREAMS")
            .arg(keys::CONTROL)
            .arg(&state.1)
            .query_async(&mut reader)
            .await?;
        state.0 = Some(reader);
        let parsed: Result<Streams, _> = redis::from_redis_value(reply);
        let Some((id, fields)) = parsed.unwrap_or_default().into_iter().flat_map(|(_, e)| e).next() else {
            return Ok(None);
        };
        state.1 = id;
        let body = fields.and_then(|f| f.into_iter().nth(1)).unwrap_or_default();
        Ok(envelope::decode(&body).ok())
    }
}

/// Reports and the bytes they are sent as.
type Message<'a> = (&'a [Report], Vec<u8>);

/// Reports in messages, each small enough to be sent: most are tiny, those of judged media hold what was measured.
fn messages(reports: &[Report]) -> Result<Vec<Message<'_>>, QueueError> {
    let (mut messages, mut open): (Vec<_>, Vec<&[Report]>) = (Vec::new(), reports.chunks(REPORTS_MAX).rev().collect());
    while let Some(chunk) = open.pop() {
        match envelope::encode(&chunk.to_vec()) {
            Ok(body) => messages.push((chunk, body)),
            Err(WireError::TooLong(_)) if chunk.len() > 1 => {
                let (first, second) = chunk.split_at(chunk.len() / 2);
                open.extend([second, first]);
            }
            Err(_) => return Err(QueueError::Closed),
        }
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::{JobNo, StepNo, UnitId};
    use protocol::media::asset::AssetFact;
    use protocol::wire::report::{Outcome, UnitResult};

    #[test]
    fn long_reports_go_in_messages_of_their_own_and_in_order() {
        let report = |part: i64, length: usize| {
            let fact = AssetFact { report: Some("x".repeat(length)), ..AssetFact::default() };
            Report::Settled(Outcome {
                unit: UnitId { job: JobNo(1), step: StepNo(0), part },
                epoch: 1,
                worker: WorkerId("w".into()),
                result: UnitResult::Finished { facts: vec![fact], failures: vec![] },
                duration_us: 1,
            })
        };
        let reports: Vec<Report> = (0..9).map(|part| report(part, if part % 2 == 0 { 1 << 20 } else { 3 })).collect();
        let sent = messages(&reports).expect("each fits by itself");
        assert!(sent.len() > 1 && sent.iter().all(|(_, body)| body.len() <= envelope::BYTES_MAX));
        let back: Vec<Report> =
            sent.iter().flat_map(|(_, body)| envelope::decode::<Vec<Report>>(body).expect("reads")).collect();
        assert_eq!(back, reports);
        assert!(messages(&[report(1, 5 << 20)]).is_err());
        assert!(messages(&[]).expect("nothing is nothing").is_empty());
    }
}
