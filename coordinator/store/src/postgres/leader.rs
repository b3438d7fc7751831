//! Who may write: a row with a generation that grows with every change of leader. The lease is judged by the
//! database's clock; the generation is what protects, since a process that stood still cannot know that its lease ended.
use super::Postgres;
use super::error::failed;
use crate::{Leader, StoreError, StoreResult};
use std::time::Duration;

/// The transaction lock of writers: held until the transaction ends, so they take turns. Databases may be shared by
/// several clusters in schemas of their own.
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

/// The same for a process that would lead: it waits shorter than others for its turn, so that whoever keeps it from
/// leading is found out in time.
const BEGIN_ACQUIRING: &str = concat!("BEGIN; SET LOCAL lock_timeout = 400", "; ", turn!());

/// The same, and answers with the generation of the leader and the count of other processes' writes: no other process can
/// become leader or write until it ends.
pub(super) const BEGIN_LEADING: &str =
    concat!(begin_alone!(), "; SELECT generation || ':' || last_value FROM leader, other_writes WHERE one = 1");

/// Counts a write of a process that does not lead. A sequence counts at once and for ever, also when the transaction is
/// taken back.
pub(super) const COUNT_WRITE: &str = "SELECT nextval('other_writes')";

/// Begins a transaction no other writer is in, for a process that does not lead.
pub(super) const BEGIN_WRITING: &str = concat!(begin_alone!(), "; SELECT nextval('other_writes')");

/// The database's clock, while it moves: `now()` stands still inside a transaction that waited for its turn.
macro_rules! clock {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT"
    };
}

const CLOCK: &str = clock!();

/// A lease that binds: it has not ended, and ends within the five minutes that no lease exceeds. One that ends later was
/// written before the clock was set back.
const BINDS: &str = concat!("expires_at > ", clock!(), " AND expires_at <= ", clock!(), " + 300000000");

/// Ends the sessions that have the turn while the server waits for the rest of a COPY: no timeout of the server applies to
/// one that began and does not go on, so a process frozen in the middle of it would keep the turn for ever.
const END_STUCK: &str = "SELECT count(pg_terminate_backend(a.pid)) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 1936222319::OID
       AND l.objid = hashtext(current_schema())::OID
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND a.wait_event = 'ClientRead' AND a.state = 'active'
       AND a.query_start < clock_timestamp() - $1 * INTERVAL '1 millisecond'";

/// What a process may write as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fence {
    /// It never asked to lead: operators write intents.
    Open,
    /// As this generation.
    Held(i64),
    /// Not at all any more, until it leads again.
    Lost,
}

impl Fence {
    /// The generation to check; an error when it is known to be over.
    pub(super) fn held(self) -> StoreResult<Option<i64>> {
        match self {
            Fence::Open => Ok(None),
            Fence::Held(generation) => Ok(Some(generation)),
            Fence::Lost => Err(StoreError::NotLeader("it does not hold the lease".into())),
        }
    }
}

/// The error of a write as a generation that is over.
pub(super) fn another(generation: i64, found: i64) -> StoreError {
    StoreError::NotLeader(format!("generation {found} has begun, it was {generation}"))
}

fn micros(lease: Duration) -> i64 {
    i64::try_from(lease.as_micros()).unwrap_or(i64::MAX / 4)
}

impl Postgres {
    /// Becomes leader when nobody is, for as long as `lease`; returns the generation to write as. From the first call on
    /// this process writes as leader or not at all. `holder` must be of this incarnation of the process alone: a
    /// lease it took without hearing of it is taken again.
    pub fn acquire(&mut self, holder: &str, lease: Duration) -> StoreResult<Option<i64>> {
        if matches!(self.fence, Fence::Held(_)) && self.renew(lease).is_ok() {
            return self.fence.held();
        }
        self.fence = Fence::Lost;
        // Asked first without a turn: those who stand by must not make the leader wait.
        if self.leader()?.is_some_and(|leader| leader.holder != holder) {
            return Ok(None);
        }
        let taken = self.in_turn(BEGIN_ACQUIRING, |link| {
            let sql = format!(
                "UPDATE leader SET generation = generation + 1, holder = $1, expires_at = {CLOCK} + $2
                 WHERE one = 1 AND (NOT ({BINDS}) OR holder = $1) RETURNING generation"
            );
            let rows = link.query(&sql, &[&holder, &micros(lease)]).map_err(failed)?;
            Ok(rows.first().map(|row| row.get::<_, i64>(0)))
        })?;
        if let Some(generation) = taken {
            self.fence = Fence::Held(generation);
        }
        Ok(taken)
    }

    /// Who holds the lease at this moment.
    pub fn leader(&mut self) -> StoreResult<Option<Leader>> {
        let sql = format!("SELECT generation, holder FROM leader WHERE one = 1 AND {BINDS}");
        self.read(|tx| {
            let read = |row: &tokio_postgres::Row| {
                Ok(Leader { generation: super::tx::column(row, 0)?, holder: super::tx::column(row, 1)? })
            };
            tx.one(&sql, &[], read)
        })
    }

    /// Leads for another `lease` from now on. Fails when another generation has begun.
    pub fn renew(&mut self, lease: Duration) -> StoreResult<()> {
        let generation = self.fence.held()?.ok_or_else(|| StoreError::NotLeader("it never asked to".into()))?;
        let found = self.in_turn(BEGIN_ALONE, |link| {
            let sql = format!("UPDATE leader SET expires_at = {CLOCK} + $2 WHERE one = 1 AND generation = $1");
            if link.run(&sql, &[&generation, &micros(lease)]).map_err(failed)? == 1 {
                return Ok(generation);
            }
            let rows = link.query("SELECT generation FROM leader WHERE one = 1", &[]).map_err(failed)?;
            Ok(rows.first().map_or(0, |row| row.get::<_, i64>(0)))
        })?;
        if found != generation {
            self.fence = Fence::Lost;
            return Err(another(generation, found));
        }
        Ok(())
    }

    /// Lets another process lead at once.
    pub fn release(&mut self) -> StoreResult<()> {
        let Fence::Held(generation) = self.fence else { return Ok(()) };
        self.fence = Fence::Lost;
        self.in_turn(BEGIN_ALONE, |link| {
            let sql = "UPDATE leader SET expires_at = 0 WHERE one = 1 AND generation = $1";
            link.run(sql, &[&generation]).map_err(failed)
        })?;
        Ok(())
    }

    /// Ends every session that keeps the turn and will never go on; returns how many. Like the server's own limit for
    /// idle transactions it lets each stand for `idle_timeout`. Whose it was hears of a lost connection when it wakes.
    pub(super) fn end_stuck(&mut self) -> StoreResult<i64> {
        let patience = i64::try_from(self.options.idle_timeout.as_millis()).unwrap_or(i64::MAX);
        let rows = self.connected()?.query(END_STUCK, &[&(patience as f64)]).map_err(failed)?;
        let ended = rows.first().map_or(0, |row| row.get::<_, i64>(0));
        if ended > 0 {
            tracing::warn!(
                ended,
                "ended a session that stood still in the middle of a COPY and kept all others waiting"
            );
        }
        Ok(ended)
    }

    /// Runs `work` in a transaction no other writer is in, begun by `begin`.
    fn in_turn<R>(&mut self, begin: &str, work: impl FnOnce(&mut super::Link) -> StoreResult<R>) -> StoreResult<R> {
        self.begin(begin)?;
        let link = self.link.as_mut().expect("a transaction has begun over it");
        let ended = work(link).and_then(|result| link.script("COMMIT").map_err(failed).map(|_| result));
        ended.map_err(|error| self.give_up(error))
    }
}
