//! What the leader does, turn by turn.
use super::{BARRIER, ENDED, FIRST, JOB, PLANNED, Question, asset, page, question, walk};
use coordinator::dispatch::endpoints::EndpointBook;
use coordinator::dispatch::load::{KindLoad, Load};
use coordinator::dispatch::outstanding::{self, Cursor};
use coordinator::dispatch::{Schedule, TurnContext, scan, slices, speculator};
use coordinator::leader::engine::Engine;
use coordinator::reconcile::block_closer::BlockCloser;
use coordinator::reconcile::multipart::{self, MultipartTransfers};
use coordinator::reconcile::retention::{self, TermStart};
use coordinator::reconcile::sequencer::{self, Sweep};
use coordinator::reconcile::{planner, recovery, retrier};
use coordinator::store::{
    AssetCorrection, BLOCK_PARTS, JobState, MultipartRow, MultipartState, Phase, StoreError, Tx,
    UnitRow,
};
use coordinator::workflows::Workflows;
use protocol::failure::Failure;
use protocol::id::{JobNo, Kind, UnitId};
use protocol::media::asset::{Asset, AssetFact, Role};
use protocol::rules::cluster::retention::RetentionLimits;
use protocol::rules::schedule::endpoint::EndpointLimit;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::wire::report::{ListedAsset, RowError};
use std::collections::BTreeSet;
use std::time::Duration;

const NOW: Timestamp = Timestamp(9);
/// The job that was submitted last.
const NEWEST: JobNo = JobNo(4);

/// What the leader does, turn by turn.
pub(super) fn questions(n: i64) -> Vec<Question> {
    let mut all = vec![
        question("a page of the listing", 400, move |tx| {
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
            let goes_on = planned
                && tx
                    .job(PLANNED)?
                    .is_some_and(|row| row.phase == Phase::Planning);
            if goes_on {
                Ok(())
            } else {
                Err(StoreError::Refused("the library has one page".into()))
            }
        }),
        question("a page of a sweep", 1_000, |tx| {
            let mut sweep = Sweep::default();
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
                        UnitRow {
                            state: UnitState::Leased,
                            epoch: 2,
                            ..row
                        },
                    )
                })
                .collect();
            tx.put_units(JOB, FIRST, &out)
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
        question("a sweep of the retention", 2_010, |tx| {
            let limits = RetentionLimits {
                rows_max: 2_000,
                ..RetentionLimits::keeping(Duration::ZERO)
            };
            let term = TermStart {
                began: NOW,
                known: Some(NOW),
            };
            retention::sweep_in_term(tx, &limits, term, Duration::ZERO, NOW).map(drop)
        }),
    ];
    all.extend(planning(n));
    all.extend(hand_out());
    all.extend(writes(n));
    all.extend(ends());
    all
}

/// The end of a listing, where its rejected rows are counted.
fn planning(n: i64) -> Vec<Question> {
    vec![
        question("the last page of partitions", 6_000, move |tx| {
            let mut row = tx.job(PLANNED)?.expect("a job");
            row.plan_after = Some(("t99999999".to_owned(), asset(2 * n)));
            row.row_errors = n as u64;
            tx.update_job(&row)?;
            planner::plan(tx, &Workflows::default(), PLANNED).map(drop)
        }),
        question(
            "a block that is closed",
            u64::from(BLOCK_PARTS as u32),
            |tx| tx.close_block(JOB, FIRST, 1).map(drop),
        ),
        page("blocks of a job", 8 * BLOCK_PARTS as u64, |tx| {
            let row = tx.job(JOB)?.expect("a job");
            BlockCloser::default().close_blocks(tx, &Workflows::default(), &row, NOW)
        }),
    ]
}

/// Workers with free slots.
fn load() -> Load {
    let free = KindLoad {
        slots: 100,
        out: 0,
        floor: 0,
        workers: 10,
    };
    Load {
        kinds: [Kind::Qc, Kind::Noop].map(|kind| (kind, free)).into(),
        ..Load::default()
    }
}

fn hand_out() -> Vec<Question> {
    let limits: Vec<EndpointLimit> = vec![EndpointLimit {
        prefix: "file:/m/1".into(),
        concurrency: Some(1),
        rate: None,
    }];
    vec![
        question("units are handed out within limits", 5_000, move |tx| {
            let mut schedule = Schedule::default();
            schedule.book = EndpointBook::new(limits.clone().into());
            let mut load = load();
            schedule.begin(&mut load, NOW);
            let (workflows, jobs) = (Workflows::default(), tx.jobs(true, u32::MAX)?);
            let multiparts = &mut MultipartTransfers::default();
            let mut turn = TurnContext {
                workflows: &workflows,
                load: &load,
                multiparts,
                now: NOW,
            };
            schedule.hand_out(tx, &jobs, &mut turn).map(drop)
        }),
        page("a whole turn", 20_000, |tx| {
            Engine::default()
                .turn(tx, load(), &BTreeSet::new(), NOW)
                .map(drop)
        }),
        question("a scan is handed out", 5, |tx| {
            scan::claim_scan(tx, &Workflows::default(), NEWEST).map(drop)
        }),
        question("a straggler is handed out again", 20, |tx| {
            let (row, workflow) = (tx.job(JOB)?.expect("a job"), tx.workflow(JOB)?);
            let leased = tx.units_in(JOB, UnitState::Leased, None, 1)?;
            for (unit, found) in leased {
                speculator::copy(tx, &row, &workflow, unit, found.epoch)?;
            }
            Ok(())
        }),
        question("uploads in slices", 300, |tx| {
            multipart::advance(tx, &Workflows::default(), NOW).map(drop)
        }),
        question("leases of the leader before", 2_000, |tx| {
            let place = Cursor::Leased(None);
            outstanding::outstanding_page(tx, &Workflows::default(), JOB, place).map(drop)
        }),
        walk("units of the leader before", |tx| {
            let place = Cursor::Computed(0, 0);
            outstanding::outstanding_page(tx, &Workflows::default(), JOB, place).map(drop)
        }),
        question("slices of the leader before", 300, |tx| {
            outstanding::outstanding_page(tx, &Workflows::default(), JOB, Cursor::Slices).map(drop)
        }),
    ]
}

/// Writes of the store that the duties above make rarely.
fn writes(n: i64) -> Vec<Question> {
    let unit = UnitId::new(JOB, FIRST, n / 2);
    vec![
        question("assets that are imported", 100, move |tx| {
            let (title, location, path) = ("t".to_owned(), "file:/m".to_owned(), "m".to_owned());
            let base = Asset {
                id: String::new(),
                title,
                role: Role::Master,
                location,
                path,
                bytes: None,
                hash: None,
                declared: None,
            };
            let assets: Vec<Asset> = (0..100)
                .map(|k| Asset {
                    id: asset(n - 50 + k),
                    ..base.clone()
                })
                .collect();
            tx.import_assets(&assets, NOW)
        }),
        question("a cost", 1, |tx| tx.put_costs(&[])),
        question("steps that are passed over", 2, |tx| {
            tx.put_withheld(JOB, &[])
        }),
        question("slices of a unit", 3, move |tx| {
            tx.put_multipart(&MultipartRow {
                unit,
                state: MultipartState::Closed,
                open_uploads: Vec::new(),
            })?;
            tx.put_slices(unit, &[])?;
            tx.forget_multipart(unit)
        }),
        question("rows that cannot be used", 100, move |tx| {
            let error = |line| RowError {
                line,
                column: None,
                asset: None,
                message: "m".into(),
                title: None,
            };
            let errors: Vec<RowError> = (n as u64..n as u64 + 100).map(error).collect();
            tx.append_row_errors(JOB, &errors).map(drop)
        }),
        question("the task of another unit", 4, move |tx| {
            tx.add_task_unit(9, unit)
        }),
        question("assets that move", 10, move |tx| {
            tx.move_assets(JOB, 1, &(0..10).map(|k| asset(n + k)).collect::<Vec<_>>())
        }),
    ]
}

/// A cancellation, page by page.
fn ends() -> Vec<Question> {
    let cancels = |tx: &mut dyn Tx| {
        let mut row = tx.job(JOB)?.expect("a job");
        row.state = JobState::Cancelling;
        tx.update_job(&row)?;
        sequencer::advance(tx, &Workflows::default(), JOB, &mut Sweep::default(), NOW).map(drop)
    };
    vec![
        question("a page of a cancellation", 10_000, cancels),
        question("another page of a cancellation", 10_000, cancels),
        question("slices of a cancelled job", 5, |tx| {
            slices::discards(
                tx,
                &Workflows::default(),
                &mut MultipartTransfers::default(),
                JOB,
            )
            .map(drop)
        }),
    ]
}
