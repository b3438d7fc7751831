//! Plans, publishes, collects and sequences work units, and owns the truth in SQL. Opens no library, media file or bucket.
//!
//! - [`store`]: the truth, over SQLite, PostgreSQL or memory
//! - [`queue`]: what is handed to workers and comes back
//! - [`service`]: one duty a file, each safe to run any number of times
pub mod clock;
pub mod engine;
pub mod http;
mod janitor;
pub mod leases;
pub mod member;
pub mod metrics;
pub mod movement;
pub mod observer;
pub mod queue;
pub mod reactor;
pub mod runtime;
pub mod schedule;
pub mod service;
pub mod wards;

pub use store;
use store::failpoint;
