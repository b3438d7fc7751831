//! Entries of unit streams that this worker holds. An entry is acknowledged with the report of its last unit.
use foldhash::HashMap as IdMap;
use parking_lot::Mutex;
use protocol::id::Execution;
use protocol::wire::report::Report;
use protocol::wire::unit::Unit;

/// One entry in hand.
struct HeldEntry {
    stream: String,
    entry: String,
    /// Its units that have not ended.
    left: usize,
}

/// The entries by a number of their own, and the entry of each execution.
#[derive(Default)]
struct Table {
    entries: IdMap<u64, HeldEntry>,
    holders: IdMap<Execution, u64>,
    last: u64,
}

/// Entries that this worker has read and not acknowledged.
#[derive(Default)]
pub(super) struct HeldEntries(Mutex<Table>);

impl HeldEntries {
    /// Adds an entry with its units.
    pub(super) fn add(&self, stream: String, entry: String, units: &[Unit]) {
        let mut table = self.0.lock();
        table.last += 1;
        let (key, left) = (table.last, units.len());
        table.entries.insert(
            key,
            HeldEntry {
                stream,
                entry,
                left,
            },
        );
        table.holders.extend(
            units
                .iter()
                .map(|unit| (unit.id.execution(unit.epoch), key)),
        );
    }

    /// Removes the entries whose last unit is among these reports; returns the stream and id of each.
    pub(super) fn finish(&self, reports: &[Report]) -> Vec<(String, String)> {
        let mut table = self.0.lock();
        let mut finished = Vec::new();
        for report in reports {
            let Report::Settled(outcome) = report else {
                continue;
            };
            let execution = outcome.unit.execution(outcome.epoch);
            let Some(key) = table.holders.remove(&execution) else {
                continue;
            };
            let Some(entry) = table.entries.get_mut(&key) else {
                continue;
            };
            entry.left = entry.left.saturating_sub(1);
            if entry.left == 0
                && let Some(done) = table.entries.remove(&key)
            {
                finished.push((done.stream, done.entry));
            }
        }
        finished
    }
}
