//! Conformance tests that every store passes: tasks.
use super::{TaskEventRow, TaskFilter, TaskRow};
use crate::job::JobState;
use crate::testing::fixture::{Check, job};
use crate::tx::Tx;
use protocol::id::{JobNo, StepNo, UnitId};
use protocol::rules::review::task::{TaskKind, TaskState};
use protocol::time::Timestamp;

pub(crate) const CHECKS: &[Check] = &[
    ("one task of a kind is pending about a subject", tasks),
    ("tasks open and end together", tasks_together),
    ("a job with a pending task is not forgotten", forgetting),
];

fn at(n: i64) -> Timestamp {
    Timestamp(n)
}

fn task(kind: TaskKind, subject: &str, part: i64) -> TaskRow {
    TaskRow {
        no: 0,
        kind,
        state: TaskState::Open,
        subject: subject.into(),
        unit: UnitId::new(JobNo(3), StepNo(1), part),
        asset: format!("a{part}"),
        title: "t".into(),
        supplier: Some("lab".into()),
        policy: "hd".into(),
        digest: "d".into(),
        hash: "xxh128:1".into(),
        checks: vec!["black".into(), "freeze".into()],
        findings: Some("[]".into()),
        message: "it is black".into(),
        round: 1,
        opened_at: at(5),
        due_at: Some(at(9)),
        ended_at: None,
    }
}

fn tasks_together(tx: &mut dyn Tx) {
    assert_eq!(
        tx.open_tasks(&[]).expect("nothing is nothing"),
        Vec::<i64>::new()
    );
    let alone = tx
        .insert_task(&task(TaskKind::Approval, "s0", 9))
        .expect("inserts");
    let rows: Vec<TaskRow> = (1..=3)
        .map(|part| TaskRow {
            supplier: (part > 1).then(|| "lab".into()),
            findings: (part > 2).then(|| "[]".into()),
            due_at: None,
            ..task(TaskKind::Approval, &format!("s{part}"), part)
        })
        .collect();
    let numbers = tx.open_tasks(&rows).expect("inserts");
    assert_eq!(numbers, [alone + 1, alone + 2, alone + 3]);
    for (no, row) in numbers.iter().zip(&rows) {
        assert_eq!(
            tx.task(*no).expect("reads"),
            Some(TaskRow {
                no: *no,
                ..row.clone()
            })
        );
        assert_eq!(tx.task_units(*no).expect("reads"), [row.unit]);
    }
    let event = |task: i64, event: &str| TaskEventRow {
        task,
        at: at(6),
        actor: "me".into(),
        event: event.into(),
        reason: String::new(),
        hash: String::new(),
    };
    tx.insert_task_events(&[]).expect("nothing is nothing");
    tx.insert_task_events(&[
        event(alone, "opened"),
        event(numbers[0], "opened"),
        event(alone, "renewed"),
    ])
    .expect("writes");
    tx.insert_task_events(&[event(alone, "closed")])
        .expect("writes");
    let words: Vec<String> = tx
        .task_events(alone)
        .expect("reads")
        .into_iter()
        .map(|event| event.event)
        .collect();
    assert_eq!(words, ["opened", "renewed", "closed"]);
    let asked: Vec<String> = (0..=3).map(|n| format!("s{n}")).collect();
    let pending = tx.pending_tasks(TaskKind::Approval, &asked).expect("reads");
    tx.end_tasks(&pending[1..3], TaskState::Closed, at(7))
        .expect("writes");
    tx.end_tasks(&[], TaskState::Closed, at(8))
        .expect("nothing is nothing");
    let left: Vec<i64> = tx
        .pending_tasks(TaskKind::Approval, &asked)
        .expect("reads")
        .into_iter()
        .map(|task| task.no)
        .collect();
    assert_eq!(left, [alone, alone + 3]);
    let ended = tx.task(alone + 1).expect("reads").expect("there");
    assert_eq!(
        (ended.state, ended.ended_at),
        (TaskState::Closed, Some(at(7)))
    );
}

fn tasks(tx: &mut dyn Tx) {
    let rework = task(TaskKind::Rework, "a1\nhd", 1);
    let first = tx.insert_task(&rework).expect("inserts");
    let bare = TaskRow {
        checks: vec![],
        findings: None,
        supplier: None,
        due_at: None,
        title: "u".into(),
        ..task(TaskKind::Approval, "a1\nhd", 2)
    };
    let second = tx.insert_task(&bare).expect("another kind");
    assert!(second > first);
    assert_eq!(
        tx.task(first).expect("reads"),
        Some(TaskRow {
            no: first,
            ..rework.clone()
        })
    );
    assert_eq!(
        tx.task(second).expect("reads"),
        Some(TaskRow { no: second, ..bare })
    );
    assert_eq!(tx.task(99).expect("reads"), None);
    let asked = ["x", "a1\nhd"].map(str::to_owned);
    let numbers = |rows: Vec<TaskRow>| rows.into_iter().map(|row| row.no).collect::<Vec<_>>();
    assert_eq!(
        numbers(tx.pending_tasks(TaskKind::Rework, &asked).expect("reads")),
        [first]
    );
    assert_eq!(
        numbers(tx.pending_tasks(TaskKind::Rework, &[]).expect("reads")),
        Vec::<i64>::new()
    );
    assert_eq!(
        tx.task_counts(at(9)).expect("counts"),
        [(TaskKind::Rework, 1, 1), (TaskKind::Approval, 1, 0)],
        "what has no date is never late"
    );
    let late = |tx: &mut dyn Tx, now: i64| {
        tx.task_counts(at(now))
            .expect("counts")
            .first()
            .map_or(0, |kind| kind.2)
    };
    let due = tx
        .task(first)
        .expect("reads")
        .and_then(|task| task.due_at)
        .expect("it is due")
        .0;
    assert_eq!(
        [due - 1, due, due + 59_000_000, due + 600_000_000].map(|now| late(tx, now)),
        [0, 1, 1, 1]
    );
    let done = TaskRow {
        no: first,
        state: TaskState::Closed,
        round: 2,
        checks: vec![],
        ended_at: Some(at(10)),
        ..rework.clone()
    };
    tx.update_task(&done).expect("writes");
    assert_eq!(tx.task(first).expect("reads"), Some(done));
    assert_eq!(
        tx.pending_tasks(TaskKind::Rework, &asked).expect("reads"),
        []
    );
    let third = tx.insert_task(&rework).expect("the first one is done with");
    let all = TaskFilter {
        limit: 9,
        ..TaskFilter::default()
    };
    let found = |tx: &mut dyn Tx, filter: TaskFilter| numbers(tx.tasks(&filter).expect("reads"));
    assert_eq!(found(tx, all.clone()), [first, second, third]);
    assert_eq!(
        found(
            tx,
            TaskFilter {
                pending: true,
                ..all.clone()
            }
        ),
        [second, third]
    );
    assert_eq!(
        found(
            tx,
            TaskFilter {
                kind: Some(TaskKind::Rework),
                after: first,
                ..all.clone()
            }
        ),
        [third]
    );
    assert_eq!(
        found(
            tx,
            TaskFilter {
                state: Some(TaskState::Closed),
                ..all.clone()
            }
        ),
        [first]
    );
    assert_eq!(
        found(
            tx,
            TaskFilter {
                asset: Some("a1".into()),
                ..all.clone()
            }
        ),
        [first, third]
    );
    assert_eq!(
        found(
            tx,
            TaskFilter {
                title: Some("u".into()),
                ..all.clone()
            }
        ),
        [second]
    );
    for (no, part) in [(second, 2), (third, 7), (third, 7), (first, 1), (third, 1)] {
        tx.add_task_unit(
            no,
            UnitId {
                part,
                ..rework.unit
            },
        )
        .expect("writes");
    }
    let unit = |part: i64| UnitId {
        part,
        ..rework.unit
    };
    assert_eq!(tx.task_units(third).expect("reads"), [unit(1), unit(7)]);
    let waiting = [(unit(1), third), (unit(2), second), (unit(7), third)];
    let asked = [7, 2, 1, 3, 1].map(unit);
    assert_eq!(
        tx.waiting_units(&asked).expect("reads"),
        waiting,
        "nothing waits for what is done with"
    );
    assert_eq!(
        tx.waiting_units(&asked[1..2]).expect("reads"),
        waiting[1..2]
    );
    assert_eq!(tx.waiting_units(&[]).expect("reads"), []);
    let of_job = TaskFilter {
        job: Some(JobNo(3)),
        ..all.clone()
    };
    assert_eq!(found(tx, of_job.clone()), [first, second, third]);
    assert_eq!(
        found(
            tx,
            TaskFilter {
                pending: true,
                ..of_job.clone()
            }
        ),
        [second, third]
    );
    assert_eq!(
        found(
            tx,
            TaskFilter {
                state: Some(TaskState::Closed),
                ..of_job.clone()
            }
        ),
        [first],
        "it was open"
    );
    assert_eq!(
        found(
            tx,
            TaskFilter {
                kind: Some(TaskKind::Rework),
                after: first,
                ..of_job.clone()
            }
        ),
        [third]
    );
    for (asset, title, expected) in [
        ("a1", "t", vec![first, third]),
        ("a1", "u", vec![]),
        ("a2", "u", vec![second]),
    ] {
        let (asset, title) = (Some(asset.to_owned()), Some(title.to_owned()));
        assert_eq!(
            found(
                tx,
                TaskFilter {
                    asset: asset.clone(),
                    title,
                    ..of_job.clone()
                }
            ),
            expected
        );
        assert_eq!(
            found(
                tx,
                TaskFilter {
                    asset,
                    job: Some(JobNo(4)),
                    ..all.clone()
                }
            ),
            Vec::<i64>::new()
        );
    }
    let title = Some("t".to_owned());
    assert_eq!(
        found(
            tx,
            TaskFilter {
                title: title.clone(),
                pending: true,
                ..of_job.clone()
            }
        ),
        [third]
    );
    assert_eq!(
        found(
            tx,
            TaskFilter {
                title,
                job: Some(JobNo(4)),
                ..all.clone()
            }
        ),
        Vec::<i64>::new()
    );
    assert_eq!(
        found(
            tx,
            TaskFilter {
                job: Some(JobNo(4)),
                ..all.clone()
            }
        ),
        Vec::<i64>::new()
    );
    assert_eq!(
        found(
            tx,
            TaskFilter {
                job: Some(JobNo(3)),
                limit: 1,
                ..all
            }
        ),
        [first]
    );
    let event = |what: &str, time: i64| TaskEventRow {
        task: first,
        at: at(time),
        actor: "me".into(),
        event: what.into(),
        reason: "why".into(),
        hash: "h".into(),
    };
    tx.insert_task_event(&event("opened", 5)).expect("writes");
    tx.insert_task_event(&event("closed", 4)).expect("writes");
    assert_eq!(
        tx.task_events(first).expect("reads"),
        [event("opened", 5), event("closed", 4)],
        "in order of writing"
    );
    assert_eq!(tx.task_events(second).expect("reads"), []);
    tx.insert_task_pictures(&[]).expect("nothing is nothing");
    tx.insert_task_pictures(&[(first, "[1]"), (second, "[2]")])
        .expect("writes");
    tx.put_task_pictures(first, Some("[3]"))
        .expect("writes over");
    assert_eq!(
        tx.task_pictures(first).expect("reads").as_deref(),
        Some("[3]")
    );
    tx.put_task_pictures(first, None).expect("takes away");
    tx.put_task_pictures(third, None).expect("there are none");
    assert_eq!(
        [first, second, third].map(|no| tx.task_pictures(no).expect("reads")),
        [None, Some("[2]".into()), None]
    );
}

fn forgetting(tx: &mut dyn Tx) {
    let numbers = ["decided", "open", "newest"].map(|id| tx.insert_job(&job(id)).expect("inserts"));
    for no in numbers {
        let mut row = tx.job(no).expect("reads").expect("there");
        (row.state, row.ended_at) = (JobState::FinishedWithFailures, Some(at(5)));
        tx.update_job(&row).expect("writes");
    }
    for (no, ended_at) in [(numbers[0], Some(at(6))), (numbers[1], None)] {
        let unit = UnitId::new(no, StepNo(1), 1);
        let state = if ended_at.is_some() {
            TaskState::Closed
        } else {
            TaskState::Open
        };
        let row = TaskRow {
            unit,
            state,
            ended_at,
            ..task(TaskKind::Rework, &format!("s{}", no.0), 1)
        };
        let task = tx.insert_task(&row).expect("inserts");
        tx.add_task_unit(task, unit).expect("inserts");
    }
    assert_eq!(tx.ended_before(at(9), 9).expect("reads"), [numbers[0]]);
}
