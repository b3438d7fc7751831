//! The handle of the store: one thread runs write transactions one after another, a second one reads.
use crate::cost::{Defects, take_on};
use crate::error::{StoreError, StoreResult};
use crate::leader::Leader;
use crate::memory::Memory;
use crate::postgres::{Postgres, PostgresOptions};
use crate::sqlite::Sqlite;
use crate::timing::WriteTimes;
use crate::tx::Tx;
use crate::view::{UnitFilter, UnitView};
use prometheus::IntCounter;
use protocol::rules::cluster::transaction_share::Share;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// The database of a store.
pub enum Backend {
    /// SQLite in one file.
    Sqlite(Box<Sqlite>),
    /// Memory, which ends with the process.
    Memory(Box<Memory>),
    /// A PostgreSQL server that several processes share.
    Postgres(Box<Postgres>),
}

impl Backend {
    /// Runs `work` in one transaction.
    pub fn write<R>(&mut self, work: impl FnOnce(&mut dyn Tx) -> StoreResult<R>) -> StoreResult<R> {
        match self {
            Backend::Sqlite(sqlite) => sqlite.write(|tx| work(tx)),
            Backend::Memory(memory) => memory.write(work),
            Backend::Postgres(postgres) => postgres.write(|tx| work(tx)),
        }
    }

    /// Runs `work` on one consistent state. Its writes are discarded or rejected. It needs no leadership.
    pub fn read<R>(&mut self, work: impl FnOnce(&mut dyn Tx) -> StoreResult<R>) -> StoreResult<R> {
        match self {
            Backend::Sqlite(sqlite) => sqlite.read(|tx| work(tx)),
            Backend::Memory(memory) => work(&mut memory.as_ref().clone()),
            Backend::Postgres(postgres) => postgres.read(|tx| work(tx)),
        }
    }

    /// Runs `work` as [`Backend::write`] does and rolls it back.
    pub fn preview<R>(
        &mut self,
        work: impl FnOnce(&mut dyn Tx) -> StoreResult<R>,
    ) -> StoreResult<R> {
        let mut foreseen = None;
        let undone: StoreResult<()> = self.write(|tx| {
            foreseen = Some(work(tx));
            Err(StoreError::Closed)
        });
        match (foreseen, undone) {
            (Some(foreseen), _) => foreseen,
            (None, Err(error)) => Err(error),
            (None, Ok(())) => Err(StoreError::Closed),
        }
    }

    /// Opens a `postgres://` URL or the path of an SQLite file. It blocks, so an async task must not call it.
    pub fn open(url_or_path: &str, options: PostgresOptions) -> StoreResult<Backend> {
        match Backend::address(url_or_path)? {
            StoreAddress::Server => Ok(Backend::Postgres(Box::new(Postgres::open(
                url_or_path,
                options,
            )?))),
            StoreAddress::File => Ok(Backend::Sqlite(Box::new(Sqlite::open(Path::new(
                url_or_path,
            ))?))),
        }
    }

    /// Opens an existing database for reading only.
    fn open_reader(url_or_path: &str, options: PostgresOptions) -> StoreResult<Backend> {
        match Backend::address(url_or_path)? {
            StoreAddress::Server => Backend::open(url_or_path, options),
            StoreAddress::File => Ok(Backend::Sqlite(Box::new(Sqlite::open_read_only(
                Path::new(url_or_path),
            )?))),
        }
    }

    fn address(url_or_path: &str) -> StoreResult<StoreAddress> {
        if url_or_path.starts_with("postgres://") || url_or_path.starts_with("postgresql://") {
            return Ok(StoreAddress::Server);
        }
        if url_or_path.contains("://") {
            return Err(StoreError::Refused(
                "a database is a postgres:// URL or the path of a file".into(),
            ));
        }
        Ok(StoreAddress::File)
    }

    /// Units of a job in partition order.
    pub fn units(&mut self, job: &str, filter: &UnitFilter) -> StoreResult<Vec<UnitView>> {
        self.read(|tx| tx.unit_views(job, filter))
    }

    /// See [`Store::acquire`]. A file or memory belongs to one process, which leads.
    pub fn acquire(&mut self, holder: &str, lease: Duration) -> StoreResult<Option<i64>> {
        match self {
            Backend::Sqlite(_) | Backend::Memory(_) => Ok(Some(1)),
            Backend::Postgres(postgres) => postgres.acquire(holder, lease),
        }
    }

    /// The leader, see [`Store::leader`].
    pub fn leader(&mut self) -> StoreResult<Option<Leader>> {
        match self {
            Backend::Sqlite(_) | Backend::Memory(_) => Ok(None),
            Backend::Postgres(postgres) => postgres.leader(),
        }
    }

    /// Extends the lease, see [`Store::renew`].
    pub fn renew(&mut self, lease: Duration) -> StoreResult<()> {
        match self {
            Backend::Sqlite(_) | Backend::Memory(_) => Ok(()),
            Backend::Postgres(postgres) => postgres.renew(lease),
        }
    }

    /// Ends the lease, see [`Store::release`].
    pub fn release(&mut self) -> StoreResult<()> {
        match self {
            Backend::Sqlite(_) | Backend::Memory(_) => Ok(()),
            Backend::Postgres(postgres) => postgres.release(),
        }
    }
}

/// The database that a URL or a path selects.
enum StoreAddress {
    Server,
    File,
}

enum Job {
    Run(Box<dyn FnOnce(&mut Backend) + Send>),
    Stop,
}

/// Handle of a store. Clones share its threads: one writes, so that transactions never wait for locks, and one reads.
#[derive(Clone)]
pub struct Store {
    writes: mpsc::Sender<Job>,
    reads: mpsc::Sender<Job>,
    times: WriteTimes,
    /// The share of their bounds that write transactions use, in parts.
    share: Arc<AtomicU32>,
    defects: Arc<Defects>,
}

/// Ends the threads of the store when dropped, after the calls made before, and waits for the last commit.
pub struct StoreThread {
    threads: Vec<(JoinHandle<()>, mpsc::Sender<Job>)>,
}

impl Drop for StoreThread {
    fn drop(&mut self) {
        for (_, jobs) in &self.threads {
            // An error means that the thread has ended already.
            drop(jobs.send(Job::Stop));
        }
        for (thread, _) in self.threads.drain(..) {
            // A panicked store thread has already reported through its closed channel.
            drop(thread.join());
        }
    }
}

/// Starts a thread that opens a backend; waits until it is open.
fn start(
    name: &str,
    make: impl FnOnce() -> StoreResult<Backend> + Send + 'static,
) -> StoreResult<(JoinHandle<()>, mpsc::Sender<Job>)> {
    let (sender, receiver) = mpsc::channel::<Job>();
    let (opened, opening) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name(name.into())
        .spawn(move || {
            let mut backend = match make() {
                Ok(backend) => backend,
                // The caller waits for this answer.
                Err(error) => return drop(opened.send(Err(error))),
            };
            drop(opened.send(Ok(())));
            while let Ok(Job::Run(work)) = receiver.recv() {
                work(&mut backend);
            }
        })
        .expect("a process that cannot start a thread cannot do anything");
    opening.recv().map_err(|_| StoreError::Closed)??;
    Ok((thread, sender))
}

impl Store {
    /// Opens or creates the SQLite database at `path`.
    pub fn sqlite(path: &Path) -> StoreResult<(Store, StoreThread)> {
        Store::open(&path.display().to_string(), PostgresOptions::default())
    }

    /// A store in memory. Its one thread writes and reads.
    pub fn memory() -> (Store, StoreThread) {
        let made = start("store", || Ok(Backend::Memory(Box::default())));
        let (thread, jobs) = made.expect("memory is always there");
        let (times, defects) = (
            WriteTimes::new().expect("names of metrics are sound"),
            Arc::default(),
        );
        let store = Store {
            writes: jobs.clone(),
            reads: jobs.clone(),
            times,
            share: full_share(),
            defects,
        };
        (
            store,
            StoreThread {
                threads: vec![(thread, jobs)],
            },
        )
    }

    /// Opens the PostgreSQL database at `url` on the threads of the store; async tasks may call it.
    pub fn postgres(url: &str, options: PostgresOptions) -> StoreResult<(Store, StoreThread)> {
        Store::open(url, options)
    }

    /// Opens a `postgres://` URL or the path of an SQLite file.
    pub fn open(url_or_path: &str, options: PostgresOptions) -> StoreResult<(Store, StoreThread)> {
        let (named, limits) = (url_or_path.to_owned(), options.clone());
        // The schema is up to date before the first read.
        let writer = start("store", move || Backend::open(&named, limits))?;
        let named = url_or_path.to_owned();
        let reader = start("store-reader", move || {
            Backend::open_reader(&named, options)
        });
        let mut store = StoreThread {
            threads: vec![writer],
        };
        store.threads.push(reader?);
        let of = |n: usize| store.threads[n].1.clone();
        let times = WriteTimes::new().map_err(|error| StoreError::Refused(error.to_string()))?;
        Ok((
            Store {
                writes: of(0),
                reads: of(1),
                times,
                share: full_share(),
                defects: Arc::default(),
            },
            store,
        ))
    }

    /// Runs `work` in one transaction on the store's thread: all of it or nothing.
    pub async fn write<R, F>(&self, work: F) -> StoreResult<R>
    where
        R: Send + 'static,
        F: FnOnce(&mut dyn Tx) -> StoreResult<R> + Send + 'static,
    {
        let (times, defects, parts) = (
            self.times.clone(),
            Arc::clone(&self.defects),
            Arc::clone(&self.share),
        );
        let what = std::any::type_name::<F>();
        let counted = move |backend: &mut Backend| {
            let share = Share::from_parts(parts.load(Ordering::Relaxed));
            take_on(share);
            let (done, took) = times.measure(what, || backend.write(work));
            parts.store(share.after(took).parts(), Ordering::Relaxed);
            defects.check();
            done
        };
        ask(&self.writes, counted).await
    }

    /// The share of its bounds that the next write transaction uses.
    pub fn share(&self) -> Share {
        Share::from_parts(self.share.load(Ordering::Relaxed))
    }

    /// Durations of its write transactions.
    pub fn write_times(&self) -> &WriteTimes {
        &self.times
    }

    /// Sets the counters of transactions beyond the bounds of [`super::cost`] and of counters below zero.
    pub fn count_defects(&self, oversized: IntCounter, underflows: IntCounter) {
        self.defects.count_with(oversized, underflows);
    }

    /// Runs `work` on one consistent state; it must not write. It needs no leadership.
    pub async fn read<R, F>(&self, work: F) -> StoreResult<R>
    where
        R: Send + 'static,
        F: FnOnce(&mut dyn Tx) -> StoreResult<R> + Send + 'static,
    {
        ask(&self.reads, move |backend| backend.read(work)).await
    }

    /// Becomes leader for as long as `lease` when there is none; returns the generation. From then on every write checks
    /// that this generation is the last, and fails with [`StoreError::NotLeader`] when it is not. `holder` is unique to
    /// this incarnation of this process.
    pub async fn acquire(&self, holder: String, lease: Duration) -> StoreResult<Option<i64>> {
        ask(&self.writes, move |backend| backend.acquire(&holder, lease)).await
    }

    /// The leader, where there is one.
    pub async fn leader(&self) -> StoreResult<Option<Leader>> {
        ask(&self.reads, Backend::leader).await
    }

    /// Extends the lease.
    pub async fn renew(&self, lease: Duration) -> StoreResult<()> {
        ask(&self.writes, move |backend| backend.renew(lease)).await
    }

    /// Ends the lease, so that another process can lead at once.
    pub async fn release(&self) -> StoreResult<()> {
        ask(&self.writes, Backend::release).await
    }
}

fn full_share() -> Arc<AtomicU32> {
    Arc::new(AtomicU32::new(Share::default().parts()))
}

async fn ask<R, F>(jobs: &mpsc::Sender<Job>, work: F) -> StoreResult<R>
where
    R: Send + 'static,
    F: FnOnce(&mut Backend) -> StoreResult<R> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let job = Job::Run(Box::new(move |backend| {
        // The caller may have been dropped; the commit is valid all the same.
        drop(reply.send(work(backend)));
    }));
    jobs.send(job).map_err(|_| StoreError::Closed)?;
    answer.await.map_err(|_| StoreError::Closed)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::page;

    #[tokio::test]
    async fn transaction_after_a_long_one_takes_on_half_of_its_bounds() {
        let (store, _threads) = Store::memory();
        let long = |_: &mut dyn Tx| {
            std::thread::sleep(Duration::from_millis(300));
            Ok(page(1_000))
        };
        assert_eq!(store.write(long).await.expect("writes"), 1_000);
        assert_eq!(store.share().of(1_000), 500);
        assert_eq!(store.write(|_| Ok(page(1_000))).await.expect("writes"), 500);
    }
}
