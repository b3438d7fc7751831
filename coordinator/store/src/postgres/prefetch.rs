//! Prefetches partitions and their members over a connection of its own: while one page of units is claimed, written and
//! published, the server reads the next.
//!
//! Prefetched pages stay valid. A partition changes only when a split removes assets, and then the job is forgotten
//! ([`Prefetcher::forget`]). Partitions that did not exist yet are read when they are needed. The reader sees committed rows
//! only, so a job that the current transaction changes is not prefetched until that transaction has ended.
use crate::error::StoreResult;
use crate::partition::Partition;
use protocol::id::{JobNo, PartNo};
use protocol::media::asset::Asset;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::mpsc;
use std::time::Duration;

/// Smaller claims are read when they are made.
const BULK: u32 = 256;
/// Partitions that are prefetched at a time.
const PAGE: u32 = 4_096;
/// Jobs that are prefetched at a time; claims of others read for themselves.
const JOBS_MAX: usize = 8;
/// Longest wait for a page that is being read.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// A partition and its members.
pub(crate) type Whole = (Partition, Vec<Asset>);

struct Page {
    job: JobNo,
    /// The state of the job at the time of the request.
    requested_in: u64,
    found: Vec<Whole>,
}

/// One job's pages.
#[derive(Default)]
struct Lane {
    state: u64,
    /// The partition that was returned last: only a read that continues from it is served.
    after: PartNo,
    found: VecDeque<Whole>,
    under_way: bool,
}

/// Prefetched pages of several jobs.
#[derive(Default)]
pub(crate) struct Prefetcher {
    lanes: HashMap<JobNo, Lane>,
    reader: Option<Reader>,
    states: u64,
    /// Jobs whose partitions the current transaction has changed.
    changed: HashSet<JobNo>,
}

/// Ends with its channel.
struct Reader {
    requests: mpsc::Sender<(JobNo, u64, PartNo)>,
    pages: mpsc::Receiver<Page>,
}

/// Reads at most so many partitions of a job after one of them.
pub(crate) type ReadPage = Box<dyn FnMut(JobNo, PartNo, u32) -> StoreResult<Vec<Whole>> + Send>;

impl Reader {
    fn start(mut read_page: ReadPage) -> Option<Reader> {
        let (requests, requested) = mpsc::channel();
        let (found, pages) = mpsc::channel();
        let read = move || {
            while let Ok((job, requested_in, after)) = requested.recv() {
                let page = read_page(job, after, PAGE).unwrap_or_else(|error| {
                    // The transaction that needs the page reads it itself and reports the error.
                    tracing::debug!(%error, "partitions could not be prefetched");
                    Vec::new()
                });
                if found
                    .send(Page {
                        job,
                        requested_in,
                        found: page,
                    })
                    .is_err()
                {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("store-ahead".into())
            .spawn(read)
            .ok()?;
        Some(Reader { requests, pages })
    }
}

impl Prefetcher {
    /// Starts the reader on first use.
    pub(crate) fn start_with(&mut self, reader: impl FnOnce() -> ReadPage) {
        if self.reader.is_none() {
            self.reader = Reader::start(reader());
        }
    }

    /// A transaction begins.
    pub(crate) fn begin(&mut self) {
        self.changed.clear();
    }

    /// The current transaction changes the partitions of a job.
    pub(crate) fn forget(&mut self, job: JobNo) {
        self.changed.insert(job);
        self.lanes.remove(&job);
    }

    /// Another process may have changed any job.
    pub(crate) fn clear(&mut self) {
        self.lanes.clear();
    }

    /// At most `limit` prefetched partitions after `after`.
    pub(crate) fn take(&mut self, job: JobNo, after: PartNo, limit: u32) -> Vec<Whole> {
        if self.lanes.get(&job).is_none_or(|lane| lane.after != after) {
            return Vec::new();
        }
        self.arrive(job);
        let Some(lane) = self.lanes.get_mut(&job) else {
            return Vec::new();
        };
        let count = lane.found.len().min(limit as usize);
        lane.found.drain(..count).collect()
    }

    /// Records the last partition that was returned, and requests the next page.
    pub(crate) fn returned(&mut self, job: JobNo, to: PartNo, limit: u32) {
        let Some(reader) = &self.reader else { return };
        if self.changed.contains(&job) {
            return;
        }
        if !self.lanes.contains_key(&job) {
            if limit < BULK || self.lanes.len() >= JOBS_MAX {
                return;
            }
            self.states += 1;
            self.lanes.insert(
                job,
                Lane {
                    state: self.states,
                    ..Lane::default()
                },
            );
        }
        let Some(lane) = self.lanes.get_mut(&job) else {
            return;
        };
        if lane
            .found
            .front()
            .is_some_and(|(partition, _)| partition.part <= to)
            || to < lane.after
        {
            // Another step of the job reads elsewhere.
            return;
        }
        lane.after = to;
        if !lane.under_way && lane.found.len() < PAGE as usize / 2 {
            let from = lane
                .found
                .back()
                .map_or(to, |(partition, _)| partition.part);
            lane.under_way = reader.requests.send((job, lane.state, from)).is_ok();
        }
    }

    /// Receives pages that are ready, and waits for the one that `job` needs when it has none left.
    fn arrive(&mut self, job: JobNo) {
        let Some(reader) = &self.reader else { return };
        loop {
            let starved = self
                .lanes
                .get(&job)
                .is_some_and(|lane| lane.found.is_empty() && lane.under_way);
            let page = if starved {
                reader.pages.recv_timeout(WAIT_MAX).ok()
            } else {
                reader.pages.try_recv().ok()
            };
            let Some(page) = page else { return };
            if let Some(lane) = self
                .lanes
                .get_mut(&page.job)
                .filter(|lane| lane.state == page.requested_in)
            {
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
        (
            crate::testing::fixture::partition(part, "t", "a", "a", 1),
            Vec::new(),
        )
    }

    /// A `Prefetcher` whose reader is the test.
    fn prefetcher() -> (
        Prefetcher,
        mpsc::Receiver<(JobNo, u64, PartNo)>,
        mpsc::Sender<Page>,
    ) {
        let (requests, requested) = mpsc::channel();
        let (found, pages) = mpsc::channel();
        (
            Prefetcher {
                reader: Some(Reader { requests, pages }),
                ..Prefetcher::default()
            },
            requested,
            found,
        )
    }

    fn parts(taken: &[Whole]) -> Vec<PartNo> {
        taken.iter().map(|(partition, _)| partition.part).collect()
    }

    #[test]
    fn reads_that_continue_get_each_partition_once() {
        let (job, (mut prefetcher, requested, found)) = (JobNo(1), prefetcher());
        assert!(
            prefetcher.take(job, 0, 300).is_empty(),
            "nothing was read yet"
        );
        prefetcher.returned(job, 10, 300);
        let (_, state, from) = requested.try_recv().expect("the next page is asked for");
        assert_eq!(from, 10);
        found
            .send(Page {
                job,
                requested_in: state,
                found: (11..=14).map(whole).collect(),
            })
            .expect("it listens");
        assert!(
            prefetcher.take(job, 3, 300).is_empty(),
            "another step of the job is elsewhere"
        );
        assert_eq!(parts(&prefetcher.take(job, 10, 2)), [11, 12]);
        prefetcher.returned(job, 12, 2);
        assert_eq!(requested.try_recv().expect("more is asked for").2, 14);
        assert_eq!(parts(&prefetcher.take(job, 12, 300)), [13, 14]);
    }

    #[test]
    fn page_requested_before_a_change_is_dropped() {
        let (job, (mut prefetcher, requested, found)) = (JobNo(1), prefetcher());
        prefetcher.returned(job, 10, 300);
        let (_, state, _) = requested.try_recv().expect("asked");
        prefetcher.forget(job);
        prefetcher.returned(job, 10, 300);
        assert!(
            requested.try_recv().is_err(),
            "the reader cannot see the change before it is committed"
        );
        prefetcher.begin();
        prefetcher.returned(job, 10, 300);
        let (_, renewed, _) = requested.try_recv().expect("asked again");
        found
            .send(Page {
                job,
                requested_in: state,
                found: vec![whole(99)],
            })
            .expect("it listens");
        found
            .send(Page {
                job,
                requested_in: renewed,
                found: vec![whole(11)],
            })
            .expect("it listens");
        assert_eq!(parts(&prefetcher.take(job, 10, 300)), [11]);
    }
}
