//! From measurements to decisions of people. Cached facts are sent with QC units, verdicts are recorded, a failed asset opens
//! a task, and new bytes close it. Everything happens in the transaction that settles the unit.
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

pub use decide::decide_task;
pub use pictures::{TaskPicture, task_pictures};
pub use query::{TaskEvent, TaskView, TasksFilter, task, tasks};
pub use request::{DecisionOutcome, TaskRequest, WaiverScope};
pub use task_subjects::{AssetToApprove, TaskSubjects};
