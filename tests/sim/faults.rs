//! What goes wrong: transactions that fail, and bugs planted on purpose to prove that the checks can fail.
use coordinator::store::memory::Memory;
use coordinator::store::{StoreError, StoreResult, Tx};
use fastrand::Rng;

/// A bug planted around the real services, never in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plant {
    /// Reports are taken whatever their epoch says.
    FenceRemoved,
    /// A barrier counts a repeated report again.
    BarrierCountsMessages,
    /// A worker reports success before its effect is visible.
    ReportBeforeEffect,
    /// Nobody takes back what a silent worker holds.
    LeasesNeverJudged,
    /// Units whose publication was lost are forgotten, not watched.
    LostPublicationForgotten,
    /// A turn whose transaction failed is not turned back in memory.
    TurnNotRolledBack,
    /// Of two executions of a unit the older wins, and nobody writes down that it did.
    AdoptionNotRecorded,
    /// Whoever was in two workers that died counts as having killed them.
    GuiltByPresence,
    /// Who was lost with whom is forgotten.
    LossesForgotten,
    /// A worker with a few failures is put aside, whatever others make of the same units.
    FailuresBlameTheWorker,
    /// The end of a scan ends the current one, whatever its epoch says.
    EndsIgnoreTheirEpoch,
    /// An execution whose entry is gone counts as missing before the reports that are there have been read.
    AbsenceBelieved,
}

impl Plant {
    /// Every plant.
    pub(crate) const ALL: [Plant; 12] = [
        Plant::FenceRemoved,
        Plant::BarrierCountsMessages,
        Plant::ReportBeforeEffect,
        Plant::LeasesNeverJudged,
        Plant::LostPublicationForgotten,
        Plant::TurnNotRolledBack,
        Plant::AdoptionNotRecorded,
        Plant::GuiltByPresence,
        Plant::LossesForgotten,
        Plant::FailuresBlameTheWorker,
        Plant::EndsIgnoreTheirEpoch,
        Plant::AbsenceBelieved,
    ];
}

/// The store, with transactions that fail before, at or after their commit.
#[derive(Debug, Default)]
pub(crate) struct FaultyStore {
    /// The truth.
    pub memory: Memory,
    /// Chance that a transaction fails.
    pub error_rate: f64,
    /// Transactions that committed.
    pub commits: u64,
    /// Transactions that failed.
    pub errors: u64,
}

impl FaultyStore {
    /// Runs `work` in one transaction, or fails in one of the three ways a database fails.
    pub(crate) fn write<R>(
        &mut self,
        rng: &mut Rng,
        work: impl FnOnce(&mut dyn Tx) -> StoreResult<R>,
    ) -> StoreResult<R> {
        let lot = rng.f64();
        if lot >= self.error_rate {
            self.commits += 1;
            return self.memory.write(work);
        }
        self.errors += 1;
        if lot < self.error_rate * 0.4 {
            return Err(StoreError::Busy("before it began".into()));
        }
        if lot < self.error_rate * 0.8 {
            // The services have run, and so has whatever they remember outside of the store.
            self.memory.clone().write(work)?;
            return Err(StoreError::Full("at its commit".into()));
        }
        self.memory.write(work)?;
        Err(StoreError::Database(
            "the answer to a commit was lost".into(),
        ))
    }
}
