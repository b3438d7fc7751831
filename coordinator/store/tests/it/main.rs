//! All stores: one conformance suite, random transactions side by side, and real PostgreSQL servers with their faults.
mod conformance;
mod migration;
mod model;
mod postgres;
