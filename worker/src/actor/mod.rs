//! Actors coordinate and never execute: units run as tasks on the multi-thread runtime, each by itself.
//!
//! | actor | owns | receives | arbiter |
//! |---|---|---|---|
//! | [`supervisor::WorkerSupervisor`] | factories of its children, their crashes | `ChildExited`, `StopConsuming`, `ResumeConsuming`, `Shutdown` | main |
//! | [`consumer::Consumer`], one a kind | the pull loop | `Pull`, `Resume` | main |
//! | [`executor::Executor`] | what runs | `Execute`, `Revoke` | main |
//! | [`heartbeat::Heartbeat`] | the beat that is under way | – | its own |
pub mod consumer;
pub mod drain_deadline;
pub mod executor;
pub mod exit;
pub mod heartbeat;
pub mod running;
pub mod slots;
pub mod supervisor;
pub mod vitals;
