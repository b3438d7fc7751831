//! The coordinator's messages to workers, read from a stream that every worker reads for itself.
//!
//! The server behind the connection may change: after a failover entries may be missing, and ids may be lower than before
//! when its clock is behind. So reading continues after an id only while its entry exists; otherwise the stream is read
//! again from its start. The stream is short, and entries that were read before are recognised by their ids.
use super::reply::Streams;
use super::trust::Trust;
use super::unreadable::field;
use protocol::wire::control::Control;
use protocol::wire::{envelope, keys};
use redis::{RedisError, Value, cmd};
use std::collections::{BTreeSet, VecDeque};
use transport::{Connection, Server};

/// Longest wait for messages in one read.
const BLOCK_MS: u64 = 2_000;
/// Messages of one read.
const PAGE: usize = 128;
/// Ids remembered: more than the coordinator keeps in the stream.
const SEEN_MAX: usize = 4_096;
/// Before every entry.
const START: Id = Id(0, 0);

/// The id of an entry: milliseconds and a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Id(u64, u64);

impl Id {
    fn parse(text: &str) -> Option<Id> {
        let (ms, number) = text.split_once('-')?;
        Some(Id(ms.parse().ok()?, number.parse().ok()?))
    }

    /// The id before this one.
    fn before(self) -> Id {
        match self.1.checked_sub(1) {
            Some(number) => Id(self.0, number),
            None => self.0.checked_sub(1).map_or(START, |ms| Id(ms, u64::MAX)),
        }
    }

    fn text(self) -> String {
        format!("{}-{}", self.0, self.1)
    }
}

/// Where a worker is in the stream.
#[derive(Default)]
pub(super) struct ControlReader {
    connection: Option<Connection>,
    /// The last entry that was read; nothing until the stream was looked at for the first time.
    last: Option<Id>,
    /// Whether it is not known that the entry is still there.
    unsure: bool,
    seen: Seen,
    ready: VecDeque<Control>,
}

/// Entries that have been read.
#[derive(Default)]
struct Seen {
    ids: BTreeSet<Id>,
    order: VecDeque<Id>,
}

impl Seen {
    /// Notes an entry. Returns whether it is new.
    fn note(&mut self, id: Id) -> bool {
        let new = self.ids.insert(id);
        if new {
            self.order.push_back(id);
        }
        if self.order.len() > SEEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        new
    }
}

impl ControlReader {
    /// The next message; nothing when none came for a while.
    pub(super) async fn next(
        &mut self,
        server: &Server,
        patience: std::time::Duration,
        trust: &Trust,
    ) -> Result<Option<Control>, RedisError> {
        if let Some(message) = self.ready.pop_front() {
            return Ok(Some(message));
        }
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                self.unsure = true;
                server.open(patience).await?
            }
        };
        self.read(&mut connection, trust).await?;
        self.connection = Some(connection);
        Ok(self.ready.pop_front())
    }

    async fn read(&mut self, connection: &mut Connection, trust: &Trust) -> Result<(), RedisError> {
        let last = match self.last {
            Some(last) => last,
            None => self.pass_over(connection).await?,
        };
        if self.unsure && last > START {
            let there = page(connection, last.before(), 1, None)
                .await?
                .first()
                .is_some_and(|entry| entry.id == last);
            if !there {
                self.last = Some(START);
            }
        }
        let entries = page(connection, self.last.unwrap_or(START), PAGE, Some(BLOCK_MS)).await?;
        // While nothing comes the stream may have been emptied, by a wipe or by a server that took over.
        self.unsure = entries.is_empty();
        for entry in entries {
            self.last = Some(entry.id);
            if !self.seen.note(entry.id) {
                continue;
            }
            if !is_believed(&entry, connection, trust).await {
                tracing::warn!(
                    entry = %entry.id.text(),
                    "a control message was dropped: it is not signed by the coordinator"
                );
                continue;
            }
            match envelope::decode(&entry.body) {
                Ok(message) => self.ready.push_back(message),
                // It may be for a newer build; the coordinator repeats what matters for longer than a moment.
                Err(error) => tracing::warn!(%error, "a control message could not be read"),
            }
        }
        Ok(())
    }

    /// Notes what was there before this worker: none of it is for it.
    async fn pass_over(&mut self, connection: &mut Connection) -> Result<Id, RedisError> {
        let mut last = START;
        loop {
            let entries = page(connection, last, PAGE, None).await?;
            let Some(end) = entries.last() else {
                break;
            };
            last = end.id;
            for entry in &entries {
                self.seen.note(entry.id);
            }
        }
        self.last = Some(last);
        Ok(last)
    }
}

/// One entry of the stream.
struct Entry {
    id: Id,
    body: Vec<u8>,
    signature: Option<Vec<u8>>,
}

/// Whether an entry is believed. The key is read first where none is known, and again before an entry is refused: another
/// deployment may have taken the server over.
async fn is_believed(entry: &Entry, connection: &mut Connection, trust: &Trust) -> bool {
    let believes = || trust.believes_control(&entry.body, entry.signature.as_deref());
    if !trust.is_open() && believes() {
        return true;
    }
    trust.renew(connection).await;
    believes()
}

/// Entries after an id.
async fn page(
    connection: &mut Connection,
    after: Id,
    count: usize,
    block: Option<u64>,
) -> Result<Vec<Entry>, RedisError> {
    let mut read = cmd("XREAD");
    read.arg("COUNT").arg(count);
    if let Some(ms) = block {
        read.arg("BLOCK").arg(ms);
    }
    let reply: Value = read
        .arg("STREAMS")
        .arg(keys::CONTROL)
        .arg(after.text())
        .query_async(connection)
        .await?;
    let parsed: Result<Streams, _> = redis::from_redis_value(reply);
    let entries = parsed
        .unwrap_or_default()
        .into_iter()
        .flat_map(|(_, entries)| entries);
    let read = entries.filter_map(|(id, fields)| {
        let fields = fields.unwrap_or_default();
        Some(Entry {
            id: Id::parse(&id)?,
            signature: field(&fields, keys::SIGNATURE).cloned(),
            body: fields.into_iter().nth(1).unwrap_or_default(),
        })
    });
    Ok(read.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_before_another_is_the_greatest_smaller_one() {
        assert_eq!(Id::parse("7-3").map(Id::before), Some(Id(7, 2)));
        assert_eq!(Id::parse("7-0").map(Id::before), Some(Id(6, u64::MAX)));
        assert_eq!(START.before(), START);
        assert_eq!(Id::parse("7"), None);
        assert_eq!(Id::parse("7-x"), None);
        assert_eq!(Id(7, 3).text(), "7-3");
    }

    #[test]
    fn seen_entries_are_told_until_there_are_too_many() {
        let mut seen = Seen::default();
        assert!(seen.note(Id(1, 0)) && !seen.note(Id(1, 0)));
        for ms in 2..=SEEN_MAX as u64 {
            assert!(seen.note(Id(ms, 0)));
        }
        assert!(!seen.note(Id(1, 0)), "as many as are kept");
        assert!(
            seen.note(Id(9_999, 0)) && seen.note(Id(1, 0)),
            "the oldest is forgotten"
        );
        assert_eq!(seen.ids.len(), SEEN_MAX);
    }
}
