//! From measurements to decisions: what is known goes out with the units, verdicts come back, what fails becomes a task,
//! and a new delivery ends it. Everything happens in the transaction that settles the unit.
pub mod approvals;
pub mod cached_facts;
mod decide;
pub mod history;
mod pictures;
mod query;
mod redelivery;
mod request;
mod task_subjects;
pub mod tasks;
pub mod verdicts;
pub mod waivers;

pub use decide::settle_task;
pub use pictures::{TaskPicture, task_pictures};
pub use query::{TaskEvent, TaskView, TasksFilter, task, tasks};
pub use request::{Decided, Reach, TaskRequest};
pub use task_subjects::{AssetToApprove, TaskSubjects};
