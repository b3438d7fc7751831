//! From measurements to decisions: what is known goes out with the units, verdicts come back, what fails becomes a task,
//! and a new delivery ends it. Everything happens in the transaction that settles the unit.
pub mod approvals;
pub mod awaited;
pub mod known;
pub mod tasks;
pub mod verdict;
pub mod waived;
