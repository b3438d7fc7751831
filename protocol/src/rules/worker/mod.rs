//! Which workers take work: commands, quarantine, losses, restarts, and the consumers of dead workers.
pub mod command;
pub mod consumer_cleanup;
pub mod poison;
pub mod quarantine;
pub mod restart;
