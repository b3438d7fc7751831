//! The loop of turns: publishes the units of each turn, and runs the periodic duties between turns.
use crate::failpoint;
use crate::leader::engine::Turn;
use crate::leader::{Coordinator, RETRY_STORE};
use crate::queue::QueueError;
use crate::store::StoreResult;
use protocol::failure::ErrorClass;
use protocol::id::Execution;
use protocol::model::priority::Priority;
use protocol::time::Timestamp;
use protocol::wire::control::Control;
use protocol::wire::unit::Unit;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Executions named in one message.
const REVOKED_MAX: usize = 10_000;

/// Intervals of the loop of turns.
#[derive(Debug, Clone, Copy)]
pub struct TurnConfig {
    /// A turn is taken at least this often: a lost wake-up costs this much.
    pub every: Duration,
    /// A gap between two turns after which no lease is judged by older signs of life (LEASE-1).
    pub standstill: Duration,
}

impl Default for TurnConfig {
    fn default() -> TurnConfig {
        TurnConfig {
            every: Duration::from_millis(200),
            standstill: Duration::from_secs(5),
        }
    }
}

/// When each duty ran last.
#[derive(Debug, Default)]
struct LastRun {
    rescued_at: Timestamp,
    tended_at: Timestamp,
    judged_at: Timestamp,
    cleaned_at: Timestamp,
}

impl Coordinator {
    /// Takes turns until `stop`, with the periodic duties between them.
    pub(super) async fn drive(&self, stop: CancellationToken) -> StoreResult<()> {
        let mut turned_at = (self.clock)();
        let mut pause = RETRY_STORE;
        let mut last = LastRun {
            rescued_at: turned_at,
            cleaned_at: turned_at,
            ..LastRun::default()
        };
        let TurnConfig { every, standstill } = self.config.turns;
        while !stop.is_cancelled() {
            let now = (self.clock)();
            if now.since(turned_at) > standstill {
                // This process was stopped, suspended or starved and read no reports, so silence proves nothing.
                tracing::warn!(
                    seconds = now.since(turned_at).as_secs(),
                    "the coordinator process was suspended; the silence of workers is not counted"
                );
                self.state.lock().leases.stood_still(now);
            }
            turned_at = now;
            self.run_duties(now, &mut last, &stop).await?;
            if self.queue.is_foreign() {
                // The term ends. The next one begins once the transport belongs to this deployment again.
                return Ok(());
            }
            self.offer_again(&stop, &mut pause).await;
            self.fail_unsendable().await;
            let turn = self.turn(now).await;
            if turn.is_err() {
                self.reactor().on_rollback();
            }
            let turn = match turn {
                Ok(turn) => turn,
                Err(error) if error.class() == ErrorClass::Transient => {
                    tracing::warn!(%error, "the store could not be written; trying again");
                    tokio::time::sleep(RETRY_STORE).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let (more, next_due) = (turn.more, turn.next_due);
            failpoint::pass(if turn.units.is_empty() {
                "turn-committed"
            } else {
                "units-committed"
            });
            if let Err(error) = self.carry_out(turn).await {
                if error.class() == ErrorClass::Permanent {
                    return Ok(());
                }
                // What was claimed and not published is found missing and taken back.
                tracing::warn!(%error, "units could not be published");
                tokio::time::sleep(RETRY_STORE).await;
                continue;
            }
            if more {
                continue;
            }
            let until_due = next_due.map_or(every, |due| due.since((self.clock)()).min(every));
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(until_due.max(Duration::from_millis(1))) => {}
            }
        }
        Ok(())
    }

    /// Periodic maintenance outside scheduling turns. A duty that fails transiently is retried at its next interval.
    async fn run_duties(
        &self,
        now: Timestamp,
        last: &mut LastRun,
        stop: &CancellationToken,
    ) -> StoreResult<()> {
        let (rescue, workers) = (self.config.rescue, self.config.workers);
        let passed = |done: StoreResult<()>, what: &str| match done {
            Err(error) if error.class() == ErrorClass::Transient => {
                tracing::warn!(%error, "{what}; trying again");
                Ok(())
            }
            done => done,
        };
        if now.since(last.rescued_at) >= rescue.every {
            last.rescued_at = now;
            self.clean(&mut last.cleaned_at, now, stop);
            // A lease that was not taken back is judged again.
            passed(
                self.rescue(now).await,
                "lapsed leases could not be taken back",
            )?;
        }
        if now.since(last.tended_at) >= workers.every {
            last.tended_at = now;
            passed(
                self.on_worker_tick(now).await,
                "the list of workers could not be written",
            )?;
        }
        if now.since(last.judged_at) >= workers.judge_every {
            last.judged_at = now;
            passed(
                self.quarantine_sick(now).await,
                "a sick worker could not be quarantined",
            )?;
        }
        Ok(())
    }

    async fn turn(&self, now: Timestamp) -> StoreResult<Turn> {
        let _claim = self.claiming.lock().await;
        let (reactor, inside) = (self.reactor(), self.reactor());
        let turn = self
            .store
            .write(move |tx| inside.turn(tx, &[], now))
            .await?;
        reactor.on_turn_committed(&turn, (self.clock)());
        Ok(turn)
    }

    /// Publishes the units of a turn, and calls back the executions that it ended.
    pub(super) async fn carry_out(&self, turn: Turn) -> Result<(), QueueError> {
        self.metrics.jobs_open.set(turn.open as i64);
        for (unit, attempts) in &turn.fruitless {
            self.metrics.fruitless();
            if *attempts == 1 {
                tracing::warn!(unit.id = %unit, "a library is listed again although the last attempt yielded no page");
            }
        }
        let called_back = self.reactor().called_back(&turn, (self.clock)());
        self.revoke(&called_back).await?;
        if turn.units.is_empty() {
            return Ok(());
        }
        turn.units
            .iter()
            .for_each(|unit| self.metrics.enqueued(unit.kind));
        let mut by_class: BTreeMap<Priority, Vec<Unit>> = BTreeMap::new();
        for (class, unit) in turn.classes.into_iter().zip(turn.units) {
            by_class.entry(class).or_default().push(unit);
        }
        for (class, units) in by_class {
            self.publish(class, units).await?;
            failpoint::pass("units-published");
        }
        Ok(())
    }

    /// Calls executions back, a page in a message.
    async fn revoke(&self, executions: &[Execution]) -> Result<(), QueueError> {
        for page in executions.chunks(REVOKED_MAX) {
            self.queue.control(Control::Revoke(page.to_vec())).await?;
        }
        Ok(())
    }
}
