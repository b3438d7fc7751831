//! The connection of a crowd: what all of its workers say in one tick goes out together.
use protocol::id::Kind;
use protocol::wire::batch::UnitBatch;
use protocol::wire::control::Control;
use protocol::wire::report::Report;
use protocol::wire::unit::Unit;
use protocol::wire::{envelope, keys};
use redis::{Client, Connection, RedisError, RedisResult, Value, cmd, pipe};
use std::collections::BTreeMap;
use std::time::Duration;

/// Reports in one message.
const REPORTS_MAX: usize = 512;
/// Longest wait for a reply: a stopped server is asked again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Stream and id of an entry that can be acknowledged and deleted.
pub(super) type Spent = (String, String);

/// An entry with the units in it.
pub(super) struct Entry {
    pub(super) spent: Spent,
    pub(super) units: Vec<Unit>,
}

/// What one message holds, until the server has taken it.
struct Message {
    reports: Vec<Report>,
    spent: Vec<Spent>,
}

type Streams = Vec<StreamEntries>;
/// A stream with its entries: id and fields.
type StreamEntries = (String, Vec<(String, Option<Vec<Vec<u8>>>)>);

/// A connection that comes back by itself.
pub(super) struct Link {
    client: Client,
    open: Option<Connection>,
    outbox: Vec<Message>,
    heard: String,
}

impl Link {
    pub(super) fn new(port: u16) -> Link {
        let client = Client::open(format!("redis://127.0.0.1:{port}/")).expect("an address");
        Link {
            client,
            open: None,
            outbox: Vec::new(),
            heard: "$".into(),
        }
    }

    /// Opens another connection at the next use. Ids of another server may be lower.
    pub(super) fn close(&mut self) {
        self.open = None;
        self.heard = "$".into();
    }

    fn connection(&mut self) -> RedisResult<&mut Connection> {
        if self.open.is_none() {
            let opened = self.client.get_connection_with_timeout(PATIENCE)?;
            opened.set_read_timeout(Some(PATIENCE))?;
            opened.set_write_timeout(Some(PATIENCE))?;
            self.open = Some(opened);
        }
        self.open
            .as_mut()
            .ok_or_else(|| RedisError::from((redis::ErrorKind::Io, "no connection")))
    }

    /// Heartbeats: one message each, as each worker sends its own.
    pub(super) fn post(&mut self, beats: Vec<Report>) {
        self.outbox.extend(beats.into_iter().map(|beat| Message {
            reports: vec![beat],
            spent: Vec::new(),
        }));
    }

    /// Ends of units, and the entries that are done with them.
    pub(super) fn settle(&mut self, outcomes: Vec<Report>, spent: Vec<Spent>) {
        let mut outcomes = outcomes.into_iter().peekable();
        while outcomes.peek().is_some() {
            let reports = outcomes.by_ref().take(REPORTS_MAX).collect();
            self.outbox.push(Message {
                reports,
                spent: Vec::new(),
            });
        }
        if let Some(last) = self.outbox.last_mut() {
            last.spent.extend(spent);
        }
    }

    /// Sends what waits, in order. What the server has not taken waits on.
    pub(super) fn flush(&mut self) -> RedisResult<()> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        let mut pipeline = pipe();
        for message in &self.outbox {
            let body = envelope::encode(&message.reports).expect("reports of noop units are short");
            pipeline
                .cmd("XADD")
                .arg(keys::REPORTS)
                .arg("*")
                .arg(keys::BODY)
                .arg(body)
                .ignore();
            let mut by_stream: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for (stream, entry) in &message.spent {
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
        }
        pipeline.query::<()>(self.connection()?)?;
        self.outbox.clear();
        Ok(())
    }

    /// What the coordinator has said since the last look.
    pub(super) fn control(&mut self) -> RedisResult<Vec<Control>> {
        let heard = self.heard.clone();
        let connection = self.connection()?;
        if heard == "$" {
            // Nothing may come between this look and the next one.
            let last: Vec<(String, Value)> = cmd("XREVRANGE")
                .arg(keys::CONTROL)
                .arg("+")
                .arg("-")
                .arg("COUNT")
                .arg(1)
                .query(connection)?;
            self.heard = last
                .into_iter()
                .next()
                .map_or_else(|| "0".into(), |(id, _)| id);
            return Ok(Vec::new());
        }
        let reply: Value = cmd("XREAD")
            .arg("STREAMS")
            .arg(keys::CONTROL)
            .arg(&heard)
            .query(connection)?;
        let streams: Streams = redis::from_redis_value(reply).unwrap_or_default();
        let mut messages = Vec::new();
        for (id, fields) in streams.into_iter().flat_map(|(_, entries)| entries) {
            self.heard = id;
            let body = fields
                .and_then(|fields| fields.into_iter().nth(1))
                .unwrap_or_default();
            messages.extend(envelope::decode::<Control>(&body).ok());
        }
        Ok(messages)
    }

    /// Entries for each of these workers, at most as many as it has free slots.
    pub(super) fn take(&mut self, who: &[(&str, u32)]) -> RedisResult<Vec<Vec<Entry>>> {
        let streams = keys::CLASSES.map(|class| keys::units(Kind::Noop, class));
        let mut pipeline = pipe();
        for (name, free) in who {
            pipeline
                .cmd("XREADGROUP")
                .arg("GROUP")
                .arg(keys::GROUP)
                .arg(*name)
                .arg("COUNT")
                .arg(*free);
            pipeline.arg("STREAMS").arg(&streams[..]).arg(&[">"; 3][..]);
        }
        let replies: RedisResult<Vec<Value>> = pipeline.query(self.connection()?);
        match replies {
            Ok(replies) => Ok(replies.into_iter().map(entries).collect()),
            Err(error) if error.code() == Some("NOGROUP") => {
                self.make_groups(&streams)?;
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    fn make_groups(&mut self, streams: &[String]) -> RedisResult<()> {
        for stream in streams {
            let mut make = cmd("XGROUP");
            make.arg("CREATE")
                .arg(stream)
                .arg(keys::GROUP)
                .arg("0")
                .arg("MKSTREAM");
            match make.query::<()>(self.connection()?) {
                Err(error) if error.code() != Some("BUSYGROUP") => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The entries of a reply; one that cannot be read has no units, and is left to real workers.
fn entries(reply: Value) -> Vec<Entry> {
    let streams: Streams = redis::from_redis_value(reply).unwrap_or_default();
    let of = |(stream, entries): StreamEntries| {
        entries.into_iter().filter_map(move |(id, fields)| {
            let body = fields?.into_iter().nth(1)?;
            let units = envelope::decode::<UnitBatch>(&body)
                .ok()?
                .unpack()
                .collect();
            Some(Entry {
                spent: (stream.clone(), id),
                units,
            })
        })
    };
    streams.into_iter().flat_map(of).collect()
}
