//! What one transaction and one search cost, whatever a job holds: units of many assets, and long histories.
use coordinator::dispatch::load::{KindLoad, Load};
use coordinator::dispatch::outstanding::{Cursor, outstanding_page};
use coordinator::leader::engine::Engine;
use coordinator::query::jobs;
use coordinator::reconcile::planner;
use coordinator::reconcile::rescuer::{self, LostWith, Reclaim, Taken};
use coordinator::reconcile::worker_orders::{REFUND_PAGE, quarantine, refund_page};
use coordinator::store::memory::Memory;
use coordinator::store::postgres::{Postgres, PostgresOptions};
use coordinator::store::sqlite::Sqlite;
use coordinator::store::testing::job;
use coordinator::store::view::UnitFilter;
use coordinator::store::{
    BLOCK_PARTS, NewJob, Phase, StepDelta, StoreResult, Tx, UnitRow, WaiverRow, WorkerRow,
    WorkerState, cost,
};
use coordinator::workflows::Workflows;
use protocol::failure::Failure;
use protocol::id::{Execution, JobNo, Kind, PartNo, StepNo, UnitId};
use protocol::media::asset::{Asset, AssetFact, Role};
use protocol::rules::review::waiver::Scope;
use protocol::rules::unit::transition::UnitState;
use protocol::rules::worker::poison::PoisonLimits;
use protocol::time::Timestamp;
use protocol::wire::report::ListedAsset;
use std::collections::BTreeSet;
use std::time::Duration;
use testkit::postgres::PostgresServer;

const NOW: Timestamp = Timestamp(1_000_000);
const FIRST: StepNo = StepNo(0);

/// A job that is cut into units of so many assets, each with a location of so many bytes.
fn planned(tx: &mut dyn Tx, units: u32, assets: u32, text: usize) -> StoreResult<JobNo> {
    let mut new: NewJob = job("large");
    new.workflow.partition.assets_max = assets;
    new.workflow.partition.by_title = false;
    let asset = |n: u32| {
        let (id, location) = (
            format!("a{n:08}"),
            format!("file:/m/{n}{}", "x".repeat(text)),
        );
        let role = Role::Master;
        Asset {
            path: id.clone(),
            id,
            title: String::new(),
            role,
            location,
            bytes: None,
            hash: None,
            declared: None,
        }
    };
    let no = tx.insert_job(&new)?;
    let page: Vec<ListedAsset> = (0..units * assets)
        .map(|n| ListedAsset {
            line: u64::from(n),
            asset: asset(n),
        })
        .collect();
    tx.append_listing(no, false, &page)?;
    let mut row = tx.job(no)?.expect("inserted");
    (row.phase, row.assets) = (Phase::Planning, page.len() as u64);
    tx.update_job(&row)?;
    while planner::plan(tx, &Workflows::default(), no)? {}
    Ok(no)
}

/// Takes turns with room for every unit until nothing is handed out; returns assets and bytes of each turn.
fn turns(memory: &mut Memory) -> Vec<(usize, usize)> {
    let (mut engine, mut all) = (Engine::default(), Vec::new());
    let mut load = Load::default();
    load.kinds.insert(
        Kind::Noop,
        KindLoad {
            slots: 4_096,
            out: 0,
            floor: 4_096,
            workers: 1,
        },
    );
    loop {
        let turn = memory
            .write(|tx| engine.turn(tx, load.clone(), &BTreeSet::new(), NOW))
            .expect("commits");
        let assets = turn.units.iter().map(|unit| unit.assets.len()).sum();
        let bytes = turn
            .units
            .iter()
            .flat_map(|unit| &unit.assets)
            .map(Asset::weight)
            .sum();
        all.push((assets, bytes));
        if assets == 0 && !turn.more {
            return all;
        }
    }
}

#[test]
fn turn_over_units_of_many_assets_hands_out_bounded_rows() {
    let mut memory = Memory::default();
    memory
        .write(|tx| planned(tx, 60, 2_000, 0))
        .expect("commits");
    let turns = turns(&mut memory);
    assert_eq!(
        turns.iter().map(|(assets, _)| assets).sum::<usize>(),
        120_000,
        "all of them are handed out"
    );
    assert!(
        turns.iter().all(|(assets, _)| *assets <= 52_000),
        "{turns:?}"
    );
}

#[test]
fn turn_over_units_of_long_rows_hands_out_bounded_bytes() {
    let mut memory = Memory::default();
    memory
        .write(|tx| planned(tx, 100, 1, 1 << 19))
        .expect("commits");
    let turns = turns(&mut memory);
    assert_eq!(
        turns.iter().map(|(assets, _)| assets).sum::<usize>(),
        100,
        "all of them are handed out"
    );
    assert!(
        turns.iter().all(|(_, bytes)| *bytes <= 34 << 20),
        "{turns:?}"
    );
}

#[test]
fn takeover_of_units_of_many_assets_reads_bounded_pages() {
    let mut memory = Memory::default();
    let no = memory
        .write(|tx| planned(tx, 60, 2_000, 0))
        .expect("commits");
    // Twenty have a row of their own, the others are computed.
    let leased = UnitRow {
        state: UnitState::Leased,
        epoch: 2,
        attempt: 0,
        due_at: None,
        duration_us: 0,
    };
    let rows: Vec<(PartNo, UnitRow)> = (1..=20).map(|part| (part, leased)).collect();
    memory
        .write(|tx| {
            tx.set_cursor(no, FIRST, 60)?;
            tx.put_units(no, FIRST, &rows)?;
            tx.add_to_step(
                no,
                FIRST,
                StepDelta {
                    live: 20,
                    ..StepDelta::default()
                },
            )
        })
        .expect("commits");
    let (mut place, mut found, workflows) = (
        Some(Cursor::Leased(None)),
        BTreeSet::new(),
        Workflows::default(),
    );
    while let Some(at) = place {
        let (page, next) = memory
            .write(|tx| outstanding_page(tx, &workflows, no, at))
            .expect("commits");
        let assets: usize = page.iter().map(|unit| unit.assets.len()).sum();
        assert!(assets <= 22_000, "{assets} assets in one page");
        let pages = page.len();
        found.extend(page.into_iter().map(|unit| (unit.id, unit.epoch)));
        assert!(pages <= 11 && next != Some(at), "{at:?}");
        place = next;
    }
    let expected =
        (1..=60).map(|part| (UnitId::new(no, FIRST, part), if part <= 20 { 2 } else { 1 }));
    assert_eq!(found, expected.collect(), "each unit once");
}

#[test]
fn refund_of_many_units_takes_one_page_a_transaction_and_is_counted() {
    let mut memory = Memory::default();
    let units: PartNo = 600;
    let waits = UnitRow {
        state: UnitState::Retrying,
        epoch: 1,
        attempt: 1,
        due_at: Some(Timestamp(i64::MAX)),
        duration_us: 0,
    };
    let worker = WorkerRow {
        name: "w".into(),
        slots: String::new(),
        held: 0,
        heard_at: NOW,
        state: WorkerState::Working,
        order: None,
    };
    let failed: Vec<Execution> = (1..=units)
        .map(|part| UnitId::new(JobNo(1), FIRST, part).execution(1))
        .collect();
    let operation = memory.write(|tx| {
        let no = planned(tx, 600, 1, 0)?;
        tx.set_cursor(no, FIRST, units)?;
        tx.put_units(
            no,
            FIRST,
            &(1..=units).map(|part| (part, waits)).collect::<Vec<_>>(),
        )?;
        tx.add_to_step(
            no,
            FIRST,
            StepDelta {
                live: units,
                retrying: units,
                ..StepDelta::default()
            },
        )?;
        tx.put_workers(&[worker])?;
        quarantine(tx, "w", "everything fails", failed.len(), NOW)
    });
    let operation = operation
        .expect("commits")
        .expect("the worker has no order");
    let workflows = Workflows::default();
    for page in failed.chunks(REFUND_PAGE) {
        memory
            .write(|tx| refund_page(tx, &workflows, operation, page, NOW))
            .expect("commits");
    }
    let tx: &mut dyn Tx = &mut memory;
    let row = tx
        .operation(operation)
        .expect("reads")
        .expect("it is recorded");
    assert_eq!((row.matched, row.eligible, row.done), (600, 600, 600));
    assert_eq!(
        tx.units_in(JobNo(1), UnitState::Ready, None, 9_999)
            .expect("reads")
            .len(),
        600
    );
}

#[test]
fn summary_of_many_failed_checks_takes_few_statements() {
    let server = PostgresServer::start();
    let url = server.create_database("summary");
    let mut store = Postgres::open(&url, PostgresOptions::default()).expect("opens");
    let units: PartNo = 400;
    let failed = Failure {
        checks: vec!["black".into()],
        ..Failure::permanent("qc_failed", "it is black")
    };
    let dead = UnitRow {
        state: UnitState::Dead,
        epoch: 1,
        attempt: 1,
        due_at: None,
        duration_us: 0,
    };
    let fact = |n: PartNo| AssetFact {
        asset: format!("a{:08}", n - 1),
        hash: Some(format!("xxh128:{n}")),
        ..AssetFact::default()
    };
    let scope = Scope {
        hash: Some("xxh128:7".into()),
        check: Some("black".into()),
        ..Scope::default()
    };
    let waiver = WaiverRow {
        scope,
        at: NOW,
        actor: "ada".into(),
        reason: "titles".into(),
        until: None,
    };
    let prepared = store.write(|tx| {
        let tx: &mut dyn Tx = tx;
        let no = planned(tx, 400, 1, 0)?;
        tx.put_units(
            no,
            FIRST,
            &(1..=units).map(|part| (part, dead)).collect::<Vec<_>>(),
        )?;
        for part in 1..=units {
            let unit = UnitId::new(no, FIRST, part);
            tx.put_failures(unit, &[(format!("a{:08}", part - 1), failed.clone())])?;
        }
        tx.put_waiver(&waiver)?;
        tx.put_facts(no, &(1..=units).map(fact).collect::<Vec<_>>(), NOW)
    });
    prepared.expect("commits");
    let (summary, cost) = store
        .write(|tx| {
            let tx: &mut dyn Tx = tx;
            Ok((jobs::job(tx, "large", NOW).expect("answers"), cost::spent()))
        })
        .expect("answers");
    assert_eq!(summary.failures.len(), 400);
    let waived: Vec<&str> = summary
        .failures
        .iter()
        .filter(|one| !one.waived.is_empty())
        .map(|one| one.asset.as_str())
        .collect();
    assert_eq!(waived, ["a00000006"], "its hash is known");
    assert!(cost.statements <= 20, "{cost:?}");
}

#[test]
fn units_lost_with_their_worker_are_taken_back_in_few_statements() {
    let server = PostgresServer::start();
    let url = server.create_database("lost");
    let mut store = Postgres::open(&url, PostgresOptions::default()).expect("opens");
    let leased = UnitRow {
        state: UnitState::Leased,
        epoch: 2,
        attempt: 0,
        due_at: None,
        duration_us: 0,
    };
    let no = store.write(|tx| {
        let tx: &mut dyn Tx = tx;
        let no = planned(tx, 1_000, 1, 0)?;
        // Half of them have a row of their own, the others are computed.
        tx.put_units(
            no,
            FIRST,
            &(1..=500).map(|part| (part, leased)).collect::<Vec<_>>(),
        )?;
        tx.add_to_step(
            no,
            FIRST,
            StepDelta {
                live: 500,
                ..StepDelta::default()
            },
        )?;
        tx.set_cursor(no, FIRST, 1_000)?;
        Ok(no)
    });
    let no = no.expect("commits");
    let with = LostWith {
        worker: "w".into(),
        alone: false,
    };
    let lost = |part: PartNo| Reclaim {
        unit: UnitId::new(no, FIRST, part),
        epoch: if part <= 500 { 2 } else { 1 },
        loss: Some(with.clone()),
    };
    let page: Vec<Reclaim> = (1..=1_000).map(lost).collect();
    let (limits, workflows) = (PoisonLimits::default(), Workflows::default());
    let (taken, cost) = store
        .write(|tx| {
            let taken = rescuer::reclaim(tx, &workflows, no, &page, &limits, NOW)?;
            Ok((taken, cost::spent()))
        })
        .expect("commits");
    assert!(
        taken.iter().all(|taken| *taken == Taken::Ready),
        "{taken:?}"
    );
    assert!(cost.statements <= 20, "{cost:?}");
    let again = store
        .write(|tx| rescuer::reclaim(tx, &workflows, no, &page, &limits, NOW))
        .expect("commits");
    assert!(
        again.iter().all(|taken| *taken == Taken::No),
        "each is taken back once"
    );
    let (steps, losses) = store
        .write(|tx| {
            let tx: &mut dyn Tx = tx;
            Ok((
                tx.steps(no)?,
                tx.losses(&page.iter().map(|one| one.unit).collect::<Vec<_>>())?,
            ))
        })
        .expect("reads");
    assert_eq!((steps[0].live, losses.len()), (1_000, 1_000));
}

/// A library of which two units are out, at the beginning and at the end; all others succeeded or died.
fn long_history(sqlite: &mut Sqlite, blocks: i64) -> (JobNo, PartNo) {
    let parts = blocks * BLOCK_PARTS;
    let no = sqlite
        .write(|tx| {
            let tx: &mut dyn Tx = tx;
            let no = planned(tx, 1, 1, 0)?;
            let mut row = tx.job(no)?.expect("inserted");
            (row.phase, row.parts, row.parts_planned) = (Phase::Sealed, parts, parts);
            tx.update_job(&row)?;
            tx.set_cursor(no, FIRST, parts)?;
            let counted = StepDelta {
                total: parts - 1,
                dead: parts - 2,
                ..StepDelta::default()
            };
            tx.add_to_step(no, FIRST, counted)?;
            Ok(no)
        })
        .expect("commits");
    let rows = format!(
        "WITH RECURSIVE series (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM series WHERE i < {parts})
         INSERT INTO partition (job, part, title, first, last, assets, bytes, parent, split)
         SELECT {0}, i, '', 'a' || i, 'a' || i, 1, 0, 0, 0 FROM series;
         WITH RECURSIVE series (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM series WHERE i < {parts} - 1)
         INSERT INTO unit (job, step, part, state, epoch, attempt, due_at, duration_us)
         SELECT {0}, 0, i, 'dead', 1, 1, NULL, 5 FROM series;",
        no.0
    );
    sqlite.connection().execute_batch(&rows).expect("is filled");
    (no, parts)
}

/// `SHOWRUNNER_PLAN_ROWS` says how many units the library has.
#[test]
fn units_out_of_a_long_history_are_found_without_walking_it() {
    let rows = std::env::var("SHOWRUNNER_PLAN_ROWS")
        .ok()
        .and_then(|rows| rows.parse().ok())
        .unwrap_or(100_000);
    let dir = tempfile::tempdir().expect("temp dir");
    let mut sqlite = Sqlite::open(&dir.path().join("x.db")).expect("opens");
    let (no, parts) = long_history(&mut sqlite, rows / BLOCK_PARTS);
    let filter = UnitFilter {
        state: Some("leased".into()),
        limit: 100,
        ..UnitFilter::default()
    };
    let mut ask = || {
        let before = sqlite.steps();
        let (out, listed) = sqlite
            .write(|tx| {
                let tx: &mut dyn Tx = tx;
                Ok((
                    tx.computed_out(no, FIRST, 0, 100)?,
                    tx.unit_views("large", &filter)?,
                ))
            })
            .expect("answers");
        assert_eq!(out, [1, parts]);
        assert_eq!(
            listed.iter().map(|unit| unit.part).collect::<Vec<_>>(),
            [1, parts]
        );
        sqlite.steps() - before
    };
    let walked = ask();
    let (mut engine, mut now) = (Engine::default(), NOW);
    for _ in 0..rows / BLOCK_PARTS {
        sqlite
            .write(|tx| engine.turn(tx, Load::default(), &BTreeSet::new(), now))
            .expect("commits");
        now = now.after(Duration::from_secs(1));
    }
    let begun = std::time::Instant::now();
    let before = sqlite.steps();
    let (out, listed) = sqlite
        .write(|tx| {
            let tx: &mut dyn Tx = tx;
            Ok((
                tx.computed_out(no, FIRST, 0, 100)?,
                tx.unit_views("large", &filter)?,
            ))
        })
        .expect("answers");
    let found = sqlite.steps() - before;
    println!(
        "{walked} steps by a walk, {found} past closed blocks, in {:?}",
        begun.elapsed()
    );
    assert_eq!((out, listed.len()), (vec![1, parts], 2));
    assert!(
        found < 1_000_000,
        "{found} steps for two open blocks, asked twice"
    );
    assert!(found < walked / 3, "{found} steps of {walked}");
}
