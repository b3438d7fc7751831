//! What workers say of units in hand, and what whoever asks is told of it; units that wait for something outside.
use coordinator::leader::memory::throughput::TransferRates;
use coordinator::query::jobs::progress;
use coordinator::reconcile::{planner, rates, settlement, tombstones};
use coordinator::store::memory::Memory;
use coordinator::store::testing::job;
use coordinator::store::{JobState, Phase, Tx};
use coordinator::workflows::Workflows;
use protocol::id::{JobNo, StepNo, UnitId, WorkerId};
use protocol::media::asset::{Asset, AssetFact, Role};
use protocol::model::purge_proof::PurgeProof;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;
use protocol::wire::report::{Burial, ListedAsset, Outcome, Progress, UnitProgress, UnitResult};

fn at(seconds: i64) -> Timestamp {
    Timestamp(seconds * 1_000_000)
}

fn asset(n: u64) -> Asset {
    let id = format!("a{n}");
    let location = format!("file:/m/{id}");
    Asset {
        path: id.clone(),
        id,
        title: "t".into(),
        role: Role::Master,
        location,
        bytes: Some(1_000),
        hash: None,
        declared: None,
    }
}

/// A job over four assets in two units, cut and ready.
fn ready(tx: &mut dyn Tx) -> JobNo {
    let no = tx.insert_job(&job("j")).expect("inserts");
    let page: Vec<ListedAsset> = (0..4)
        .map(|n| ListedAsset {
            line: n,
            asset: asset(n),
        })
        .collect();
    tx.append_listing(no, true, &page).expect("appends");
    let mut row = tx.job(no).expect("reads").expect("inserted");
    (row.phase, row.assets) = (Phase::Planning, 4);
    tx.update_job(&row).expect("updates");
    while planner::plan(tx, &Workflows::default(), no).expect("plans") {}
    no
}

fn told(
    tx: &mut dyn Tx,
    rates: &mut TransferRates,
    now: Timestamp,
) -> coordinator::query::jobs::Progress {
    rates::put(tx, &Workflows::default(), rates.by_job(now)).expect("writes");
    let told = progress(tx, "j", now).expect("the job is there");
    told.progress
}

#[test]
fn bytes_and_rates_appear_in_job_progress() {
    let mut memory = Memory::default();
    let run = |tx: &mut dyn Tx| {
        let (no, mut rates) = (ready(tx), TransferRates::default());
        let unit = |part| UnitId::new(no, StepNo(0), part);
        for second in 0..=60 {
            let units = [(unit(1), 30 * second), (unit(2), 5)];
            let units = units
                .map(|(unit, bytes)| UnitProgress {
                    execution: unit.execution(1),
                    bytes,
                })
                .to_vec();
            rates.on_progress(
                &Progress {
                    worker: WorkerId("w".into()),
                    units,
                },
                at(second as i64),
            );
        }
        let shown = told(tx, &mut rates, at(60));
        assert!((28..=32).contains(&shown.bytes_per_second), "{shown:?}");
        let first = &shown.running[0];
        assert_eq!(
            (first.unit.as_str(), first.bytes, first.total),
            (format!("j/{}/1", "work").as_str(), 1_800, Some(2_000))
        );
        assert_eq!((first.worker.as_str(), shown.running.len()), ("w", 2));
        let json = serde_json::to_value(&shown).expect("JSON");
        assert_eq!(
            (&json["running"][0]["bytes"], &json["running"][1]["bytes"]),
            (&1_800.into(), &5.into())
        );
        // A unit that has ended is no longer shown, and a job that has ended moves nothing.
        let fact = AssetFact {
            asset: "a0".into(),
            bytes: Some(2_000),
            ..AssetFact::default()
        };
        let result = UnitResult::Finished {
            facts: vec![fact],
            failures: vec![],
        };
        let outcome = Outcome {
            unit: unit(1),
            epoch: 1,
            worker: WorkerId("w".into()),
            result,
            duration_us: 1,
        };
        rates.on_outcome(&outcome, at(61));
        assert_eq!(told(tx, &mut rates, at(61)).running.len(), 1);
        let mut row = tx.job(no)?.expect("there");
        (row.state, row.ended_at) = (JobState::Succeeded, Some(at(62)));
        tx.update_job(&row)?;
        let ended = told(tx, &mut rates, at(62));
        assert_eq!((ended.bytes_per_second, ended.running.len()), (0, 0));
        Ok(())
    };
    memory.write(run).expect("the store answers");
}

#[test]
fn waiting_unit_uses_no_attempt_and_records_no_failure() {
    let mut memory = Memory::default();
    let run = |tx: &mut dyn Tx| {
        let (no, workflows) = (ready(tx), Workflows::default());
        let unit = UnitId::new(no, StepNo(0), 1);
        tx.set_cursor(no, StepNo(0), 2)?;
        let waiting = UnitResult::Waiting {
            look_again_us: 60_000_000,
            message: "on its way".into(),
        };
        let outcome = Outcome {
            unit,
            epoch: 1,
            worker: WorkerId("w".into()),
            result: waiting,
            duration_us: 1,
        };
        let settled =
            settlement::settle(tx, &workflows, vec![outcome.clone()], at(1), &mut || 0.5)?;
        assert_eq!((settled.waiting, settled.retried, settled.dead), (1, 0, 0));
        let row = tx
            .units(no, StepNo(0), &[1])?
            .pop()
            .flatten()
            .expect("a row");
        assert_eq!(
            (row.state, row.attempt, row.due_at),
            (UnitState::Retrying, 0, Some(at(61)))
        );
        assert_eq!(tx.causes(None, None, 9)?, []);
        // The same report again is late.
        let again = settlement::settle(tx, &workflows, vec![outcome], at(2), &mut || 0.5)?;
        assert_eq!((again.waiting, again.rejected), (0, 1));
        Ok(())
    };
    memory.write(run).expect("the store answers");
}

#[test]
fn removal_is_recorded_from_any_report() {
    let mut memory = Memory::default();
    let run = |tx: &mut dyn Tx| {
        let (no, workflows) = (ready(tx), Workflows::default());
        let burial = |hash: &str| Burial {
            asset: "a0".into(),
            location: "file:/m/a0".into(),
            version: "v".into(),
            bytes: 10,
            hash: hash.into(),
            copy: "s3://b/a0".into(),
            proof: PurgeProof::Checksum,
            found_gone: false,
            dry_run: false,
        };
        // Neither the epoch nor the step nor, in the end, the job need be known.
        let stranger = UnitId::new(no, StepNo(77), 1);
        tombstones::record_tombstones(tx, &workflows, stranger, vec![burial("md5:1")], at(1))?;
        tombstones::record_tombstones(tx, &workflows, stranger, vec![burial("md5:2")], at(2))?;
        tombstones::record_tombstones(
            tx,
            &workflows,
            UnitId {
                job: JobNo(99),
                ..stranger
            },
            vec![burial("md5:3")],
            at(3),
        )?;
        let kept: Vec<_> = tx
            .tombstones("a0")?
            .into_iter()
            .map(|row| (row.job, row.step, row.hash, row.at))
            .collect();
        let expected = [("j", "md5:1", 1), ("#99", "md5:3", 3)];
        assert_eq!(
            kept,
            expected.map(|(job, hash, n)| (
                job.to_owned(),
                "77".to_owned(),
                hash.to_owned(),
                at(n)
            ))
        );
        Ok(())
    };
    memory.write(run).expect("the store answers");
}
