//! Queries of people and gauges. A query changes nothing.
pub mod assets;
pub mod causes;
pub mod cluster_stats;
pub mod explain;
pub(crate) mod job_cache;
pub mod jobs;
pub mod operations;
pub mod pending_tasks;
pub mod summary;
pub mod wait_details;
pub mod wait_reason;
pub mod workers;
