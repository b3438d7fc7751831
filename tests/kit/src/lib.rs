//! The kit of tests and benchmarks: servers, proxies and processes. It depends on no crate of the product, so that an edit
//! of the product does not build it again; the `showrunner` binary is run as a process.
//!
//! Processes and files:
//! - [`scratch`]: a directory for the files of one test
//! - [`command`], [`ran`]: a `showrunner` that runs to its end, and its result
//! - [`process`]: a process in the background; signals reach all it started, and it ends with the test
//! - [`canary`]: a search for planted secrets in all that processes print and servers answer
//! - [`content`]: bytes that look random, and comparison of whole trees
//! - [`mod@reference`]: other programs that check our files
//!
//! Servers, each with ports and files of its own:
//! - [`postgres`], [`redis`], [`weed`] (S3), [`prometheus`]
//! - [`bucket`]: a directory served as a bucket
//! - [`keys`]: a bucket with any number of objects, for listings
//! - [`http`]: single HTTP requests over a plain connection
//!
//! Faults:
//! - [`proxy`]: a TCP proxy that delays, drops and holds what passes
//! - [`netns`]: hosts on a network of their own that can be cut off
//! - [`clock`]: clocks that a test sets
//! - [`disk`]: a small file system that can be filled
pub mod bucket;
pub mod canary;
pub mod clock;
pub mod command;
pub mod content;
pub mod disk;
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
pub mod weed;

pub use process::Running;
pub use ran::Ran;
pub use scratch::Scratch;
