//! Decisions of people: tasks, approvals, waivers.
pub mod approval;
pub mod task;
pub mod waiver;
