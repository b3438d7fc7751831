//! The cost of a write transaction: rows read and written, and statements sent. A transaction blocks the only writer, so its
//! work is bounded and services work page by page. A transaction beyond the bounds is a defect: it fails a test; in
//! production it is counted, and the first one is logged.
use prometheus::IntCounter;
use protocol::invariant;
use protocol::invariant::Invariant;
use protocol::rules::cluster::transaction_share::Share;
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Statements of one transaction at most, where each costs a round trip.
pub const STATEMENTS_MAX: u64 = 20_000;
/// Rows that one transaction reads and writes at most.
pub const ROWS_MAX: u64 = 400_000;

/// Statements after which a transaction begins no further page.
const STATEMENTS_FULL: u32 = 2_000;
/// Rows read and written after which a transaction begins no further page.
const ROWS_FULL: u32 = 100_000;

/// The cost of a transaction so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Number of statements sent to a server.
    pub statements: u64,
    /// Number of rows read and written.
    pub rows: u64,
}

impl Cost {
    /// Whether the cost is within the bounds.
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
    /// Sets the counters of transactions beyond the bounds and of counters below zero.
    pub(super) fn count_with(&self, oversized: IntCounter, underflows: IntCounter) {
        // The first counters stay: a store has one coordinator.
        drop(self.counters.set((oversized, underflows)));
    }

    /// Checks the transaction that has just ended on this thread.
    pub(super) fn check(&self) {
        let underflows = UNDERFLOWS.take();
        if let Some((_, counter)) = self.counters.get() {
            counter.inc_by(underflows);
        }
        // A transaction that failed to begin must not be charged with the cost of the one before it.
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
                "a transaction exceeded its bounds and delayed all jobs"
            );
        }
    }
}

/// The page size of the transaction on this thread: its share of `bound` (see [`Share`]). The whole bound where transactions
/// are not measured.
pub fn page(bound: u32) -> u32 {
    SHARE.get().unwrap_or_default().of(bound)
}

/// Sets the share of their bounds that transactions on this thread use.
pub(super) fn take_on(share: Share) {
    SHARE.set(Some(share));
}

/// Whether the transaction on this thread has done so much that further pages belong to the next one.
pub fn is_full() -> bool {
    let cost = spent();
    cost.statements >= u64::from(page(STATEMENTS_FULL)) || cost.rows >= u64::from(page(ROWS_FULL))
}

/// The cost of the transaction on this thread so far.
pub fn spent() -> Cost {
    SPENT.get()
}

/// Reports a counter that would go below zero; it stays at zero.
pub(super) fn counts(holds: bool, what: impl Fn() -> String) {
    if !invariant!(Invariant::Truth1, holds, "{}", what()) {
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
    // In release builds the handle of the store counts it.
    let _ = invariant!(
        Invariant::Turn1,
        cost.is_bounded(),
        "one transaction cost {cost:?}"
    );
}

/// A statement was sent to a server and read or wrote so many rows.
pub(super) fn statement(rows: usize) {
    let cost = SPENT.get();
    SPENT.set(Cost {
        statements: cost.statements + 1,
        rows: cost.rows + rows.max(1) as u64,
    });
}

/// Rows were read or written without a round trip.
pub(super) fn rows(rows: usize) {
    let cost = SPENT.get();
    SPENT.set(Cost {
        rows: cost.rows + rows as u64,
        ..cost
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_beyond_the_bounds_is_counted() {
        let (oversized, counter) = (
            Defects::default(),
            IntCounter::new("x", "x").expect("a name"),
        );
        oversized.count_with(counter.clone(), counter.clone());
        begin();
        rows(ROWS_MAX as usize);
        oversized.check();
        assert_eq!(counter.get(), 0);
        rows(ROWS_MAX as usize + 1);
        oversized.check();
        begin();
        (0..=STATEMENTS_MAX).for_each(|_| statement(0));
        oversized.check();
        assert_eq!(counter.get(), 2);
        begin();
        oversized.check();
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
