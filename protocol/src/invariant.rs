//! The numbered promises. Code refers to them by number; the simulator checks them after every step.

/// SQL is the only truth and only the leader writes it.
pub const TRUTH_1: &str = "TRUTH-1";
/// The transport may be deleted at any moment: delay, never loss or doubling.
pub const TRUTH_2: &str = "TRUTH-2";
/// A unit's terminal transition happens once, guarded by its epoch.
pub const FEN_1: &str = "FEN-1";
/// Only the coordinator takes work back.
pub const FEN_2: &str = "FEN-2";
/// No evidence, no expiry.
pub const LEASE_1: &str = "LEASE-1";
/// A barrier counts durable transitions and releases exactly once.
pub const BAR_1: &str = "BAR-1";
/// An effect becomes visible at one commit point.
pub const EFF_1: &str = "EFF-1";
/// A verdict belongs to (content hash, policy digest); what was not measured is never a pass.
pub const QC_1: &str = "QC-1";
/// A partition's members: every listed asset in exactly one partition, limits kept, order of listing irrelevant.
pub const PART_1: &str = "PART-1";
/// Whatever does not run has exactly one wait reason.
pub const WAIT_1: &str = "WAIT-1";
/// Memory is bounded by windows.
pub const MEM_1: &str = "MEM-1";
/// One transaction of the writer does a bounded amount of work.
pub const TURN_1: &str = "TURN-1";
/// Rules take time, randomness and limits as arguments.
pub const TIME_1: &str = "TIME-1";

/// Asserts an invariant in debug builds; in release builds a broken one is returned to be counted by the caller.
#[macro_export]
macro_rules! invariant {
    ($number:expr, $condition:expr, $($detail:tt)+) => {{
        let holds = $condition;
        debug_assert!(holds, "{}: {}", $number, format_args!($($detail)+));
        holds
    }};
}
