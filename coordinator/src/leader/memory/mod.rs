//! What the leader remembers. All of it is rebuilt from the store, heartbeats and reports after a restart.
pub mod lease_table;
mod stray;
pub mod throughput;
pub mod worker_health;
