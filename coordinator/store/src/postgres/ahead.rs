//! Reads partitions and their members before they are asked for, over a connection of its own: while one page of units is
//! claimed, written and published, the server finds the next.
//!
//! What is read ahead stays true: a partition changes only when a split takes assets out of it, which makes this forget
//! the job ([`Ahead::forget`]); partitions that were not there yet are read when they are asked for. The reader sees only
//! what has been committed, so a job that a transaction changes is not read ahead for until that transaction has ended.
use super::Postgres;
use super::address::Address;
use super::options::PostgresOptions;
use crate::{Partition, PartitionTx, StoreResult};
use protocol::id::{JobNo, PartNo};
use protocol::media::asset::Asset;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::mpsc;
use std::time::Duration;

/// Claims below this are small enough to be read when they are made.
const BULK: u32 = 256;
/// Partitions read ahead at a time.
const PAGE: u32 = 4_096;
/// Jobs read ahead for at a time: what the others claim is read when they do.
const JOBS_MAX: usize = 8;
/// Longest wait for a page that is being read.
const PATIENCE: Duration = Duration::from_secs(2);

/// A partition and its members.
pub(super) type Whole = (Partition, Vec<Asset>);

struct Page {
    job: JobNo,
    /// The state of the job it was asked for in.
    asked_in: u64,
    found: Vec<Whole>,
}

/// One job's pages.
#[derive(Default)]
struct Lane {
    state: u64,
    /// The partition handed out last: only who goes on from it is served.
    after: PartNo,
    found: VecDeque<Whole>,
    under_way: bool,
}

/// Pages that have been read or are being read.
#[derive(Default)]
pub(super) struct Ahead {
    lanes: HashMap<JobNo, Lane>,
    reader: Option<Reader>,
    states: u64,
    /// Jobs whose partitions the transaction under way has changed.
    changed: HashSet<JobNo>,
}

/// Ends with its channel.
struct Reader {
    asks: mpsc::Sender<(JobNo, u64, PartNo)>,
    pages: mpsc::Receiver<Page>,
}

impl Reader {
    fn start(address: Address, options: PostgresOptions) -> Option<Reader> {
        let (asks, asked) = mpsc::channel();
        let (found, pages) = mpsc::channel();
        let read = move || {
            let mut postgres = Postgres::unconnected(address, options);
            while let Ok((job, asked_in, after)) = asked.recv() {
                let page = read_page(&mut postgres, job, after).unwrap_or_else(|error| {
                    // Whoever wanted it reads it, and says what is wrong.
                    tracing::debug!(%error, "partitions could not be read ahead");
                    Vec::new()
                });
                if found.send(Page { job, asked_in, found: page }).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("store-ahead".into()).spawn(read).ok()?;
        Some(Reader { asks, pages })
    }
}

fn read_page(postgres: &mut Postgres, job: JobNo, after: PartNo) -> StoreResult<Vec<Whole>> {
    postgres.read(|tx| {
        let partitions = tx.partitions_after(job, after, PAGE)?;
        let members = tx.members(job, &partitions)?;
        Ok(partitions.into_iter().zip(members).collect())
    })
}

impl Ahead {
    /// Starts reading when it is first needed.
    pub(super) fn serve(&mut self, address: &Address, options: &PostgresOptions) {
        if self.reader.is_none() {
            self.reader = Reader::start(address.clone(), options.clone());
        }
    }

    /// A transaction begins; the one before has ended.
    pub(super) fn begin(&mut self) {
        self.changed.clear();
    }

    /// The transaction under way changes what a job's partitions are.
    pub(super) fn forget(&mut self, job: JobNo) {
        self.changed.insert(job);
        self.lanes.remove(&job);
    }

    /// Everything may have changed.
    pub(super) fn clear(&mut self) {
        self.lanes.clear();
    }

    /// At most `limit` partitions after one of them, as far as they have been read.
    pub(super) fn take(&mut self, job: JobNo, after: PartNo, limit: u32) -> Vec<Whole> {
        if self.lanes.get(&job).is_none_or(|lane| lane.after != after) {
            return Vec::new();
        }
        self.arrive(job);
        let Some(lane) = self.lanes.get_mut(&job) else { return Vec::new() };
        let count = lane.found.len().min(limit as usize);
        lane.found.drain(..count).collect()
    }

    /// Notes which partitions have been handed out, and has the next read while there is time.
    pub(super) fn handed_out(&mut self, job: JobNo, to: PartNo, limit: u32) {
        let Some(reader) = &self.reader else { return };
        if self.changed.contains(&job) {
            return;
        }
        if !self.lanes.contains_key(&job) {
            if limit < BULK || self.lanes.len() >= JOBS_MAX {
                return;
            }
            self.states += 1;
            self.lanes.insert(job, Lane { state: self.states, ..Lane::default() });
        }
        let Some(lane) = self.lanes.get_mut(&job) else { return };
        if lane.found.front().is_some_and(|(partition, _)| partition.part <= to) || to < lane.after {
            // Another step of the job goes its own way.
            return;
        }
        lane.after = to;
        if !lane.under_way && lane.found.len() < PAGE as usize / 2 {
            let from = lane.found.back().map_or(to, |(partition, _)| partition.part);
            lane.under_way = reader.asks.send((job, lane.state, from)).is_ok();
        }
    }

    /// Takes pages in: those that are there, and the one `job` needs when it has nothing left.
    fn arrive(&mut self, job: JobNo) {
        let Some(reader) = &self.reader else { return };
        loop {
            let starved = self.lanes.get(&job).is_some_and(|lane| lane.found.is_empty() && lane.under_way);
            let page = if starved { reader.pages.recv_timeout(PATIENCE).ok() } else { reader.pages.try_recv().ok() };
            let Some(page) = page else { return };
            if let Some(lane) = self.lanes.get_mut(&page.job).filter(|lane| lane.state == page.asked_in) {
                lane.under_way = false;
                lane.found.extend(page.found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(part: PartNo) -> Whole {
        (crate::conformance::partition(part, "t", "a", "a", 1), Vec::new())
    }

    /// An `Ahead` whose reader is the test.
    fn ahead() -> (Ahead, mpsc::Receiver<(JobNo, u64, PartNo)>, mpsc::Sender<Page>) {
        let (asks, asked) = mpsc::channel();
        let (found, pages) = mpsc::channel();
        (Ahead { reader: Some(Reader { asks, pages }), ..Ahead::default() }, asked, found)
    }

    fn parts(taken: &[Whole]) -> Vec<PartNo> {
        taken.iter().map(|(partition, _)| partition.part).collect()
    }

    #[test]
    fn only_who_goes_on_is_served_and_nothing_twice() {
        let (job, (mut ahead, asked, found)) = (JobNo(1), ahead());
        assert!(ahead.take(job, 0, 300).is_empty(), "nothing was read yet");
        ahead.handed_out(job, 10, 300);
        let (_, state, from) = asked.try_recv().expect("the next page is asked for");
        assert_eq!(from, 10);
        found.send(Page { job, asked_in: state, found: (11..=14).map(whole).collect() }).expect("it listens");
        assert!(ahead.take(job, 3, 300).is_empty(), "another step of the job is elsewhere");
        assert_eq!(parts(&ahead.take(job, 10, 2)), [11, 12]);
        ahead.handed_out(job, 12, 2);
        assert_eq!(asked.try_recv().expect("more is asked for").2, 14);
        assert_eq!(parts(&ahead.take(job, 12, 300)), [13, 14]);
    }

    #[test]
    fn what_was_asked_for_before_a_change_is_dropped() {
        let (job, (mut ahead, asked, found)) = (JobNo(1), ahead());
        ahead.handed_out(job, 10, 300);
        let (_, state, _) = asked.try_recv().expect("asked");
        ahead.forget(job);
        ahead.handed_out(job, 10, 300);
        assert!(asked.try_recv().is_err(), "the reader cannot see the change before it is committed");
        ahead.begin();
        ahead.handed_out(job, 10, 300);
        let (_, renewed, _) = asked.try_recv().expect("asked again");
        found.send(Page { job, asked_in: state, found: vec![whole(99)] }).expect("it listens");
        found.send(Page { job, asked_in: renewed, found: vec![whole(11)] }).expect("it listens");
        assert_eq!(parts(&ahead.take(job, 10, 300)), [11]);
    }
}
