//! The history checker fails when a violation is planted.
use coordinator::store::handle::Backend;
use coordinator::store::sqlite::Sqlite;
use coordinator::store::testing::job;
use coordinator::store::{BarrierGrowth, BarrierRow, BarrierState};
use protocol::id::{JobNo, StepNo};
use protocol::time::Timestamp;
use testkit::Scratch;
use tests::history::{History, Rows, sqlite, watch_sqlite};

/// A job with one barrier instance that has been released; returns what the checker says of it.
fn released(plant: impl Fn(&mut dyn FnMut(BarrierState, i64))) -> Vec<String> {
    let scratch = Scratch::new();
    let path = scratch.path("x.db");
    let mut store = Backend::Sqlite(Box::new(Sqlite::open(&path).expect("opens")));
    watch_sqlite(&path);
    let (no, step): (JobNo, StepNo) = store
        .write(|tx| {
            let no = tx.insert_job(&job("j"))?;
            let growth = BarrierGrowth {
                key: "t".into(),
                members: 1,
                failed: 0,
                first: 1,
                last: 1,
            };
            tx.add_to_barrier(no, StepNo(1), &growth)?;
            Ok((no, StepNo(1)))
        })
        .expect("commits");
    let mut put = |state: BarrierState, at: i64| {
        let row = BarrierRow {
            state,
            succeeded: 1,
            released_at: (state == BarrierState::Released).then_some(Timestamp(at)),
            ..store
                .write(|tx| tx.barrier(no, step, "t"))
                .expect("reads")
                .expect("there")
        };
        store.write(|tx| tx.put_barrier(no, &row)).expect("commits");
    };
    put(BarrierState::Released, 5);
    plant(&mut put);
    let query = |statement: &str| -> Rows { sqlite(&path, statement) };
    History::read("j", &query, &scratch.path("none"))
        .verdict(0)
        .1
}

#[test]
fn barrier_released_once_is_accepted() {
    let violations = released(|put| put(BarrierState::Released, 5));
    assert!(
        !violations.iter().any(|what| what.contains("was released")),
        "{violations:?}"
    );
}

#[test]
fn barrier_released_twice_is_found() {
    let again = |put: &mut dyn FnMut(BarrierState, i64)| {
        put(BarrierState::Waiting, 0);
        put(BarrierState::Released, 5);
    };
    let later = |put: &mut dyn FnMut(BarrierState, i64)| put(BarrierState::Released, 6);
    for violations in [released(again), released(later)] {
        assert!(
            violations
                .iter()
                .any(|what| what.contains("1/t was released 2 times")),
            "{violations:?}"
        );
    }
}
