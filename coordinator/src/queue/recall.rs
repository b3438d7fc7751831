//! A new leader finds the entries that its predecessor published: they are still in their streams, pending or unread. Without
//! them every waiting unit would count as lost, and run twice.
use super::QueueError;
use super::redis::{RedisQueue, failed};
use super::stream_entry::StreamEntry;
use protocol::id::{Execution, Kind};
use protocol::wire::batch::UnitBatch;
use protocol::wire::{envelope, keys};
use redis::cmd;
use std::collections::BTreeSet;

/// Entries read at a time.
const ENTRIES: usize = 128;

/// An entry of a range: its id, its field names and values.
type Entry = (String, Vec<Vec<u8>>);

impl RedisQueue {
    /// Looks through every unit stream for these executions: entries that wait and entries in hand. The publishing window
    /// bounds both; of anything else nothing is kept.
    pub(super) async fn recall_streams(&self, out: &BTreeSet<Execution>) -> Result<(), QueueError> {
        if out.is_empty() {
            return Ok(());
        }
        let mut connection = self.pool.borrow().await.map_err(failed)?;
        for kind in Kind::ALL {
            for class in keys::CLASSES {
                let stream = keys::units(kind, class);
                let mut from = "-".to_owned();
                loop {
                    let mut range = cmd("XRANGE");
                    range
                        .arg(&stream)
                        .arg(&from)
                        .arg("+")
                        .arg("COUNT")
                        .arg(ENTRIES);
                    let page: Vec<Entry> =
                        range.query_async(&mut connection).await.map_err(failed)?;
                    let last = page.len() < ENTRIES;
                    if let Some((entry, _)) = page.last() {
                        from = format!("({entry}");
                    }
                    page.into_iter()
                        .for_each(|entry| self.found(&stream, entry, out));
                    if last {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn found(&self, stream: &str, (entry, fields): Entry, out: &BTreeSet<Execution>) {
        // An entry that this worker cannot read is left to another worker, or parked.
        let body = fields.into_iter().nth(1).unwrap_or_default();
        let Ok(batch) = envelope::decode::<UnitBatch>(&body) else {
            return;
        };
        let mut places = self.places.lock();
        for unit in batch
            .units
            .iter()
            .filter(|unit| out.contains(&unit.id.execution(unit.epoch)))
        {
            // What was published since this leader began is known better.
            let known = places
                .get(&unit.id)
                .is_some_and(|place| place.epoch >= unit.epoch);
            if !known {
                let (stream, entry) = (stream.to_owned(), entry.clone());
                places.insert(
                    unit.id,
                    StreamEntry {
                        epoch: unit.epoch,
                        stream,
                        entry,
                    },
                );
            }
        }
    }
}
