//! What one write transaction costs: rows read and written, and statements sent. The one writer stands still for everybody
//! while a transaction runs, so its work is bounded: services go page by page. A transaction beyond the bounds is a defect.
//! It fails the test that finds it; in production it is counted, and the first one is logged.
use prometheus::IntCounter;
use protocol::invariant;
use protocol::invariant::{TRUTH_1, TURN_1};
use protocol::rules::cluster::transaction_share::Share;
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Statements of one transaction at most, where each is a journey to a server.
pub const STATEMENTS_MAX: u64 = 20_000;
/// Rows that one transaction reads and writes at most.
pub const ROWS_MAX: u64 = 400_000;

/// What a transaction has cost so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Statements sent to a server.
    pub statements: u64,
    /// Rows read and written.
    pub rows: u64,
}

impl Cost {
    /// Whether one transaction may cost this much.
    pub fn is_bounded(self) -> bool {
        self.statements <= STATEMENTS_MAX && self.rows <= ROWS_MAX
    }
}

thread_local! {
    // A transaction runs on one thread, and a thread runs one transaction at a time.
    static SPENT: Cell<Cost> = const { Cell::new(Cost { statements: 0, rows: 0 }) };
    static SHARE: Cell<Option<Share>> = const { Cell::new(None) };
    static UNDERFLOWS: Cell<u64> = const { Cell::new(0) };
}

/// Counts transactions that show a defect.
#[derive(Debug, Default)]
pub(super) struct Defects {
    counters: OnceLock<(IntCounter, IntCounter)>,
    warned: AtomicBool,
}

impl Defects {
    /// Counts transactions beyond the bounds and counters below zero with these from now on.
    pub(super) fn count_with(&self, oversized: IntCounter, underflows: IntCounter) {
        // The first ones stay: a store has one coordinator.
        drop(self.counters.set((oversized, underflows)));
    }

    /// Looks at the transaction that has just ended on this thread.
    pub(super) fn look(&self) {
        let underflows = UNDERFLOWS.take();
        if let Some((_, counter)) = self.counters.get() {
            counter.inc_by(underflows);
        }
        // One that could not even begin must not be counted for the one before it.
        let cost = SPENT.take();
        if cost.is_bounded() {
            return;
        }
        if let Some((counter, _)) = self.counters.get() {
            counter.inc();
        }
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                statements = cost.statements,
                rows = cost.rows,
                "a transaction did more at once than is planned for; progress of all jobs waited for it"
            );
        }
    }
}

/// As much of `bound` as the transaction on this thread may take on (see [`Share`]): a page of that many rows. All of it
/// where transactions are not measured.
pub fn page(bound: u32) -> u32 {
    SHARE.get().unwrap_or_default().of(bound)
}

/// Transactions on this thread take on this share of their bounds from now on.
pub(super) fn take_on(share: Share) {
    SHARE.set(Some(share));
}

/// What the transaction on this thread has cost so far.
pub fn spent() -> Cost {
    SPENT.get()
}

/// A counter goes on counting, or would go below zero: that is noted, and the counter stays at zero.
pub(super) fn counts(holds: bool, what: impl Fn() -> String) {
    if !invariant!(TRUTH_1, holds, "{}", what()) {
        tracing::error!("TRUTH-1: {}", what());
        UNDERFLOWS.set(UNDERFLOWS.get() + 1);
    }
}

/// A write transaction begins on this thread.
pub(super) fn begin() {
    SPENT.set(Cost::default());
}

/// A write transaction is about to be committed on this thread.
pub(super) fn end() {
    let cost = spent();
    // Counted by the store's handle in release builds.
    let _ = invariant!(TURN_1, cost.is_bounded(), "one transaction cost {cost:?}");
}

/// A statement was sent to a server, and gave or took so many rows.
pub(super) fn statement(rows: usize) {
    let cost = SPENT.get();
    SPENT.set(Cost { statements: cost.statements + 1, rows: cost.rows + rows.max(1) as u64 });
}

/// Rows were read or written where no statement is a journey.
pub(super) fn rows(rows: usize) {
    let cost = SPENT.get();
    SPENT.set(Cost { rows: cost.rows + rows as u64, ..cost });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_beyond_the_bounds_is_counted() {
        let (oversized, counter) = (Defects::default(), IntCounter::new("x", "x").expect("a name"));
        oversized.count_with(counter.clone(), counter.clone());
        begin();
        rows(ROWS_MAX as usize);
        oversized.look();
        assert_eq!(counter.get(), 0);
        rows(ROWS_MAX as usize + 1);
        oversized.look();
        begin();
        (0..=STATEMENTS_MAX).for_each(|_| statement(0));
        oversized.look();
        assert_eq!(counter.get(), 2);
        begin();
        oversized.look();
        assert_eq!(counter.get(), 2, "each transaction begins at nothing");
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "TURN-1")]
    fn transaction_beyond_the_bounds_fails_a_test() {
        let mut memory = crate::memory::Memory::default();
        drop(memory.write(|_| {
            rows(ROWS_MAX as usize + 1);
            Ok(())
        }));
    }
}
