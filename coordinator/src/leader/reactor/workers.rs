//! The list of workers, their orders, and quarantine.
use super::Reactor;
use crate::dispatch::fleet::WorkerSeen;
use crate::leader::memory::refund::Refund;
use crate::leader::memory::worker_health::QuarantineAdvice;
use crate::reconcile::{rates, worker_orders};
use crate::store::{
    Activity, RUNNING_MAX, STEPS_MAX, StoreResult, TransferRate, Tx, WorkerRow, WorkerState,
};
use protocol::id::{JobNo, StepNo, WorkerId};
use protocol::time::Timestamp;
use protocol::wire::control::Control;

/// Transfer rates of jobs, with the steps of their moving units.
pub type Rates = Vec<(JobNo, TransferRate, Vec<StepNo>)>;

/// What a tick of workers writes.
#[derive(Debug, Clone)]
pub struct WorkersSeen {
    /// The list of workers.
    pub rows: Vec<WorkerRow>,
    /// Transfer rates, when they are due.
    pub rates: Option<Rates>,
    /// The units that have run longest, and the rates of jobs.
    pub activity: Activity,
}

impl Reactor {
    /// The list of workers as it is written, the transfer rates when they are due, and what runs.
    pub fn workers_to_write(&self, now: Timestamp) -> WorkersSeen {
        let state = &mut *self.state.lock();
        let rows = state
            .leases
            .workers()
            .iter()
            .map(|(name, seen)| row(name, seen))
            .collect();
        WorkersSeen {
            rows,
            rates: state.throughput.to_tell(now),
            activity: Activity {
                at: now,
                running: state.leases.longest_running(RUNNING_MAX),
                rates: state.unit_rates.measure(now),
                out: state
                    .leases
                    .out_by_step()
                    .iter()
                    .take(STEPS_MAX)
                    .map(|((job, step), units)| (*job, *step, *units))
                    .collect(),
            },
        }
    }

    /// In a transaction: writes workers and rates. Returns commands for the workers that do not follow their order yet.
    pub fn write_workers(
        &self,
        tx: &mut dyn Tx,
        seen: &WorkersSeen,
        now: Timestamp,
    ) -> StoreResult<Vec<Control>> {
        if let Some(rates) = seen.rates.clone() {
            let workflows = self.engine.lock().workflows.clone();
            rates::put(tx, &workflows, rates)?;
        }
        tx.put_activity(&seen.activity)?;
        worker_orders::apply_orders(tx, &seen.rows, now)
    }

    /// The list has committed, and these commands are sent: a released worker begins without a record.
    pub fn on_workers_written(&self, commands: &[Control]) {
        let released = commands.iter().filter_map(|command| match command {
            Control::Release(worker) => Some(worker),
            _ => None,
        });
        let health = &mut self.state.lock().health;
        released.for_each(|worker| health.forget(worker));
    }

    /// In a transaction: puts a sick worker into quarantine. Returns the number of the recorded operation; `None` when an
    /// operator has given the worker an order.
    pub fn quarantine(
        &self,
        tx: &mut dyn Tx,
        advice: &QuarantineAdvice,
        now: Timestamp,
    ) -> StoreResult<Option<i64>> {
        worker_orders::quarantine(
            tx,
            &advice.worker.0,
            &advice.reason,
            advice.failed.len(),
            now,
        )
    }

    /// A quarantine has committed. What failed in the worker is refunded from now on.
    pub fn on_quarantined(&self, advice: &QuarantineAdvice, operation: i64) {
        let state = &mut *self.state.lock();
        // The units that it had no space for are remembered: another worker may have none either.
        if !advice.no_space {
            state.health.forget(&advice.worker);
        }
        let pages = advice.failed.chunks(worker_orders::REFUND_PAGE);
        state.refunds.extend(pages.map(|page| Refund {
            operation,
            failed: page.to_vec(),
        }));
    }

    /// The next page of refunds.
    pub fn next_refund(&self) -> Option<Refund> {
        self.state.lock().refunds.front().cloned()
    }

    /// In a transaction: refunds a page.
    pub fn refund(&self, tx: &mut dyn Tx, refund: &Refund, now: Timestamp) -> StoreResult<u64> {
        let workflows = self.engine.lock().workflows.clone();
        worker_orders::refund_page(tx, &workflows, refund.operation, &refund.failed, now)
    }

    /// A page of refunds has committed. One that has not is refunded again: that changes nothing twice.
    pub fn on_refunded(&self, refund: &Refund) {
        let refunds = &mut self.state.lock().refunds;
        if refunds.front() == Some(refund) {
            refunds.pop_front();
        }
    }
}

fn row(name: &WorkerId, seen: &WorkerSeen) -> WorkerRow {
    let slots = seen.slots.iter().map(|slots| {
        format!(
            "{}={}/{}",
            slots.kind,
            slots.total.saturating_sub(slots.free),
            slots.total
        )
    });
    WorkerRow {
        name: name.0.clone(),
        slots: slots.collect::<Vec<_>>().join(","),
        held: seen.held as u64,
        heard_at: seen.heard_at,
        state: if seen.draining {
            WorkerState::Draining
        } else {
            WorkerState::Working
        },
        order: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::Memory;
    use protocol::id::UnitId;

    const NOW: Timestamp = Timestamp(1);

    #[test]
    fn page_of_refunds_is_repeated_until_it_has_committed() {
        let (reactor, mut memory) = (Reactor::default(), Memory::default());
        let unit = |part| UnitId::new(JobNo(1), StepNo(0), part).execution(1);
        let failed: Vec<_> = (1..=600).map(unit).collect();
        let advice = QuarantineAdvice {
            worker: WorkerId("w".into()),
            reason: "r".into(),
            no_space: false,
            failed,
        };
        let worker = WorkerRow {
            order: None,
            ..row(&advice.worker, &seen())
        };
        let operation = memory.write(|tx| {
            tx.put_workers(&[worker])?;
            reactor.quarantine(tx, &advice, NOW)
        });
        reactor.on_quarantined(&advice, operation.expect("commits").expect("no order"));
        let mut sizes = Vec::new();
        while let Some(page) = reactor.next_refund() {
            assert_eq!(
                reactor.next_refund().as_ref(),
                Some(&page),
                "its transaction has not committed"
            );
            memory
                .write(|tx| reactor.refund(tx, &page, NOW))
                .expect("commits");
            sizes.push(page.failed.len());
            reactor.on_refunded(&page);
        }
        assert_eq!(sizes, [256, 256, 88]);
    }

    fn seen() -> WorkerSeen {
        WorkerSeen {
            slots: Vec::new(),
            heard_at: NOW,
            draining: false,
            held: 0,
            bytes: 0,
            leaves_at: None,
            busy: Default::default(),
        }
    }
}
