//! Memory and SQLite pass the suite of every store; PostgreSQL passes it in `postgres`.
use store::handle::Backend;
use store::sqlite::Sqlite;
use store::testing::{atomicity, checks};
use store::{JobTx, StoreError};

fn every_check(make: impl Fn() -> Backend) {
    for (name, check) in checks() {
        println!("{name}");
        make()
            .write(|tx| {
                check(tx);
                Ok(())
            })
            .expect("commits");
    }
    atomicity(&mut make());
}

#[test]
fn memory_conforms() {
    every_check(|| Backend::Memory(Box::default()));
}

#[test]
fn sqlite_conforms() {
    let dir = tempfile::tempdir().expect("temp dir");
    let count = std::cell::Cell::new(0);
    every_check(|| {
        count.set(count.get() + 1);
        let path = dir.path().join(format!("{}.db", count.get()));
        Backend::Sqlite(Box::new(Sqlite::open(&path).expect("opens")))
    });
}

#[test]
fn sqlite_keeps_commits_and_refuses_a_newer_schema() {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("x.db");
    drop(Sqlite::open(&path).expect("creates"));
    let mut again = Sqlite::open(&path).expect("opens");
    assert_eq!(again.read(|tx| tx.jobs(false, 9)).expect("reads"), []);
    again
        .connection()
        .pragma_update(None, "user_version", 99)
        .expect("sets");
    drop(again);
    assert!(matches!(
        Sqlite::open(&path),
        Err(StoreError::NewerSchema { found: 99, .. })
    ));
    assert!(matches!(
        Sqlite::open_read_only(&path),
        Err(StoreError::NewerSchema { .. })
    ));
}
