//! `/api/v1/tasks`: decisions of people.
use crate::http::endpoint::endpoints;
use crate::review::{self, DecisionOutcome, TaskPicture, TaskRequest, TaskView, TasksFilter};
use crate::workflows::Workflows;
use actix_web::{get, post};
use protocol::rules::review::task::Decision;

endpoints! {
    "tasks";

    /// Lists tasks by number: the pending ones unless another state is asked for.
    get list List "/api/v1/tasks" query(TasksFilter) -> Vec<TaskView>
        = |tx, ask| review::tasks(tx, &ask.query, ask.now);

    /// One task with its findings and its history.
    get get Get "/api/v1/tasks/{task}" path("task": i64) -> TaskView = |tx, ask| review::task(tx, ask.path.0, ask.now);

    /// Pictures of the findings of a pending task.
    get pictures Pictures "/api/v1/tasks/{task}/pictures" path("task": i64) -> Vec<TaskPicture>
        = |tx, ask| review::task_pictures(tx, ask.path.0);

    /// Approves: the waiting units continue.
    post approve Approve "/api/v1/tasks/{task}/approve" path("task": i64) body(TaskRequest) -> DecisionOutcome
        = |tx, ask| review::decide_task(tx, &Workflows::default(), ask.path.0, Decision::Approve, &ask.body, ask.now);

    /// Rejects: an approval task ends, a rework task waits for a redelivery.
    post reject Reject "/api/v1/tasks/{task}/reject" path("task": i64) body(TaskRequest) -> DecisionOutcome
        = |tx, ask| review::decide_task(tx, &Workflows::default(), ask.path.0, Decision::Reject, &ask.body, ask.now);

    /// Waives findings or an approval: with a reason, and until when.
    post waive Waive "/api/v1/tasks/{task}/waive" path("task": i64) body(TaskRequest) -> DecisionOutcome
        = |tx, ask| review::decide_task(tx, &Workflows::default(), ask.path.0, Decision::Waive, &ask.body, ask.now);
}
