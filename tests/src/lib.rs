//! What the integration tests and the benchmarks of whole clusters share. Servers and processes come from `testkit`.
//!
//! - [`cluster`]: a coordinator on SQLite and workers over a real Redis, and a rehearsal whose history is checked
//! - [`fleet`]: any number of coordinators and workers over a real PostgreSQL and a real Redis
//! - [`haul`]: large files between a directory and two buckets, over several workers
//! - [`objects`]: the content of a bucket, read through the product's storage
//! - [`history`]: checks a run of real processes by its database and its execution log
//! - [`crowd`]: hundreds of simulated workers in one thread
//! - [`soak`]: random faults under load for a given time
pub mod cluster;
pub mod crowd;
pub mod fleet;
pub mod haul;
pub mod history;
pub mod objects;
pub mod soak;
