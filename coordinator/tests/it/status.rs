//! The status of the cluster: forecasts of open jobs, what limits each kind, and units that exceed their usual duration.
use coordinator::query::status::{StatusFilter, status};
use coordinator::reconcile::planner;
use coordinator::store::memory::Memory;
use coordinator::store::testing::job;
use coordinator::store::{
    Activity, CostRow, Phase, RunningUnit, Tx, WithheldRow, WorkerRow, WorkerState,
};
use coordinator::workflows::Workflows;
use protocol::id::{JobNo, Kind, StepNo};
use protocol::media::asset::{Asset, Role};
use protocol::rules::schedule::cost::Sketch;
use protocol::rules::schedule::forecast::DeadlineState;
use protocol::rules::schedule::wait_reason::WaitReason;
use protocol::time::Timestamp;
use protocol::wire::report::ListedAsset;
use std::time::Duration;

/// The first step of the job.
const STEP: &str = "work";
const NOW: Timestamp = Timestamp(1_000_000_000);

fn asset(n: u64) -> Asset {
    Asset {
        id: format!("a{n}"),
        title: format!("t{n}"),
        role: Role::Master,
        location: format!("file:/m/{n}"),
        path: n.to_string(),
        bytes: None,
        hash: None,
        declared: None,
    }
}

/// A sealed job over 30 assets with a deadline, half of whose first step is out.
fn open_job(tx: &mut dyn Tx, deadline: Timestamp) -> JobNo {
    let no = tx.insert_job(&job("j")).expect("inserts");
    let page: Vec<ListedAsset> = (0..30)
        .map(|n| ListedAsset {
            line: n,
            asset: asset(n),
        })
        .collect();
    tx.append_listing(no, true, &page).expect("appends");
    let mut row = tx.job(no).expect("reads").expect("inserted");
    (row.phase, row.assets, row.deadline) = (Phase::Planning, 30, Some(deadline));
    tx.update_job(&row).expect("updates");
    while planner::plan(tx, &Workflows::default(), no).expect("plans") {}
    no
}

fn worker(tx: &mut dyn Tx, slots: &str) {
    let row = WorkerRow {
        name: "w1".into(),
        slots: slots.into(),
        held: 2,
        heard_at: NOW,
        state: WorkerState::Working,
        order: None,
    };
    tx.put_workers(&[row]).expect("writes");
}

fn running(job: JobNo, part: i64, seconds: i64) -> RunningUnit {
    RunningUnit {
        job,
        step: StepNo(0),
        part,
        kind: Kind::Noop,
        size: 0,
        worker: "w1".into(),
        since: Timestamp(NOW.0 - seconds * 1_000_000),
    }
}

/// Units of ten seconds have been measured.
fn learned(tx: &mut dyn Tx) {
    let mut sketch = Sketch::default();
    (0..20).for_each(|_| sketch.note(10_000_000));
    tx.put_costs(&[CostRow {
        kind: Kind::Noop,
        size: 0,
        sketch,
    }])
    .expect("writes");
}

#[test]
fn status_names_forecast_limit_and_slow_units() {
    let mut memory = Memory::default();
    memory
        .write(|tx| {
            let no = open_job(tx, NOW.after(Duration::from_secs(60)));
            learned(tx);
            worker(tx, "noop=2/2,qc=0/4");
            tx.put_activity(&Activity {
                at: NOW,
                running: vec![running(no, 1, 8), running(no, 2, 95)],
                rates: vec![(no, 0.2)],
                out: vec![(no, StepNo(0), 2)],
            })?;
            let seen = status(tx, &StatusFilter { limit: 10 }, NOW).expect("answers");
            let job = &seen.jobs[0];
            let outlook = &job.forecast.outlook;
            assert_eq!(
                (job.forecast.percent, job.forecast.units_per_second),
                (Some(0.0), 0.2)
            );
            assert_eq!(outlook.deadline_state, DeadlineState::Late);
            assert!(
                outlook.slack_seconds.is_some_and(|slack| slack < 0),
                "{outlook:?}"
            );
            let noop = seen
                .kinds
                .iter()
                .find(|of| of.kind == "noop")
                .expect("its kind");
            assert_eq!((noop.busy, noop.slots, noop.out), (2, 2, 2));
            assert!(noop.ready > 0);
            assert_eq!(noop.limited_by, Some(WaitReason::NoSlot));
            let slow: Vec<&str> = seen.slowest.iter().map(|unit| unit.unit.as_str()).collect();
            assert_eq!(
                slow,
                [2, 1].map(|part| format!("j/{STEP}/{part}")),
                "the longest against its usual duration"
            );
            assert_eq!(seen.slowest[0].seconds, 95.0);
            assert!(
                seen.slowest[0]
                    .usual_seconds
                    .is_some_and(|usual| (9.0..11.0).contains(&usual))
            );
            Ok(())
        })
        .expect("commits");
}

#[test]
fn limit_that_binds_before_the_slots_is_named() {
    let mut memory = Memory::default();
    memory
        .write(|tx| {
            let no = open_job(tx, NOW);
            let withheld = WithheldRow {
                step: StepNo(0),
                reason: WaitReason::EndpointLimit,
                since: NOW,
                until: None,
            };
            let limit = |tx: &mut dyn Tx| {
                let seen = status(tx, &StatusFilter { limit: 10 }, NOW).expect("answers");
                let noop = seen.kinds.into_iter().find(|of| of.kind == "noop");
                noop.expect("its kind").limited_by
            };
            assert_eq!(limit(tx), Some(WaitReason::NoWorker));
            worker(tx, "noop=1/4");
            assert_eq!(limit(tx), None, "a slot is free");
            tx.put_withheld(no, &[withheld])?;
            assert_eq!(limit(tx), Some(WaitReason::EndpointLimit));
            Ok(())
        })
        .expect("commits");
}

#[test]
fn jobs_beyond_the_limit_are_announced() {
    let mut memory = Memory::default();
    memory
        .write(|tx| {
            for id in ["a", "b", "c"] {
                tx.insert_job(&job(id))?;
            }
            let shown = |tx: &mut dyn Tx, limit| {
                let seen = status(tx, &StatusFilter { limit }, NOW).expect("answers");
                (seen.jobs.len(), seen.more_jobs)
            };
            assert_eq!([shown(tx, 2), shown(tx, 3)], [(2, true), (3, false)]);
            assert!(status(tx, &StatusFilter { limit: 0 }, NOW).is_err());
            Ok(())
        })
        .expect("commits");
}
