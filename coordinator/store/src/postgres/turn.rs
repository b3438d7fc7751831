//! Turns of writers: an advisory lock, and the generation of a leader.
use crate::error::{StoreError, StoreResult};

/// The transaction lock of writers. It is held until the transaction ends, so writers take turns. Clusters may share a
/// database, each in a schema of its own.
macro_rules! turn {
    () => {
        "SELECT pg_advisory_xact_lock(1936222319, hashtext(current_schema()))"
    };
}

macro_rules! begin_alone {
    () => {
        concat!("BEGIN; ", turn!())
    };
}

/// Begins a transaction no other writer is in.
pub(super) const BEGIN_ALONE: &str = begin_alone!();

/// The same for a candidate. It waits shorter for its turn, so that a session that blocks it is found in time.
pub(super) const BEGIN_ACQUIRING: &str =
    concat!("BEGIN; SET LOCAL lock_timeout = 400", "; ", turn!());

/// The same for a leader. It returns the generation of the leader and the count of writes by other processes: until it ends
/// no other process can become leader or write.
pub(super) const BEGIN_LEADING: &str = concat!(
    begin_alone!(),
    "; SELECT generation || ':' || last_value FROM leader, other_writes WHERE one = 1"
);

/// Counts a write of a process that does not lead. A sequence counts at once, also when the transaction is rolled back.
pub(super) const COUNT_WRITE: &str = "SELECT nextval('other_writes')";

/// Begins a transaction no other writer is in, for a process that does not lead.
pub(super) const BEGIN_WRITING: &str = concat!(begin_alone!(), "; SELECT nextval('other_writes')");

/// Write permission of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fence {
    /// The process is no candidate: operators write intents.
    Open,
    /// The process writes as this generation.
    Held(i64),
    /// The process lost its lease and writes nothing until it leads again.
    Lost,
}

impl Fence {
    /// The generation to check; an error after it has been lost.
    pub(super) fn held(self) -> StoreResult<Option<i64>> {
        match self {
            Fence::Open => Ok(None),
            Fence::Held(generation) => Ok(Some(generation)),
            Fence::Lost => Err(StoreError::NotLeader("it does not hold the lease".into())),
        }
    }
}

/// The error of a write of a generation that has been superseded.
pub(super) fn another(generation: i64, found: i64) -> StoreError {
    StoreError::NotLeader(format!("generation {found} has begun, it was {generation}"))
}
