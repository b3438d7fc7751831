//! Connections to Redis in all its forms, for both sides of the transport.
//!
//! - [`address`]: where the server is: one, behind Sentinels, or a cluster
//! - [`server`]: how to get a connection to it, with TLS and a password that may rotate
//! - [`health`]: what a server says about itself that operators must know
//! - [`link`]: one connection, whatever the form; on a cluster a pipeline is split by slot
//! - `once`: commands for a cluster that must not be done twice
//! - [`rounds`]: a pool for rounds of long questions, so that short commands do not queue behind them
//! - [`run`]: which run of which server a connection leads to
//! - [`shared`]: the connection of short commands, opened again when it has broken
//! - [`signature`]: what the coordinator signs and workers check
//! - [`alarm`]: one line for one trouble, however often it is met
pub mod address;
pub mod alarm;
pub mod health;
pub mod link;
mod once;
pub mod rounds;
pub mod run;
pub mod server;
pub mod shared;
pub mod signature;

pub use link::Link;
pub use rounds::Rounds;
pub use server::{Server, Settings};
pub use shared::Shared;
