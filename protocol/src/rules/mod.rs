//! Pure decisions, one file each. They know nothing of wire, SQL or actors.
pub mod admission;
pub mod barrier;
pub mod election;
pub mod fingerprint;
pub mod lease;
pub mod lifecycle;
pub mod partition;
pub mod poison;
pub mod quarantine;
pub mod redrive;
pub mod restart;
pub mod retention;
pub mod retry;
pub mod selection;
pub mod settle;
pub mod wait;
