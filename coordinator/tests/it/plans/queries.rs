//! What people and gauges ask, and what their commands cost.
use super::rows::cause;
use super::{FIRST, Growth, JOB, LIMIT, Question, asset, page, question};
use coordinator::audit::AuditContext;
use coordinator::command::submission::submit;
use coordinator::command::{
    self, Among, OperationChange, Preview, PriorityRequest, RetryRequest, WaiveRequest,
};
use coordinator::error::Error;
use coordinator::query::assets::{self, AssetsFilter};
use coordinator::query::cluster_stats::{DesiredWorkers, LeaderSnapshot, cluster_stats};
use coordinator::query::failed_assets::{FailedAssetsFilter, failed_assets};
use coordinator::query::jobs::{self, JobIdsFilter, JobsFilter};
use coordinator::query::status::{self, StatusFilter};
use coordinator::query::unit_log::{UnitLogFilter, unit_log};
use coordinator::query::units::{self, UnitsFilter};
use coordinator::query::{causes, explain, operations, workers};
use coordinator::review::{self, TaskRequest, TasksFilter};
use coordinator::rows::{find_job, job_row};
use coordinator::store::testing::job;
use coordinator::store::{OrderKind, StoreError, StoreResult, Tx, WorkerOrder};
use coordinator::workflows::Workflows;
use protocol::rules::review::task::Decision;
use protocol::time::Timestamp;

const NOW: Timestamp = Timestamp(9);
/// The step that judges the library.
const WORK: &str = "work";

/// A question whose answer is for people: an error of theirs is an error of the test.
fn asked<T, A>(name: impl Into<String>, rows: u64, ask: A) -> Question
where
    A: Fn(&mut dyn Tx) -> Result<T, Error> + 'static,
{
    question(name, rows, move |tx| answered(ask(tx)))
}

/// The same for a page of thousands.
fn asked_page<T, A>(name: impl Into<String>, rows: u64, ask: A) -> Question
where
    A: Fn(&mut dyn Tx) -> Result<T, Error> + 'static,
{
    Question {
        growth: Growth::Page,
        ..asked(name, rows, ask)
    }
}

fn answered<T>(answer: Result<T, Error>) -> StoreResult<()> {
    match answer {
        Ok(_) => Ok(()),
        Err(Error::Store(error)) => Err(error),
        Err(error) => Err(StoreError::Refused(format!("{error:?}"))),
    }
}

fn audit() -> AuditContext {
    AuditContext {
        actor: "ada".into(),
        reason: "because".into(),
        dry_run: false,
    }
}

pub(super) fn questions(n: i64) -> Vec<Question> {
    [
        of_jobs(n),
        of_units(n),
        of_records(n),
        commands(n),
        retries(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of_jobs(n: i64) -> Vec<Question> {
    let list = |state: Option<&str>, after: Option<&str>| JobsFilter {
        state: state.map(str::to_owned),
        after: after.map(str::to_owned),
        limit: LIMIT,
    };
    let behind = list(None, Some("short9"));
    let failed = list(Some("failed"), None);
    vec![
        asked("ids of jobs for completion", 100, |tx| {
            let filter = JobIdsFilter {
                prefix: "sho".into(),
                limit: LIMIT,
            };
            jobs::job_ids(tx, &filter)
        }),
        asked("job list", 200, move |tx| jobs::jobs(tx, &behind, NOW)),
        asked("job list --state", 200, move |tx| {
            jobs::jobs(tx, &failed, NOW)
        }),
        // Ten thousand failures at most, each with its asset, partition, unit and waivers.
        asked_page("job get", 30_000, |tx| jobs::job(tx, "long", NOW)),
        asked("job progress", 12, |tx| jobs::progress(tx, "long", NOW)),
        asked("status", 200, |tx| {
            status::status(tx, &StatusFilter { limit: LIMIT }, NOW)
        }),
        asked("job explain", 8_000, |tx| {
            jobs::explain_job(tx, "long", NOW)
        }),
        question("progress of open jobs", 40, |tx| {
            jobs::open_progress(tx, LIMIT).map(drop)
        }),
        page("the gauges", 20_000, |tx| {
            let (snapshot, mut desired) = (LeaderSnapshot::default(), DesiredWorkers::default());
            cluster_stats(tx, &Workflows::default(), &snapshot, &mut desired, NOW).map(drop)
        }),
        question("barriers of a job", 4_000, |tx| {
            let row = job_row(tx, JOB)?;
            explain::barriers(tx, &Workflows::default(), &row).map(drop)
        }),
        asked("a job that is named", 1, |tx| find_job(tx, "short7")),
        asked("job list --after the last", 1, move |tx| {
            jobs::jobs(
                tx,
                &JobsFilter {
                    state: None,
                    after: Some("long".into()),
                    limit: LIMIT,
                },
                NOW,
            )
        }),
        asked("unit list behind a unit", 300, move |tx| {
            let after = Some(format!("long/{WORK}/{}", n / 2));
            units::units(
                tx,
                "long",
                &UnitsFilter {
                    state: None,
                    step: None,
                    after,
                    limit: LIMIT,
                },
            )
        }),
    ]
}

fn of_units(n: i64) -> Vec<Question> {
    let every = n / 400;
    let mut all = vec![
        asked("unit get", 8, move |tx| {
            units::unit(tx, "long", WORK, n / 2)
        }),
        asked("unit log", 100, |tx| {
            unit_log(
                tx,
                "long",
                WORK,
                5,
                &UnitLogFilter {
                    after: Some(3),
                    limit: LIMIT,
                },
            )
        }),
        asked_page("failure list", 20_000, |tx| {
            causes::causes(tx, &Workflows::default(), Some("long"), LIMIT, NOW)
        }),
        asked_page("failure list of all jobs", 20_000, |tx| {
            causes::causes(tx, &Workflows::default(), None, LIMIT, NOW)
        }),
    ];
    for (state, part) in [
        ("succeeded", 6),
        ("dead", 1),
        ("cancelled", 2),
        ("leased", 3),
        ("ready", 4),
        ("retrying", 5),
    ] {
        all.push(asked(format!("unit explain, {state}"), 300, move |tx| {
            units::explain_unit(tx, "long", WORK, n / 2 + every + part, NOW)
        }));
    }
    for step in ["after", "sign"] {
        all.push(asked(
            format!("unit explain behind a barrier, {step}"),
            300,
            move |tx| units::explain_unit(tx, "long", step, n - n / 40, NOW),
        ));
    }
    for after in [None, Some(format!("long/{WORK}/{}/", n / 2))] {
        let filter = FailedAssetsFilter {
            after,
            limit: LIMIT,
        };
        all.push(asked(format!("failure get {filter:?}"), 100, move |tx| {
            failed_assets(tx, &cause(3), &filter)
        }));
    }
    all
}

fn of_records(n: i64) -> Vec<Question> {
    let mut all = vec![
        asked("asset list", 100, move |tx| {
            assets::assets(
                tx,
                &AssetsFilter {
                    title: Some("huge".into()),
                    after: Some(asset(n / 8)),
                    limit: LIMIT,
                },
            )
        }),
        asked("asset get", 10, move |tx| {
            assets::asset(tx, &asset(n / 100), NOW)
        }),
        asked("operation list", 100, |tx| {
            operations::operations(tx, None, LIMIT)
        }),
        asked("operation list of a job", 100, |tx| {
            operations::operations(tx, Some("long"), LIMIT)
        }),
        question("worker list", 200, |tx| workers::workers(tx, NOW).map(drop)),
        asked("task get", 10, move |tx| review::task(tx, n / 20, NOW)),
        asked("task pictures", 2, move |tx| {
            review::task_pictures(tx, n / 20)
        }),
    ];
    for (state, job) in [
        ("pending", None),
        ("pending", Some("planned")),
        ("all", None),
        ("waived", Some("long")),
    ] {
        let filter = TasksFilter {
            state: state.into(),
            kind: None,
            job: job.map(str::to_owned),
            asset: None,
            title: None,
            after: 0,
            limit: LIMIT,
        };
        all.push(asked(
            format!("task list {state} {job:?}"),
            300,
            move |tx| review::tasks(tx, &filter, NOW),
        ));
    }
    all
}

fn commands(n: i64) -> Vec<Question> {
    let decided = |no: i64, decision| {
        asked(format!("task {}", decision_word(decision)), 30, move |tx| {
            let request = TaskRequest {
                audit: audit(),
                ..TaskRequest::default()
            };
            review::decide_task(tx, &Workflows::default(), no, decision, &request, NOW)
        })
    };
    let waived = n / 20 - (n / 20) % 2;
    vec![
        asked("job submit", 20, |tx| submit(tx, &job("submitted"))),
        asked("job priority", 3, |tx| {
            let request = PriorityRequest {
                priority: Some("bulk".into()),
                deadline: None,
                audit: audit(),
            };
            command::prioritise(tx, "newest", &request, NOW)
        }),
        asked("job pause", 3, |tx| {
            command::pause(tx, "newest", &audit(), NOW)
        }),
        asked("job resume", 3, |tx| {
            command::resume(tx, "newest", &audit(), NOW)
        }),
        asked("job cancel", 3, |tx| {
            command::cancel(tx, "submitted", &audit(), NOW)
        }),
        asked("failure waive", 3, |tx| {
            command::waive(
                tx,
                &cause(5),
                &WaiveRequest {
                    until: None,
                    audit: audit(),
                },
                NOW,
            )
        }),
        asked("worker drain", 210, |tx| {
            command::drain(tx, "w7", &audit(), NOW)
        }),
        asked("worker release", 210, |tx| {
            command::release(tx, "w7", &audit(), NOW)
        }),
        question("the order of a worker", 2, |tx| {
            let order = WorkerOrder {
                kind: OrderKind::Drain,
                actor: "ada".into(),
                reason: String::new(),
                at: NOW,
            };
            tx.put_order("w9", Some(&order))?;
            tx.put_order("w9", None).map(drop)
        }),
        decided(waived, Decision::Waive),
        decided(waived + 2, Decision::Reject),
    ]
}

fn decision_word(decision: Decision) -> &'static str {
    match decision {
        Decision::Approve => "approve",
        Decision::Reject => "reject",
        Decision::Waive => "waive",
    }
}

fn request(terms: &[&str]) -> RetryRequest {
    let filter = terms.iter().map(|term| (*term).to_owned()).collect();
    RetryRequest {
        filter,
        all: terms.is_empty(),
        audit: audit(),
        ..RetryRequest::default()
    }
}

/// Retries: what a preview counts in one page, and the operation that carries one out. A page reads 2,000 rows.
fn retries() -> Vec<Question> {
    let mut all = Vec::new();
    for among in [Among::Job("long".into()), Among::Dead(None)] {
        for terms in [
            vec![],
            vec![format!("cause={}", cause(3))],
            vec!["asset=a00000001".to_owned()],
        ] {
            let among = among.clone();
            all.push(asked_page(
                format!("a page of a dry run, {among:?}, {terms:?}"),
                12_000,
                move |tx| {
                    let request = request(&terms.iter().map(String::as_str).collect::<Vec<_>>());
                    let mut preview = Preview::begin(tx, &Workflows::default(), &among, &request)?;
                    preview.page(tx, &Workflows::default(), NOW)?;
                    preview.answer()
                },
            ));
        }
    }
    let paused = |tx: &mut dyn Tx, change| {
        let no = tx.operations(None, 1)?.first().map_or(0, |row| row.no);
        command::change_operation(tx, no, change, &audit(), NOW)
    };
    all.extend([
        asked("a retry", 10, |tx| {
            let no = command::retry(
                tx,
                &Workflows::default(),
                &Among::Job("long".into()),
                &request(&["step=work"]),
                NOW,
            )?;
            command::retried(tx, no)
        }),
        asked("operation pause", 5, move |tx| {
            paused(tx, OperationChange::Pause)
        }),
        asked("operation resume", 5, move |tx| {
            let no = tx.operations(None, 2)?.last().map_or(0, |row| row.no);
            command::change_operation(tx, no, OperationChange::Resume, &audit(), NOW)
        }),
        page("a page of an operation that counts", 12_000, |tx| {
            command::advance(tx, &Workflows::default(), NOW).map(drop)
        }),
        page("a page of an operation, outside of turns", 12_000, |tx| {
            let no = tx.running_operations(1)?.first().map_or(0, |row| row.no);
            command::carry_on(tx, &Workflows::default(), no, NOW).map(drop)
        }),
        question("when an operation continues", 2, |tx| {
            command::next_due(tx).map(drop)
        }),
        question("units of a step that judges", 4, |tx| {
            let row = job_row(tx, JOB)?;
            explain::unit(tx, &Workflows::default(), &row, FIRST, 10, NOW).map(drop)
        }),
    ]);
    all
}
