//! What statements cost on databases that nothing has ever counted: pages read on PostgreSQL, machine steps on SQLite, for
//! so many rows. The same questions over four times the rows cost the same, so nothing is quadratic.
//!
//! `SHOWRUNNER_PLAN_ROWS` says how many partitions the larger library has.
use coordinator::reconcile::{planner, recovery, retrier, sequencer, settlement};
use coordinator::store::handle::Backend;
use coordinator::store::postgres::{Postgres, PostgresOptions};
use coordinator::store::sqlite::Sqlite;
use coordinator::store::testing::job;
use coordinator::store::view::UnitFilter;
use coordinator::store::{AssetCorrection, BarrierState, Phase, StoreResult, TaskFilter, Tx};
use coordinator::workflows::Workflows;
use protocol::failure::Failure;
use protocol::id::{JobNo, PartNo, StepNo, UnitId, WorkerId};
use protocol::media::asset::{Asset, AssetFact, Role};
use protocol::model::barrier::Scope;
use protocol::rules::barrier::{BarrierPolicy, BarrierRequire};
use protocol::rules::review::task::TaskKind;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::wire::report::{ListedAsset, Outcome, UnitResult};
use protocol::workflow::{Action, Step};
use testkit::postgres::PostgresServer;

/// Partitions of the larger library, unless asked otherwise; the smaller one has a quarter.
const ROWS: i64 = 100_000;
/// Of a page of answers.
const LIMIT: u32 = 100;
const FIRST: StepNo = StepNo(0);
const BARRIER: StepNo = StepNo(1);
const JOB: JobNo = JobNo(1);
/// A job whose library is listed and not cut.
const PLANNED: JobNo = JobNo(2);
/// A job that has ended.
const ENDED: JobNo = JobNo(3);

/// What is asked of a transaction.
type Ask = Box<dyn Fn(&mut dyn Tx) -> StoreResult<()>>;

/// A question: its name, how many rows it is about, and how it is asked.
struct Question {
    name: String,
    rows: u64,
    /// Whether it walks along the key of all units of a step.
    walks: bool,
    ask: Ask,
}

fn question(
    name: impl Into<String>,
    rows: u64,
    ask: impl Fn(&mut dyn Tx) -> StoreResult<()> + 'static,
) -> Question {
    Question {
        name: name.into(),
        rows,
        walks: false,
        ask: Box::new(ask),
    }
}

fn walk(
    name: impl Into<String>,
    ask: impl Fn(&mut dyn Tx) -> StoreResult<()> + 'static,
) -> Question {
    Question {
        walks: true,
        ..question(name, u64::from(LIMIT), ask)
    }
}

/// A job of two steps with a barrier of titles between them.
fn insert(tx: &mut dyn Tx, id: &str) -> StoreResult<JobNo> {
    let mut new = job(id);
    let [work, after] = [0, 1].map(|n| new.workflow.steps[n].clone());
    let policy = BarrierPolicy {
        require: BarrierRequire::All,
        budget: None,
        until: None,
    };
    let barrier = Step {
        id: "together".into(),
        needs: vec![FIRST],
        action: Action::Barrier {
            scope: Scope::Title,
            policy,
            batch_units: 1,
            deadline_us: None,
        },
        ..after.clone()
    };
    new.workflow.steps = vec![
        work,
        barrier,
        Step {
            needs: vec![BARRIER],
            ..after
        },
    ];
    tx.insert_job(&new)
}

/// Rows as a long job leaves them, written without the store: a quarter of the library is one title, the rest titles of four
/// partitions of two assets.
fn statements(n: i64, pad: &str) -> Vec<String> {
    let series = |to: i64, rows: &str| {
        format!(
            "WITH RECURSIVE series (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM series WHERE i < {to}) {rows}"
        )
    };
    let padded = |what: &str| pad.replace("{}", what);
    let title = format!(
        "CASE WHEN i <= {} THEN 'huge' ELSE 't' || {} END",
        n / 4,
        padded("i / 4")
    );
    let title_of_asset = title
        .replace("i /", "(i + 1) / 2 /")
        .replace("WHEN i", "WHEN (i + 1) / 2");
    let (first, last) = (
        format!("'a' || {}", padded("2 * i - 1")),
        format!("'a' || {}", padded("2 * i")),
    );
    // As many in each rare state, however many rows there are.
    let every = n / 400;
    let state = format!(
        "CASE i % {every} WHEN 1 THEN 'dead' WHEN 2 THEN 'cancelled' WHEN 3 THEN 'leased' WHEN 4 THEN 'ready'
         WHEN 5 THEN 'retrying' ELSE 'succeeded' END"
    );
    let barrier_state = format!(
        "CASE WHEN i % 10 = 0 THEN 'released' WHEN i % {every} = 1 THEN 'held' ELSE 'waiting' END"
    );
    let spread = format!("CASE WHEN i % {} = 0 THEN 0 ELSE 4 * i + 3 END", n / 20);
    let mut all = Vec::new();
    for (job, cut) in [(1, true), (2, false), (3, true)] {
        let n = if job == 3 { n / 4 } else { n };
        all.push(series(
            2 * n,
            &format!(
                "INSERT INTO listing (job, asset, title, role, location, path, bytes, line, by_title)
                 SELECT {job}, 'a' || {}, {title_of_asset}, 'master', 'file:/m/' || i, 'm', 10, i, 1 FROM series",
                padded("i")
            ),
        ));
        if !cut {
            continue;
        }
        all.push(series(
            n,
            &format!(
                "INSERT INTO partition (job, part, title, first, last, assets, bytes, parent, split)
                 SELECT {job}, i, {title}, {first}, {last}, 2, 20, 0, 0 FROM series"
            ),
        ));
        all.push(series(
            n / 128,
            &format!(
                "INSERT INTO streak (job, step, first, last, busy_us)
                      SELECT {job}, 0, 64 * i - 63, 64 * i, 64 FROM series"
            ),
        ));
        all.push(series(
            n / 2,
            &format!(
                "INSERT INTO unit (job, step, part, state, epoch, attempt, due_at, duration_us)
                 SELECT {job}, 0, {} + i, {state}, 1, 0, CASE WHEN i % {every} = 5 THEN i END, 5 FROM series",
                n / 2
            ),
        ));
        all.push(series(
            n / 4,
            &format!(
                "INSERT INTO unit (job, step, part, state, epoch, attempt, due_at, duration_us)
                 SELECT {job}, 2, i, 'succeeded', 1, 0, NULL, 5 FROM series"
            ),
        ));
        all.push(series(
            n / 10,
            &format!(
                "INSERT INTO failure (job, step, part, asset, class, reason, message, checks, cause)
                 SELECT {job}, 0, 10 * i, 'a' || {}, 'permanent', 'r', 'm', '', 'c' || i % 7 FROM series",
                padded("20 * i")
            ),
        ));
        all.push(series(
            n / 4,
            &format!(
                "INSERT INTO barrier (job, step, key, first_part, last_part, total, succeeded, failed, state, spread)
                 SELECT {job}, 1, 't' || {}, 4 * i, 4 * i + 3, 4, 1, 0, {barrier_state}, {spread}
                 FROM series",
                padded("i")
            ),
        ));
        all.push(series(
            n / 10,
            &format!(
                "INSERT INTO loss (job, step, part, epoch, worker, alone, at)
                 SELECT {job}, 0, 10 * i, 1, 'w', 0, 5 FROM series"
            ),
        ));
    }
    // What splits took out of the partitions of the last quarter.
    all.push(series(
        n / 100,
        &format!(
            "INSERT INTO partition (job, part, title, first, last, assets, bytes, parent, split)
             SELECT 1, {n} + i, 't', 'a' || {0}, '', 1, 0, {1} + i, 0 FROM series",
            padded(&format!("2 * ({} + i)", n - n / 50)),
            n - n / 50
        ),
    ));
    all.push(format!(
        "UPDATE partition SET assets = 1, split = 1 WHERE job = 1 AND part > {0} AND part <= {0} + {1}",
        n - n / 50,
        n / 100
    ));
    all.push(series(
        n / 100,
        &format!(
            "INSERT INTO moved (job, asset, part) SELECT 1, 'a' || {}, {n} + i FROM series",
            padded(&format!("2 * ({} + i)", n - n / 50))
        ),
    ));
    all.push(series(
        n / 100,
        &format!(
            "INSERT INTO unit (job, step, part, state, epoch, attempt, duration_us)
             SELECT 1, 0, {n} + i, 'dead', 0, 0, 0 FROM series"
        ),
    ));
    all.push(series(
        n,
        &format!(
            "INSERT INTO asset (id, title, role, location, path, bytes, hash, updated_at)
             SELECT 'a' || {}, {title}, 'master', 'file:/m', 'm', 10, 'md5:1', 5 FROM series",
            padded("i")
        ),
    ));
    all.push(series(
        n / 10,
        &format!(
            "INSERT INTO task (no, kind, state, subject, job, step, part, asset, title, policy, digest, hash, checks,
               message, round, opened_at)
             SELECT i, 'rework', 'open', 's' || i, 1, 0, i, 'a' || {}, {title}, 'p', 'd', 'h', '', 'm', 1, 5
             FROM series",
            padded("i")
        ),
    ));
    all.push(series(
        n / 10,
        "INSERT INTO task_unit (task, job, step, part) SELECT i, 1 + i % 2, 0, i FROM series",
    ));
    all.push(format!(
        "UPDATE job SET parts = {0}, parts_planned = {n}, phase = 'sealed', assets = {1} WHERE no = 1",
        n + n / 100,
        2 * n
    ));
    all.push(format!(
        "UPDATE job SET phase = 'planning', assets = {} WHERE no = 2",
        2 * n
    ));
    all.push(
        "UPDATE job SET ended_at = 5, state = 'finished_with_failures' WHERE no = 3".to_owned(),
    );
    all.push(format!(
        "UPDATE step SET total = {n}, succeeded = {}, live = {n}, retrying = {n}, cursor = {n} WHERE job = 1 AND step = 0",
        n - 1_000
    ));
    all.push(format!("UPDATE step SET live = {n}, retrying = {n}"));
    all
}

fn begin(tx: &mut dyn Tx) -> StoreResult<()> {
    for id in ["long", "planned", "ended", "newest"] {
        insert(tx, id)?;
    }
    Ok(())
}

fn asset(n: i64) -> String {
    format!("a{n:08}")
}

/// What operators and the API ask.
fn reads(n: i64) -> Vec<Question> {
    let limit = u64::from(LIMIT);
    let mut all = vec![
        question("open jobs", 3, |tx| tx.jobs(true, LIMIT).map(drop)),
        question("steps", 3, |tx| tx.steps(JOB).map(drop)),
        question("listing by title", limit, move |tx| {
            tx.listing_after(JOB, true, true, Some(("huge", &asset(n / 4))), LIMIT)
                .map(drop)
        }),
        question("listing by id", limit, move |tx| {
            tx.listing_after(JOB, false, true, Some(("", &asset(n))), LIMIT)
                .map(drop)
        }),
        question("row errors", 1, |tx| tx.row_errors(JOB, LIMIT).map(drop)),
        question("partitions behind one", limit, move |tx| {
            tx.partitions_after(JOB, n / 2, LIMIT).map(drop)
        }),
        question("children", limit, move |tx| {
            tx.children(JOB, n - n / 50, n - n / 50 + 100).map(drop)
        }),
        question("members of a split partition and a child", 4, move |tx| {
            let found = tx.partitions(JOB, &[n - n / 50 + 1, n + 1])?;
            tx.members(JOB, &found).map(drop)
        }),
        question("assets that moved", limit, move |tx| {
            let assets: Vec<String> = (0..100).map(|k| asset(2 * (n - n / 50 + k))).collect();
            tx.moved_away(JOB, 1, &assets).map(drop)
        }),
        question("next due", 2, |tx| tx.next_due().map(drop)),
        question("due units", limit, |tx| {
            tx.due_units(Timestamp(i64::MAX), LIMIT).map(drop)
        }),
        question("ready units", limit, |tx| {
            tx.ready_units(JOB, FIRST, LIMIT).map(drop)
        }),
        walk("units out", |tx| {
            tx.computed_out(JOB, FIRST, 0, LIMIT).map(drop)
        }),
        question("failures of a job", limit, |tx| {
            tx.failures(JOB, LIMIT).map(drop)
        }),
        question("one barrier", 1, move |tx| {
            tx.barrier(JOB, BARRIER, &format!("t{:08}", n / 8))
                .map(drop)
        }),
        question("counts of barriers", 1, |tx| {
            tx.barrier_counts(JOB, BARRIER).map(drop)
        }),
        question("barriers that spread", limit, |tx| {
            tx.barriers_spreading(JOB, BARRIER, 1).map(drop)
        }),
        question("catalogue", limit, move |tx| {
            tx.catalogue(None, Some(&asset(n / 2)), LIMIT).map(drop)
        }),
        question("catalogue from the start", limit, |tx| {
            tx.catalogue(None, None, LIMIT).map(drop)
        }),
        question("catalogue of a title", limit, move |tx| {
            tx.catalogue(Some("huge"), Some(&asset(n / 8)), LIMIT)
                .map(drop)
        }),
        question("one of the catalogue", 1, move |tx| {
            tx.catalogue_entry(&asset(n / 2)).map(drop)
        }),
        question("what is believed of assets", limit, move |tx| {
            tx.believed(&(0..100).map(|k| asset(n / 2 + k)).collect::<Vec<_>>())
                .map(drop)
        }),
        question("losses", limit, move |tx| {
            let units: Vec<UnitId> = (1..=100).map(|k| UnitId::new(JOB, FIRST, 10 * k)).collect();
            tx.losses(&units).map(drop)
        }),
        question("causes", limit, |tx| {
            tx.causes(Some(JOB), None, LIMIT).map(drop)
        }),
        question("pending tasks about subjects", limit, |tx| {
            tx.pending_tasks(
                TaskKind::Rework,
                &(1..=100).map(|k| format!("s{k}")).collect::<Vec<_>>(),
            )
            .map(drop)
        }),
        question("units that wait for tasks", limit, |tx| {
            tx.waiting_units(JOB, LIMIT).map(drop)
        }),
        question("ended jobs", 2, |tx| {
            tx.ended_before(Timestamp(9), 1).map(drop)
        }),
        question("a job by name", 1, |tx| tx.job_by_id("long").map(drop)),
        question("jobs by state", 4, |tx| {
            tx.job_views(None, None, LIMIT).map(drop)
        }),
        question("one unit", 8, move |tx| {
            let filter = UnitFilter {
                part: Some(n / 2),
                limit: 1,
                step: Some("work".into()),
                ..UnitFilter::default()
            };
            tx.unit_views("long", &filter).map(drop)
        }),
    ];
    for parts in [1, 100] {
        for (how, apart) in [("neighbours", 1), ("scattered", n / 128)] {
            let part = move |k: PartNo| 1 + (n / 3 + k * apart) % n;
            let of = move || (0..parts).map(part).collect::<Vec<PartNo>>();
            all.push(question(
                format!("{parts} {how} partitions"),
                limit,
                move |tx| {
                    let found = tx.partitions(JOB, &of())?;
                    tx.members(JOB, &found).map(drop)
                },
            ));
            all.push(question(format!("{parts} {how} units"), limit, move |tx| {
                tx.units(JOB, FIRST, &of()).map(drop)
            }));
        }
    }
    for job in [None, Some(JOB)] {
        for cause in [None, Some("c3")] {
            let unit = UnitId::new(JOB, FIRST, n / 2);
            all.push(question(
                format!("failures behind one, {job:?}, {cause:?}"),
                limit,
                move |tx| {
                    tx.failures_after(job, cause, Some((unit, "")), LIMIT)
                        .map(drop)
                },
            ));
        }
    }
    for state in [None, Some(BarrierState::Held), Some(BarrierState::Waiting)] {
        for after in [None, Some(format!("t{:08}", n / 8))] {
            all.push(question(
                format!("barriers {state:?} behind {after:?}"),
                limit,
                move |tx| {
                    tx.barriers(JOB, BARRIER, state, after.as_deref(), LIMIT)
                        .map(drop)
                },
            ));
        }
    }
    for filter in [
        TaskFilter {
            job: Some(JOB),
            ..TaskFilter::default()
        },
        TaskFilter {
            asset: Some(asset(9)),
            ..TaskFilter::default()
        },
        TaskFilter {
            pending: true,
            ..TaskFilter::default()
        },
    ] {
        let filter = TaskFilter {
            limit: LIMIT,
            after: n / 20,
            ..filter
        };
        all.push(question(format!("tasks {filter:?}"), limit, move |tx| {
            tx.tasks(&filter).map(drop)
        }));
    }
    for state in [
        UnitState::Ready,
        UnitState::Leased,
        UnitState::Retrying,
        UnitState::Dead,
        UnitState::Cancelled,
    ] {
        all.push(question(
            format!("{state} units of a job"),
            limit,
            move |tx| tx.units_in(JOB, state, Some((FIRST, 5)), LIMIT).map(drop),
        ));
    }
    for state in std::iter::once(None).chain(UnitState::ALL.map(Some)) {
        let after = Some((n / 4, FIRST)).filter(|_| state.is_none());
        let walks = matches!(
            state,
            Some(UnitState::Ready | UnitState::Leased | UnitState::Planned)
        );
        let state = state.map(|state| state.as_str().to_owned());
        let filter = UnitFilter {
            state,
            step: None,
            part: None,
            after,
            limit: LIMIT,
        };
        let name = format!("list of units {filter:?}");
        let listed = question(name, 3 * limit, move |tx| {
            tx.unit_views("long", &filter).map(drop)
        });
        all.push(Question { walks, ..listed });
    }
    all
}

fn success(part: PartNo, epoch: u32) -> Outcome {
    let fact = AssetFact {
        asset: asset(2 * part),
        hash: Some("md5:2".into()),
        ..AssetFact::default()
    };
    let result = UnitResult::Finished {
        facts: vec![fact],
        failures: vec![],
    };
    let unit = UnitId::new(JOB, FIRST, part);
    Outcome {
        unit,
        epoch,
        worker: WorkerId("w".into()),
        result,
        duration_us: 1,
    }
}

/// What the leader does, turn by turn.
fn turns(n: i64) -> Vec<Question> {
    vec![
        question("a page of the listing", 100, move |tx| {
            let page: Vec<ListedAsset> = (0..100)
                .map(|k| {
                    let (id, title) = (asset(2 * n - 50 + k), "z".to_owned());
                    let (role, location, path) =
                        (Role::Master, "file:/m".to_owned(), "m".to_owned());
                    let asset = Asset {
                        id,
                        title,
                        role,
                        location,
                        path,
                        bytes: None,
                        hash: None,
                        declared: None,
                    };
                    ListedAsset {
                        line: k as u64,
                        asset,
                    }
                })
                .collect();
            tx.append_listing(PLANNED, true, &page).map(drop)
        }),
        question("a page of partitions", 4_096, |tx| {
            let planned = planner::plan(tx, &Workflows::default(), PLANNED)?;
            assert!(
                planned
                    && tx
                        .job(PLANNED)?
                        .is_some_and(|row| row.phase == Phase::Planning)
            );
            Ok(())
        }),
        question("a page of a sweep", 1_000, |tx| {
            let mut sweep = sequencer::Sweep::default();
            sequencer::advance(tx, &Workflows::default(), JOB, &mut sweep, Timestamp(9))?;
            sequencer::advance(tx, &Workflows::default(), JOB, &mut sweep, Timestamp(9)).map(drop)
        }),
        question("units that are claimed", 10, |tx| {
            let ready = tx.ready_units(JOB, FIRST, 10)?;
            let out: Vec<_> = ready
                .into_iter()
                .map(|(part, row)| {
                    (
                        part,
                        coordinator::store::UnitRow {
                            state: UnitState::Leased,
                            epoch: 2,
                            ..row
                        },
                    )
                })
                .collect();
            tx.put_units(JOB, FIRST, &out)
        }),
        question("reports that are settled", 1_000, move |tx| {
            let leased = tx.units_in(JOB, UnitState::Leased, None, LIMIT)?;
            let outcomes = leased
                .iter()
                .map(|(unit, row)| success(unit.part, row.epoch))
                .collect();
            settlement::settle(
                tx,
                &Workflows::default(),
                outcomes,
                Timestamp(9),
                &mut || 0.5,
            )
            .map(drop)
        }),
        question("failures that are replaced", 100, |tx| {
            let failures = [("a".to_owned(), Failure::permanent("r", "m"))];
            (1..=100).try_for_each(|k| tx.put_failures(UnitId::new(JOB, FIRST, 10 * k), &failures))
        }),
        question("barriers that are written", 100, |tx| {
            for mut row in tx.barriers(JOB, BARRIER, None, None, 100)? {
                row.succeeded += 1;
                tx.put_barrier(JOB, &row)?;
            }
            Ok(())
        }),
        question("assets that are corrected", 100, |tx| {
            let (hash, bytes) = (Some("md5:3".to_owned()), None);
            let correct = |k: i64| AssetCorrection {
                asset: asset(100 * k),
                location: None,
                hash: hash.clone(),
                bytes,
            };
            tx.correct_assets(JOB, &(1..=100).map(correct).collect::<Vec<_>>())
        }),
        question("losses that are forgiven", 100, |tx| {
            tx.forget_losses(
                &(1..=100)
                    .map(|k| UnitId::new(JOB, FIRST, 10 * k))
                    .collect::<Vec<_>>(),
            )
        }),
        question("retries that are due", 200, |tx| {
            retrier::requeue_due(tx, Timestamp(i64::MAX)).map(drop)
        }),
        walk("what is taken back", |tx| {
            recovery::recover(tx, &Workflows::default(), JOB).map(drop)
        }),
        question("facts", 100, |tx| {
            let facts: Vec<AssetFact> = (1..=100)
                .map(|k| AssetFact {
                    asset: asset(k),
                    hash: Some("h".into()),
                    ..AssetFact::default()
                })
                .collect();
            tx.put_facts(JOB, &facts, Timestamp(9))
        }),
        question("rows that are forgotten", 2_000, |tx| {
            tx.remove_job(ENDED, 2_000).map(drop)
        }),
    ]
}

/// Asserts that no question costs more than so much a row, nor more over four times the rows; that one which walks along a
/// key costs no more than `walking` for each of them.
fn assert_bounded(costs: [Vec<(Question, u64)>; 2], per_row: u64, fixed: u64, walking: f64) {
    let [small, large] = costs;
    let walked = sizes().map(|n| (n as f64 * walking) as u64);
    let mut wrong = Vec::new();
    for (
        (
            Question {
                name, rows, walks, ..
            },
            few,
        ),
        (_, many),
    ) in small.iter().zip(&large)
    {
        println!("{few:>9} {many:>9}  {name}");
        let walk = if *walks { walked[1] } else { 0 };
        if *many > fixed + per_row * rows + walk {
            wrong.push(format!("{name}: {many} for {rows} rows"));
        }
        if !walks && *many > few * 3 / 2 + fixed {
            wrong.push(format!(
                "{name}: {few} over a quarter of the rows, {many} over all"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn sizes() -> [i64; 2] {
    let rows = std::env::var("SHOWRUNNER_PLAN_ROWS")
        .ok()
        .and_then(|rows| rows.parse().ok())
        .unwrap_or(ROWS);
    [rows / 4, rows]
}

#[test]
fn statements_on_postgres_without_statistics_read_few_pages_a_row() {
    let settings = [
        "autovacuum=off",
        "shared_preload_libraries=pg_stat_statements",
        "pg_stat_statements.max=10000",
        "fsync=off",
        "max_wal_size=4GB",
    ];
    let server = PostgresServer::start_with(&settings);
    let costs = sizes().map(|n| {
        let name = format!("rows{n}");
        let url = server.create_database(&name);
        server.sql(&name, "CREATE EXTENSION pg_stat_statements");
        let mut store = Backend::Postgres(Box::new(Postgres::open(&url, PostgresOptions::default()).expect("opens")));
        store.write(begin).expect("writes");
        // Plans are kept for a while, and those made while the tables were empty must do for what is in them later.
        for question in reads(n).into_iter().chain(turns(n)) {
            let asked = std::panic::AssertUnwindSafe(|| store.preview(|tx| (question.ask)(tx)));
            drop(std::panic::catch_unwind(asked));
        }
        for statement in statements(n, "lpad(({})::TEXT, 8, '0')") {
            server.sql(&name, &statement);
        }
        assert_eq!(
            server.sql(&name, "SELECT COUNT(*) FROM pg_stats WHERE tablename = 'unit'"),
            "0",
            "nothing is counted"
        );
        let mut cost = |question: Question| {
            server.sql(&name, "SELECT pg_stat_statements_reset()");
            store.write(|tx| (question.ask)(tx)).unwrap_or_else(|error| panic!("{}: {error}", question.name));
            let pages = "SELECT COALESCE(SUM(shared_blks_hit + shared_blks_read), 0) FROM pg_stat_statements
                 WHERE query NOT LIKE '%pg_stat_statements%'";
            let pages = server.sql(&name, pages).parse().expect("a number");
            (question, pages)
        };
        reads(n).into_iter().chain(turns(n)).map(&mut cost).collect()
    });
    assert_bounded(costs, 30, 150, 0.05);
}

#[test]
fn view_of_units_with_statistics_of_empty_tables_compares_few_rows() {
    let server = PostgresServer::start_with(&["autovacuum=off", "fsync=off"]);
    let url = server.create_database("rows");
    let mut store = Postgres::open(&url, PostgresOptions::default()).expect("opens");
    store.write(|tx| begin(tx)).expect("writes");
    server.sql("rows", "ANALYZE");
    let [rows, _] = sizes();
    for statement in statements(rows, "lpad(({})::TEXT, 8, '0')") {
        server.sql("rows", &statement);
    }
    let plan = server.sql(
        "rows",
        "EXPLAIN ANALYZE SELECT * FROM units WHERE job_no = 1 AND step_no = 0",
    );
    let removed = plan
        .lines()
        .filter_map(|line| line.split_once("Rows Removed by"));
    let removed = removed
        .filter_map(|(_, count)| count.rsplit(' ').next()?.parse::<i64>().ok())
        .sum::<i64>();
    assert!(
        removed <= rows,
        "{removed} rows are compared in vain:\n{plan}"
    );
}

#[test]
fn statements_on_sqlite_without_statistics_take_few_steps_a_row() {
    let costs = sizes().map(|n| {
        let dir = tempfile::tempdir().expect("makes a directory");
        let mut sqlite = Sqlite::open(&dir.path().join("x.db")).expect("opens");
        sqlite.write(|tx| begin(tx)).expect("writes");
        for statement in statements(n, "printf('%08d', {})") {
            sqlite.connection().execute_batch(&statement).expect("runs");
        }
        let mut cost = |question: Question| {
            let before = sqlite.steps();
            sqlite
                .write(|tx| (question.ask)(tx))
                .unwrap_or_else(|error| panic!("{}: {error}", question.name));
            (question, sqlite.steps() - before)
        };
        reads(n)
            .into_iter()
            .chain(turns(n))
            .map(&mut cost)
            .collect()
    });
    assert_bounded(costs, 600, 5_000, 20.0);
}
