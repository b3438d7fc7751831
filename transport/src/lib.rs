//! Connections to Redis in all its forms, for coordinators and workers.
//!
//! - [`address`]: the URL of one server, of Sentinels or of a cluster
//! - [`server`]: opens connections, with TLS and a password file that is read each time
//! - [`health`]: settings of a server that endanger streams
//! - [`connection`]: one connection of any form; on a cluster it splits a pipeline by slot
//! - `at_most_once`: commands to a cluster that are never repeated
//! - [`bulk_pool`]: a pool for large replies, so that short commands do not queue behind them
//! - [`server_run_id`]: identifies the running server process behind a connection
//! - [`shared`]: the connection of short commands, which reconnects
//! - [`signature`]: signatures of units and control messages
//! - [`report_key`]: authenticators of reports
//! - [`alarm`]: rate limit for a repeated warning
pub mod address;
pub mod alarm;
mod at_most_once;
pub mod bulk_pool;
pub mod connection;
pub mod health;
pub mod report_key;
pub mod server;
pub mod server_run_id;
pub mod shared;
pub mod signature;

pub use bulk_pool::BulkPool;
pub use connection::Connection;
pub use server::{Server, Settings};
pub use shared::SharedConnection;
