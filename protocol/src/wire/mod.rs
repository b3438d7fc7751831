//! What crosses from coordinator to worker and back. Structs here are frozen per wire version: see [`envelope`].
pub mod batch;
pub mod control;
pub mod envelope;
pub mod keys;
pub mod report;
pub mod step;
pub mod unit;
