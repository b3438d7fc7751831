//! Databases of earlier schemas: what a migration computes from rows is what the version before would have stored.
use protocol::id::{JobNo, StepNo, UnitId};
use protocol::rules::review::task::{TaskKind, TaskState};
use protocol::time::Timestamp;
use store::handle::Backend;
use store::postgres::{Postgres, PostgresOptions};
use store::sqlite::Sqlite;
use store::{TaskFilter, TaskRow, Tx};
use testkit::postgres::PostgresServer;

/// Takes migration 21 back, but for the triggers, whose names the databases write differently.
const TO_SCHEMA_20: &str = "DROP TABLE activity; DROP TABLE job_task; DROP INDEX task_by_state; DROP INDEX task_by_title;
    DROP INDEX job_by_state; DROP INDEX job_by_end; DROP INDEX job_removing; DROP INDEX row_error_by_part;
    DROP INDEX row_error_by_line; DROP INDEX row_error_by_title;";
const TRIGGERS: [(&str, &str); 3] = [
    ("job_task_added", "task_unit"),
    ("job_task_changed", "task"),
    ("job_task_removed", "task"),
];

fn task(part: i64) -> TaskRow {
    TaskRow {
        no: 0,
        kind: TaskKind::Approval,
        state: TaskState::Open,
        subject: format!("s{part}"),
        unit: UnitId::new(JobNo(3), StepNo(1), part),
        asset: "a".into(),
        title: "t".into(),
        supplier: None,
        policy: "editor".into(),
        digest: String::new(),
        hash: String::new(),
        checks: vec![],
        findings: None,
        message: "m".into(),
        round: 1,
        opened_at: Timestamp(5),
        due_at: None,
        ended_at: None,
    }
}

/// Three tasks of a job, of which the first has ended; a unit of another job waits for the second as well.
fn write_tasks(store: &mut Backend) {
    let written = store.write(|tx| {
        let numbers = tx.open_tasks(&[task(1), task(2), task(3)])?;
        tx.add_task_unit(
            numbers[1],
            UnitId {
                job: JobNo(4),
                ..task(2).unit
            },
        )?;
        let first = tx.task(numbers[0])?.expect("it was opened");
        tx.end_tasks(&[first], TaskState::Closed, Timestamp(6))
    });
    written.expect("writes");
}

fn assert_tasks_are_listed(store: &mut Backend) {
    let mut numbers = |job: i64, pending: bool| {
        let filter = TaskFilter {
            job: Some(JobNo(job)),
            pending,
            limit: 9,
            ..TaskFilter::default()
        };
        let found = store
            .read(|tx: &mut dyn Tx| tx.tasks(&filter))
            .expect("lists");
        found.into_iter().map(|task| task.no).collect::<Vec<_>>()
    };
    assert_eq!(
        [numbers(3, false), numbers(3, true), numbers(4, true)],
        [vec![1, 2, 3], vec![2, 3], vec![2]]
    );
}

#[test]
fn tasks_of_schema_20_are_listed_by_job_on_sqlite() {
    let dir = tempfile::tempdir().expect("makes a directory");
    let path = dir.path().join("x.db");
    let open = || Backend::Sqlite(Box::new(Sqlite::open(&path).expect("opens")));
    let mut store = open();
    write_tasks(&mut store);
    if let Backend::Sqlite(sqlite) = &store {
        let triggers = TRIGGERS
            .map(|(name, _)| format!("DROP TRIGGER {name};"))
            .concat();
        sqlite
            .connection()
            .execute_batch(&format!("{triggers} {TO_SCHEMA_20}"))
            .expect("runs");
        sqlite
            .connection()
            .pragma_update(None, "user_version", 20)
            .expect("sets");
    }
    drop(store);
    assert_tasks_are_listed(&mut open());
}

#[test]
fn tasks_of_schema_20_are_listed_by_job_on_postgres() {
    let server = PostgresServer::start();
    let open = || {
        let opened = Postgres::open(&server.url(), PostgresOptions::default());
        Backend::Postgres(Box::new(opened.expect("connects")))
    };
    let mut store = open();
    write_tasks(&mut store);
    drop(store);
    let triggers = TRIGGERS
        .map(|(name, table)| format!("DROP TRIGGER {name} ON {table}; DROP FUNCTION {name};"));
    server.sql(
        "postgres",
        &format!(
            "{} {TO_SCHEMA_20} DROP INDEX task_by_subject;",
            triggers.concat()
        ),
    );
    server.sql(
        "postgres",
        "UPDATE meta SET value = '20' WHERE key = 'schema_version'",
    );
    assert_tasks_are_listed(&mut open());
}
