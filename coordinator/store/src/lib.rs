//! The truth, behind one trait. Every service is a plain function over [`Tx`] and runs in one transaction on the thread of the
//! store. Memory, SQLite and PostgreSQL implement the same batch-wise primitives, and each passes one conformance suite
//! (feature `testing`).
//!
//! A unit is *computed* from its partition until it has a history: units of first steps have rows only after they ended,
//! failed or were taken back. Until then a cursor for each step tells how far units were dispatched. So the usual unit costs
//! one row for its asset, one for its partition and one for its outcome, each written once.
//!
//! A domain is a folder: its rows and its trait in `mod.rs`, statements that both databases run in `sql.rs`, what differs in
//! `sqlite.rs` and `postgres.rs`, then `memory.rs` and `conformance.rs`. To add one, add its folder, its line in `domains!`,
//! its module below, and a migration.

/// Every domain with its trait and, where it has any, its tables in memory. The list is passed to a macro, so that it is
/// written once.
macro_rules! domains {
    ($with:ident) => {
        $with! {
            activity: ActivityTx (Table),
            attempt: AttemptTx (Table),
            barrier: BarrierTx (Table),
            catalogue: CatalogueTx (Table),
            cause: CauseTx (Table),
            correction: CorrectionTx,
            deployment: DeploymentTx,
            failure: FailureTx (Table),
            job: JobTx (Table),
            key: KeyTx (Table),
            listing: ListingTx (Table),
            loss: LossTx (Table),
            operation: OperationTx (Table),
            partition: PartitionTx (Table),
            rate: RateTx (Table),
            retention: RetentionTx (Table),
            schedule: ScheduleTx (Table),
            sheet: SheetTx (Table),
            step: StepTx (Table),
            task: TaskTx (Table),
            tombstone: TombstoneTx (Table),
            unit: UnitTx (Table),
            view: ViewTx,
            worker: WorkerTx (Table),
        }
    };
}

mod activity;
mod attempt;
mod barrier;
mod catalogue;
mod cause;
mod correction;
mod deployment;
mod failure;
mod job;
mod key;
mod listing;
mod loss;
mod operation;
mod partition;
mod rate;
pub mod retention;
mod schedule;
mod sheet;
mod step;
mod task;
mod tombstone;
mod unit;
pub mod view;
mod worker;

pub mod cost;
mod error;
pub mod failpoint;
pub mod handle;
mod leader;
pub mod memory;
mod migration;
pub mod postgres;
mod sql;
pub mod sqlite;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod timing;
mod tx;

pub use self::worker::*;
pub use activity::*;
pub use attempt::*;
pub use barrier::*;
pub use catalogue::*;
pub use cause::*;
pub use correction::*;
pub use deployment::*;
pub use error::{StoreError, StoreResult};
pub use failure::*;
pub use job::*;
pub use key::*;
pub use leader::Leader;
pub use listing::*;
pub use loss::*;
pub use operation::*;
pub use partition::*;
pub use rate::*;
pub use retention::*;
pub use schedule::*;
pub use sheet::*;
pub use step::*;
pub use task::*;
pub use tombstone::*;
pub use tx::Tx;
pub use unit::*;
pub use view::ViewTx;
pub use view::block::BLOCK_PARTS;
