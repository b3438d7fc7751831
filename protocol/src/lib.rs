//! Everything that decides, and everything both sides must agree on. No I/O, no async, no clock, no randomness:
//! facts, `now` and limits come in as arguments and a decision goes out.
//!
//! - [`media`]: assets and their locations
//! - [`model`]: values that several parts share
//! - [`workflow`]: job files, from YAML to compiled steps
//! - [`wire`]: what crosses between coordinator and worker, versioned
//! - [`rules`]: one pure decision a file
pub mod failure;
pub mod id;
pub mod invariant;
pub mod media;
pub mod model;
pub mod quantity;
pub mod rules;
pub mod time;
pub mod wire;
pub mod workflow;
pub mod yaml;
