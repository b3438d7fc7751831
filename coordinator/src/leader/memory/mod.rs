//! The memory of a leader. All of it is rebuilt from the store, heartbeats and reports after a restart.
pub mod lease_table;
pub mod refund;
mod stray;
pub mod throughput;
pub mod unit_rates;
mod usage;
pub mod worker_health;
mod worker_registry;

use lease_table::Leases;
use protocol::model::priority::Priority;
use protocol::wire::report::Outcome;
use protocol::wire::unit::Unit;
use refund::Refund;
use std::collections::VecDeque;
use throughput::TransferRates;
use unit_rates::UnitRates;
use worker_health::WorkerHealth;

/// The memory of a leader, behind one lock. The lock is held for a look or a change, never over I/O: heartbeats are heard
/// while a transaction runs. What a turn remembers between transactions is the [`Engine`](crate::leader::engine::Engine),
/// whose lock is held for the whole transaction.
#[derive(Debug, Default)]
pub struct LeaderState {
    /// Executions that are out, and workers.
    pub leases: Leases,
    /// Evidence for quarantine.
    pub health: WorkerHealth,
    /// Bytes a second by unit and job.
    pub throughput: TransferRates,
    /// Units a second by job.
    pub unit_rates: UnitRates,
    /// Units that wait for room in the transport, by class.
    pub outbox: Vec<(Priority, Vec<Unit>)>,
    /// Ends of units that cannot be sent, until they are settled.
    pub unsendable: Vec<Outcome>,
    /// Pages of attempts to refund, of workers that are in quarantine.
    pub refunds: VecDeque<Refund>,
    /// A transaction of unknown outcome may have claimed units that the leases do not know.
    pub unwatched: bool,
    /// Units that an earlier leader published have been looked for.
    pub recalled: bool,
}
