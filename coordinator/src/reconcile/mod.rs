//! Duties that bring the rows of the store in line with what has happened, one a file.
//!
//! # Activation
//!
//! Nothing here runs by itself. The leader activates a duty in one of three ways:
//!
//! - by a report: [`settlement`] takes ends and pages of listings, [`tombstones`] what a purge removed;
//! - in a turn: [`retrier`], [`multipart`], [`planner`], [`sequencer`] and [`block_closer`] run in every turn over open jobs, before units
//!   are claimed;
//! - by a timer: [`rescuer`] takes back lapsed leases, [`worker_orders`] keeps the list of workers, [`rates`] writes
//!   transfer rates, [`retention`] removes ended jobs; [`recovery`] runs once, when a process starts.
//!
//! [`splitter`], [`attribution`] and [`take_back`] are parts of settlement, rescue and recovery, and have no activation of
//! their own.
//!
//! A wake-up may be lost. Every duty that a report activates leaves rows that a turn or a timer finds again: a lost
//! wake-up costs a moment, never a hang.
//!
//! # Idempotence
//!
//! A duty is a function over `&mut dyn Tx`. It takes `now` as an argument, does no I/O of its own, and keeps no memory but
//! the one its caller passes in, which may be lost at any time. It reads the rows, compares them with what they should be,
//! and writes the difference. So it may run at any time and any number of times, and two leaders that overlap do no harm:
//!
//! - a transition is guarded by the epoch of the row (FEN-1); a report that comes twice is rejected by the rule;
//! - counts change with transitions, never with messages (BAR-1);
//! - a page that was stored is recognised by its number.
//!
//! A transaction may fail, or commit without the caller knowing. The caller repeats the duty; it never repairs rows.
//!
//! # Bounds
//!
//! One run does a bounded amount of work (TURN-1): it takes a page whose size is a constant of the duty, scaled by
//! [`share_of`](crate::store::cost::page), and returns whether there is more. The next turn continues.
//!
//! # Errors
//!
//! A job that this version cannot read is set aside ([`Workflows::is_aside`](crate::workflows::Workflows::is_aside)) and
//! must not hold up the others. All other errors are those of the store; the caller decides by their class.
//!
//! # Adding a reconciler
//!
//! 1. Put the decision into `protocol/rules`, as a pure function with its limits.
//! 2. Add a file here: one function that reads a page, asks the rule, and writes. A transition of a unit goes through
//!    [`Graph`](crate::graph::Graph); hand its `ApprovalChanges` to [`review::approvals`](crate::review::approvals).
//! 3. Activate it: in [`Engine::turn`](crate::leader::engine::Engine::turn) when it belongs to turns, else as a duty with an
//!    interval and limits in a file of `leader`.
//! 4. Test it on the memory store: rows and one event in, rows and messages out. The simulator runs it with all others.
pub mod attribution;
pub mod block_closer;
pub mod multipart;
pub mod planner;
pub mod rates;
pub mod recovery;
pub mod rescuer;
pub mod retention;
pub mod retrier;
pub mod sequencer;
pub mod settlement;
pub mod splitter;
pub mod take_back;
pub mod tombstones;
pub mod worker_orders;
