//! The lease of the leader: a row with a generation that grows with every change of leader. The clock of the database decides
//! when the lease ends. The generation is the fence, since a process that was frozen cannot know that its lease ended.
use super::Postgres;
use super::error::failed;
use super::link::Link;
use super::turn::{BEGIN_ACQUIRING, BEGIN_ALONE, Fence, another};
use super::tx::column;
use crate::error::{StoreError, StoreResult};
use crate::leader::Leader;
use std::time::Duration;

/// The clock of the database. `now()` is the start of the transaction, before it waited for its turn.
macro_rules! clock {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT"
    };
}

const CLOCK: &str = clock!();

/// A valid lease: it has not ended and ends within five minutes. No lease is longer, so one that ends later was written
/// before the clock was set back.
const BINDS: &str = concat!(
    "expires_at > ",
    clock!(),
    " AND expires_at <= ",
    clock!(),
    " + 300000000"
);

/// Ends sessions that hold the turn while the server waits for the rest of a COPY. No timeout of the server applies to a
/// COPY that has begun, so a process frozen in the middle of it would hold the turn for ever.
const END_STUCK: &str =
    "SELECT count(pg_terminate_backend(a.pid)) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 1936222319::OID
       AND l.objid = hashtext(current_schema())::OID
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND a.wait_event = 'ClientRead' AND a.state = 'active'
       AND a.query_start < clock_timestamp() - $1 * INTERVAL '1 millisecond'";

fn micros(lease: Duration) -> i64 {
    i64::try_from(lease.as_micros()).unwrap_or(i64::MAX / 4)
}

impl Postgres {
    /// Becomes leader for as long as `lease` when there is none; returns the generation to write as. From the first call on
    /// this process writes as leader or not at all. `holder` must be unique to this incarnation of the process: a lease
    /// that it took without receiving the answer is taken again.
    pub fn acquire(&mut self, holder: &str, lease: Duration) -> StoreResult<Option<i64>> {
        if matches!(self.fence, Fence::Held(_)) && self.renew(lease).is_ok() {
            return self.fence.held();
        }
        self.fence = Fence::Lost;
        // Read first without a turn: a standby must not make the leader wait.
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

    /// Holder and generation of the lease now; `None` when it is free.
    pub fn leader(&mut self) -> StoreResult<Option<Leader>> {
        let sql = format!("SELECT generation, holder FROM leader WHERE one = 1 AND {BINDS}");
        self.read(|tx| {
            let read = |row: &tokio_postgres::Row| {
                Ok(Leader {
                    generation: column(row, 0)?,
                    holder: column(row, 1)?,
                })
            };
            Ok(tx.all(&sql, &[], read)?.pop())
        })
    }

    /// Extends the lease from now on. Fails when another generation has begun.
    pub fn renew(&mut self, lease: Duration) -> StoreResult<()> {
        let generation = self
            .fence
            .held()?
            .ok_or_else(|| StoreError::NotLeader("it is no candidate".into()))?;
        let found = self.in_turn(BEGIN_ALONE, |link| {
            let sql = format!(
                "UPDATE leader SET expires_at = {CLOCK} + $2 WHERE one = 1 AND generation = $1"
            );
            if link
                .run(&sql, &[&generation, &micros(lease)])
                .map_err(failed)?
                == 1
            {
                return Ok(generation);
            }
            let rows = link
                .query("SELECT generation FROM leader WHERE one = 1", &[])
                .map_err(failed)?;
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
        let Fence::Held(generation) = self.fence else {
            return Ok(());
        };
        self.fence = Fence::Lost;
        self.in_turn(BEGIN_ALONE, |link| {
            let sql = "UPDATE leader SET expires_at = 0 WHERE one = 1 AND generation = $1";
            link.run(sql, &[&generation]).map_err(failed)
        })?;
        Ok(())
    }

    /// Ends every session that holds the turn in a COPY for longer than `idle_timeout`; returns how many. A process that
    /// wakes up finds its connection lost.
    pub(super) fn end_stuck(&mut self) -> StoreResult<i64> {
        let patience = i64::try_from(self.options.idle_timeout.as_millis()).unwrap_or(i64::MAX);
        let rows = self
            .connected()?
            .query(END_STUCK, &[&(patience as f64)])
            .map_err(failed)?;
        let ended = rows.first().map_or(0, |row| row.get::<_, i64>(0));
        if ended > 0 {
            tracing::warn!(
                ended,
                "ended a session that stopped in the middle of a COPY and blocked all other writers"
            );
        }
        Ok(ended)
    }

    /// Runs `work` in a transaction no other writer is in, begun by `begin`.
    fn in_turn<R>(
        &mut self,
        begin: &str,
        work: impl FnOnce(&mut Link) -> StoreResult<R>,
    ) -> StoreResult<R> {
        self.begin(begin)?;
        let link = self.link.as_mut().expect("a transaction has begun over it");
        let ended =
            work(link).and_then(|result| link.script("COMMIT").map_err(failed).map(|_| result));
        ended.map_err(|error| self.give_up(error))
    }
}
