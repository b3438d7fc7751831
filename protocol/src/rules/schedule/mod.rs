//! Which units are handed out next, how many, and why the others wait.
pub mod admission;
pub mod bottleneck;
pub mod cost;
pub mod desired_workers;
pub mod endpoint;
pub mod fairness;
pub mod forecast;
pub mod ranking;
pub mod speculation;
pub mod wait_reason;
