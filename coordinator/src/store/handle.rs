//! The store as services hold it: a thread that runs one transaction after another.
use super::memory::Memory;
use super::sqlite::Sqlite;
use super::{StoreError, StoreResult, Tx};
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// The databases a store can be on.
pub enum Backend {
    /// One file.
    Sqlite(Box<Sqlite>),
    /// Nothing that outlives the process.
    Memory(Box<Memory>),
}

impl Backend {
    /// Runs `work` in one transaction.
    pub fn write<R>(&mut self, work: impl FnOnce(&mut dyn Tx) -> StoreResult<R>) -> StoreResult<R> {
        match self {
            Backend::Sqlite(sqlite) => sqlite.write(|tx| work(tx)),
            Backend::Memory(memory) => memory.write(work),
        }
    }
}

enum Job {
    Run(Box<dyn FnOnce(&mut Backend) + Send>),
    Stop,
}

/// Handle to a store. Cloning shares the same thread, so transactions never wait for each other's locks.
#[derive(Clone)]
pub struct Store {
    jobs: mpsc::Sender<Job>,
}

/// Ends the store's thread when dropped, after what was asked of it before, and waits for its last commit.
pub struct StoreThread {
    thread: Option<JoinHandle<()>>,
    jobs: mpsc::Sender<Job>,
}

impl Drop for StoreThread {
    fn drop(&mut self) {
        // An error means that the thread has ended already.
        drop(self.jobs.send(Job::Stop));
        if let Some(thread) = self.thread.take() {
            // A panicked store thread has already reported through its closed channel.
            drop(thread.join());
        }
    }
}

impl Store {
    /// Opens or creates the SQLite database at `path`.
    pub fn sqlite(path: &Path) -> StoreResult<(Store, StoreThread)> {
        Ok(Store::start(Backend::Sqlite(Box::new(Sqlite::open(path)?))))
    }

    /// A store that lives as long as the process.
    pub fn memory() -> (Store, StoreThread) {
        Store::start(Backend::Memory(Box::default()))
    }

    fn start(mut backend: Backend) -> (Store, StoreThread) {
        let (sender, receiver) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || {
                while let Ok(Job::Run(work)) = receiver.recv() {
                    work(&mut backend);
                }
            })
            .expect("a process that cannot start a thread cannot do anything");
        (Store { jobs: sender.clone() }, StoreThread { thread: Some(thread), jobs: sender })
    }

    /// Runs `work` in one transaction on the store's thread: all of it or nothing.
    pub async fn write<R, F>(&self, work: F) -> StoreResult<R>
    where
        R: Send + 'static,
        F: FnOnce(&mut dyn Tx) -> StoreResult<R> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Job::Run(Box::new(move |backend| {
            // The asker may be gone; the commit stands all the same.
            drop(reply.send(backend.write(work)));
        }));
        self.jobs.send(job).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}
