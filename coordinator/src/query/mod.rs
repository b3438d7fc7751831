//! Queries of people and gauges. A query changes nothing.
pub mod assets;
pub mod causes;
pub mod cluster_stats;
pub mod explain;
pub mod failed_assets;
pub mod job_forecast;
pub mod jobs;
pub mod operations;
pub mod pending_tasks;
pub mod status;
pub mod summary;
pub mod unit_counts;
pub mod unit_log;
pub mod units;
pub mod wait_details;
pub mod wait_reason;
pub mod workers;
