//! The numbered invariants. Code and tests refer to them by number; the simulation checks them after every step. A test
//! compares the table in `docs/architecture.md` with them.
use std::fmt;

/// An invariant of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// The truth is one database.
    Truth1,
    /// The transport is disposable.
    Truth2,
    /// Terminal transitions are fenced.
    Fen1,
    /// Only the coordinator reclaims units.
    Fen2,
    /// Expiry of leases needs evidence.
    Lease1,
    /// Barriers count durable transitions.
    Bar1,
    /// Effects have one commit point.
    Eff1,
    /// Verdicts are bound to content.
    Qc1,
    /// Each asset is in one partition.
    Part1,
    /// Each waiting unit has one reason.
    Wait1,
    /// Write transactions are bounded.
    Turn1,
    /// Memory is bounded.
    Mem1,
    /// Time is an argument.
    Time1,
}

impl Invariant {
    /// Every invariant, in the order of the documents.
    pub const ALL: [Invariant; 13] = [
        Invariant::Truth1,
        Invariant::Truth2,
        Invariant::Fen1,
        Invariant::Fen2,
        Invariant::Lease1,
        Invariant::Bar1,
        Invariant::Eff1,
        Invariant::Qc1,
        Invariant::Part1,
        Invariant::Wait1,
        Invariant::Turn1,
        Invariant::Mem1,
        Invariant::Time1,
    ];

    /// The number that documents, tests and messages use.
    pub fn number(self) -> &'static str {
        self.entry().0
    }

    /// The promise in one sentence.
    pub fn promise(self) -> &'static str {
        self.entry().1
    }

    fn entry(self) -> (&'static str, &'static str) {
        match self {
            Invariant::Truth1 => (
                "TRUTH-1",
                "SQL is the only truth, and only the leader writes it",
            ),
            Invariant::Truth2 => (
                "TRUTH-2",
                "the transport may be deleted at any time: delay, never loss or doubling",
            ),
            Invariant::Fen1 => (
                "FEN-1",
                "a unit's terminal transition happens once, guarded by its epoch",
            ),
            Invariant::Fen2 => ("FEN-2", "only the coordinator reclaims units"),
            Invariant::Lease1 => ("LEASE-1", "no lease expires without evidence"),
            Invariant::Bar1 => (
                "BAR-1",
                "a barrier counts durable transitions and releases exactly once",
            ),
            Invariant::Eff1 => ("EFF-1", "an effect becomes visible at one commit point"),
            Invariant::Qc1 => (
                "QC-1",
                "a verdict belongs to a content hash and a policy; not measured or waived is never a pass",
            ),
            Invariant::Part1 => (
                "PART-1",
                "every listed asset is in exactly one partition, whatever the order of listing",
            ),
            Invariant::Wait1 => (
                "WAIT-1",
                "a unit that does not run has exactly one wait reason from a closed list",
            ),
            Invariant::Turn1 => (
                "TURN-1",
                "one write transaction does a bounded amount of work",
            ),
            Invariant::Mem1 => ("MEM-1", "memory is bounded by windows"),
            Invariant::Time1 => (
                "TIME-1",
                "rules take time, randomness and limits as arguments",
            ),
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.number())
    }
}

/// Asserts an invariant in debug builds. In release builds it returns whether the condition holds, so that the caller can
/// count a violation.
#[macro_export]
macro_rules! invariant {
    ($invariant:expr, $condition:expr, $($detail:tt)+) => {{
        let holds = $condition;
        debug_assert!(holds, "{}: {}", $invariant, format_args!($($detail)+));
        holds
    }};
}
