//! The `showrunner` command: everything in one binary.
//!
//! - [`cli`]: the command line, one file a noun
//! - [`database`]: the database that the settings name
//! - [`embedded`]: coordinator and worker in one process over one data directory
//! - [`limits`]: what endpoints take at once
//! - [`storage`]: the storage that the settings describe
//! - [`submit`]: from a job file to a job
//! - [`demo`]: the sample library
pub mod cli;
mod context;
pub mod database;
pub mod demo;
pub mod embedded;
pub mod error;
pub mod limits;
mod log;
mod metrics;
mod moment;
pub mod output;
mod report;
pub mod settings;
pub mod storage;
pub mod submit;
mod target;
