//! The kit of the integration tests: the real `showrunner` binary over directories of their own.
//!
//! - [`soak`]: random faults under load for as long as one likes
//! - [`scratch`]: a directory that a test has to itself, with its files
//! - [`bucket`]: a directory served as a bucket
//! - [`clock`]: clocks that a test sets
//! - [`cluster`]: a coordinator and workers over a real Redis, and a rehearsal that can be judged
//! - [`disk`]: a small filesystem that can be filled
//! - [`fleet`]: any number of coordinators and workers over a real PostgreSQL and a real Redis
//! - [`command`]: a `showrunner` that is run to its end, and what came of it
//! - [`process`]: a `showrunner` in the background, which signals reach and no test leaves behind
//! - [`content`]: bytes that repeat themselves, and whole trees
//! - [`haul`]: large files between a directory and two buckets, over several workers
//! - [`history`]: judges a run of real processes by its database and its witnesses
//! - [`http`]: requests as raw as a test needs them
//! - [`keys`]: a bucket of any number of objects, to be listed
//! - [`netns`]: hosts on a network of their own, each of which can be cut off
//! - [`postgres`]: a database server of a test's own
//! - [`redis`]: a server of a test's own
//! - [`prometheus`]: a Prometheus that scrapes what a test starts
//! - [`proxy`]: a TCP proxy that does to connections what networks do
//! - [`reference`]: the programs of others that judge what we wrote
//! - [`weed`]: a real S3 of a test's own
pub mod bucket;
pub mod clock;
pub mod cluster;
pub mod command;
pub mod content;
pub mod crowd;
pub mod disk;
pub mod fleet;
pub mod haul;
pub mod history;
pub mod http;
pub mod keys;
pub mod netns;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod proxy;
pub mod ran;
pub mod redis;
pub mod reference;
pub mod scratch;
pub mod soak;
pub mod weed;

pub use process::Running;
pub use ran::Ran;
pub use scratch::Scratch;
