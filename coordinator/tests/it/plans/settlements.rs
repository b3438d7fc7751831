//! What reports cost: ends of units, pages of listings, removals, lost workers.
use super::{BARRIER, FIRST, JOB, LIMIT, Question, asset, question};
use coordinator::graph::Graph;
use coordinator::reconcile::rescuer::{self, LostWith, Reclaim};
use coordinator::reconcile::{rates, settlement, tombstones, worker_orders};
use coordinator::review::approvals::sync_tasks;
use coordinator::store::{
    OperationRow, OperationState, Phase, TransferRate, Tx, WorkerRow, WorkerState,
};
use coordinator::workflows::Workflows;
use protocol::failure::Failure;
use protocol::id::{JobNo, PartNo, StepNo, UnitId, WorkerId};
use protocol::media::asset::{Asset, AssetFact, Role};
use protocol::model::purge_proof::PurgeProof;
use protocol::rules::unit::transition::UnitState;
use protocol::rules::worker::poison::PoisonLimits;
use protocol::time::Timestamp;
use protocol::wire::report::{Burial, ListedAsset, Outcome, ScanPage, UnitResult};

const NOW: Timestamp = Timestamp(9);
/// The job whose library is being listed.
const LISTED: JobNo = JobNo(4);

fn outcome(part: PartNo, epoch: u32, result: UnitResult) -> Outcome {
    let unit = UnitId::new(JOB, FIRST, part);
    Outcome {
        unit,
        epoch,
        worker: WorkerId("w".into()),
        result,
        duration_us: 1,
    }
}

fn success(part: PartNo) -> UnitResult {
    let fact = AssetFact {
        asset: asset(2 * part),
        hash: Some("md5:2".into()),
        ..AssetFact::default()
    };
    UnitResult::Finished {
        facts: vec![fact],
        failures: vec![],
    }
}

/// One of the two assets does not pass: it is split off, and a task is opened for it.
fn unjudged(part: PartNo) -> UnitResult {
    let report =
        r#"{"policy":"hd","policy_digest":"d","decoded":true,"facts":{"bytes":3},"findings":[]}"#;
    let fact = |asset: String, verdict: &str| AssetFact {
        asset,
        hash: Some("xxh128:5".into()),
        verdict: Some(verdict.into()),
        report: Some(report.into()),
        ..AssetFact::default()
    };
    let failed = asset(2 * part);
    let failure = Failure {
        checks: vec!["black".into()],
        ..Failure::permanent("qc", "it is black")
    };
    let facts = vec![
        fact(asset(2 * part - 1), "pass"),
        fact(failed.clone(), "fail"),
    ];
    UnitResult::Finished {
        facts,
        failures: vec![(failed, failure)],
    }
}

/// Settles the next leased units, each with the result that `result` gives it.
fn settles(name: &str, units: u32, result: fn(PartNo) -> UnitResult) -> Question {
    question(
        format!("{units} {name}"),
        u64::from(units) * 20,
        move |tx| {
            let leased = tx.units_in(JOB, UnitState::Leased, None, units)?;
            let outcomes = leased
                .iter()
                .map(|(unit, row)| outcome(unit.part, row.epoch, result(unit.part)))
                .collect();
            settlement::settle(tx, &Workflows::default(), outcomes, NOW, &mut || 0.5).map(drop)
        },
    )
}

/// Takes back units that are out, lost with a worker of this name.
fn reclaims(name: &str, rows: u64, worker: Option<&'static str>) -> Question {
    question(name, rows, move |tx| {
        let lost = |worker: &str| LostWith {
            worker: worker.to_owned(),
            alone: false,
        };
        let page: Vec<Reclaim> = tx
            .units_in(JOB, UnitState::Leased, None, 10)?
            .into_iter()
            .map(|(unit, row)| Reclaim {
                unit,
                epoch: row.epoch,
                loss: worker.map(lost),
            })
            .collect();
        let limits = PoisonLimits::default();
        rescuer::reclaim(tx, &Workflows::default(), JOB, &page, &limits, NOW).map(drop)
    })
}

pub(super) fn questions(n: i64) -> Vec<Question> {
    let mut all = vec![
        settles("successes", 30, success),
        settles("QC failures", 20, unjudged),
        settles("failures that are retried", 10, |_| {
            UnitResult::Failed(Failure::transient("r", "m"))
        }),
        settles("failures that are not", 10, |_| {
            UnitResult::Failed(Failure::permanent("r", "m"))
        }),
        settles("units that were handed back", 10, |_| UnitResult::Returned),
        reclaims("units are lost with their worker", 400, Some("w")),
        reclaims("units vanish", 400, Some("")),
        reclaims("units are taken back", 200, None),
        question("pages of a scan", 400, move |tx| {
            let mut row = tx.job(LISTED)?.expect("a job");
            (row.scan_epoch, row.phase) = (1, Phase::Scanning);
            tx.update_job(&row)?;
            let unit = UnitId::new(LISTED, StepNo::SCAN, 0);
            let assets = (1..=100)
                .map(|k| ListedAsset {
                    line: k,
                    asset: listed(asset(k as i64)),
                })
                .collect();
            let page = ScanPage {
                unit,
                epoch: 1,
                page: row.scan.page,
                assets,
                errors: Vec::new(),
                next: None,
            };
            settlement::page(tx, &Workflows::default(), &page, None).map(drop)
        }),
        question("removals", 100, move |tx| {
            let burials = (1..=100).map(|k| burial(asset(n / 20 + k))).collect();
            let unit = UnitId::new(JOB, FIRST, 1);
            tombstones::record_tombstones(tx, &Workflows::default(), unit, burials, NOW)
        }),
    ];
    all.extend(releases());
    all.extend(of_workers());
    all
}

/// Releases: of a title that is a quarter of the library, and of many small ones.
fn releases() -> Vec<Question> {
    let release = |limit: u32| {
        move |tx: &mut dyn Tx| {
            let workflow = tx.workflow(JOB)?;
            let rows = tx.barriers_spreading(JOB, BARRIER, limit)?;
            let mut graph = Graph::new(tx, JOB, &workflow, true, NOW);
            let approvals = graph.fan_out_releases(rows)?;
            sync_tasks(&mut graph, &approvals)
        }
    };
    vec![
        // Each partition has a unit in each of two steps, two assets and a task.
        question(
            "a page of the release of a long title",
            2_000 * 20,
            release(1),
        ),
        question("releases of titles", 2_000 * 20, release(LIMIT)),
        question("releases that are counted", 400, |tx| {
            let workflow = tx.workflow(JOB)?;
            for row in tx.barriers(JOB, BARRIER, None, Some("t"), 20)? {
                let approvals =
                    Graph::new(tx, JOB, &workflow, true, NOW).count(BARRIER, &row.key, 0, 0)?;
                sync_tasks(&mut Graph::new(tx, JOB, &workflow, true, NOW), &approvals)?;
            }
            Ok(())
        }),
    ]
}

fn of_workers() -> Vec<Question> {
    let seen = |name: String| WorkerRow {
        name,
        slots: "qc=1/2".into(),
        held: 1,
        heard_at: Timestamp(8),
        state: WorkerState::Working,
        order: None,
    };
    vec![
        question("a tick of workers", 800, move |tx| {
            let rows: Vec<WorkerRow> = (1..=200).map(|k| seen(format!("w{k}"))).collect();
            rates::put(
                tx,
                &Workflows::default(),
                vec![(JOB, TransferRate::default(), Vec::new())],
            )?;
            worker_orders::apply_orders(tx, &rows, NOW).map(drop)
        }),
        question("a quarantine", 250, |tx| {
            worker_orders::quarantine(tx, "w5", "sick", 3, NOW).map(drop)
        }),
        question("the end of a quarantine", 250, |tx| {
            worker_orders::lift_quarantine(tx, &[WorkerId("w5".into())], NOW).map(drop)
        }),
        question("refunds", 2_000, |tx| {
            let mut failed = Vec::new();
            for state in [UnitState::Dead, UnitState::Retrying] {
                failed.extend(
                    tx.units_in(JOB, state, None, 20)?
                        .into_iter()
                        .map(|(unit, row)| unit.execution(row.epoch)),
                );
            }
            let no = tx.insert_operation(&OperationRow {
                state: OperationState::Done,
                ..operation()
            })?;
            worker_orders::refund_page(tx, &Workflows::default(), no, &failed, NOW).map(drop)
        }),
    ]
}

fn operation() -> OperationRow {
    let audit = coordinator::audit::AuditContext::default();
    coordinator::audit::begun(&audit, "quarantine", None, NOW)
}

fn listed(id: String) -> Asset {
    let (title, location, path) = ("t".to_owned(), "file:/m".to_owned(), "m".to_owned());
    Asset {
        id,
        title,
        role: Role::Master,
        location,
        path,
        bytes: None,
        hash: None,
        declared: None,
    }
}

fn burial(asset: String) -> Burial {
    Burial {
        asset,
        location: "file:/m".into(),
        version: "1".into(),
        bytes: 1,
        hash: "h".into(),
        copy: "c".into(),
        proof: PurgeProof::Content,
        found_gone: false,
        dry_run: false,
    }
}
