//! What every store must answer alike about operations, causes, losses and workers.
use super::super::conformance::{job, partition};
use super::super::{Tx, UnitRow};
use super::*;
use protocol::failure::Failure;
use protocol::media::asset::{Asset, Role};
use protocol::rules::unit::transition::UnitState;

fn at(n: i64) -> Timestamp {
    Timestamp(n)
}

fn unit(job: JobNo, part: i64) -> UnitId {
    UnitId { job, step: StepNo(0), part }
}

pub(crate) fn operations(tx: &mut dyn Tx) {
    let no = tx.insert_job(&job("a")).expect("inserts");
    let row = OperationRow {
        no: 0,
        at: at(7),
        actor: "me".into(),
        action: "redrive".into(),
        job: Some(no),
        filter: "step=a\nreason=b".into(),
        plan: Some("{}".into()),
        progress: None,
        message: None,
        reason: "because".into(),
        matched: 3,
        eligible: 2,
        done: 0,
        state: OperationState::Running,
        rate: Some(0.5),
        after: None,
        paced_at: at(8),
        ended_at: None,
    };
    let first = tx.insert_operation(&row).expect("inserts");
    let second = tx.insert_operation(&OperationRow { job: None, ..row.clone() }).expect("inserts");
    assert!(second > first);
    assert_eq!(tx.operation(first).expect("reads"), Some(OperationRow { no: first, ..row.clone() }));
    assert_eq!(tx.operation(99).expect("reads"), None);
    let numbers = |rows: Vec<OperationRow>| rows.into_iter().map(|row| row.no).collect::<Vec<_>>();
    assert_eq!(numbers(tx.operations(None, 9).expect("reads")), [second, first]);
    assert_eq!(numbers(tx.operations(Some(no), 9).expect("reads")), [first]);
    assert_eq!(numbers(tx.running_operations(9).expect("reads")), [first, second]);
    let done = OperationRow {
        no: first,
        done: 2,
        state: OperationState::Done,
        progress: Some("[1]".into()),
        message: Some("why\nnot".into()),
        after: Some(unit(no, 5)),
        ended_at: Some(at(9)),
        ..row
    };
    tx.update_operation(&done).expect("writes");
    for input in [Some("[1]"), Some("[2]"), None] {
        tx.put_operation_input(first, input).expect("writes");
        assert_eq!(tx.operation_input(first).expect("reads").as_deref(), input);
    }
    assert_eq!(tx.operation(first).expect("reads"), Some(done));
    assert_eq!(numbers(tx.running_operations(9).expect("reads")), [second]);
}

pub(crate) fn causes(tx: &mut dyn Tx) {
    let no = tx.insert_job(&job("a")).expect("inserts");
    let row = |cause: &str, units: i64, time: i64| CauseRow {
        cause: cause.into(),
        job: no,
        step: StepNo(0),
        reason: "r".into(),
        class: "transient".into(),
        example: "it failed".into(),
        units,
        assets: units * 2,
        first_at: at(time),
        last_at: at(time),
    };
    tx.add_to_causes(&[row("x", 1, 5), row("y", 1, 6), row("x", 1, 9)]).expect("adds");
    let both = tx.causes(Some(no), None, 9).expect("reads");
    assert_eq!(both, [CauseRow { first_at: at(5), ..row("x", 2, 9) }, row("y", 1, 6)]);
    tx.add_to_causes(&[row("y", -1, 50), row("x", -1, 50)]).expect("adds");
    assert_eq!(tx.causes(None, None, 9).expect("reads"), [CauseRow { first_at: at(5), ..row("x", 1, 9) }]);
    assert_eq!(tx.causes(None, Some("y"), 9).expect("reads"), []);
    tx.add_to_causes(&[]).expect("nothing is nothing");

    let waiver = |reason: &str| WaiverRow {
        scope: Scope::of_cause("x"),
        at: at(1),
        actor: "me".into(),
        reason: reason.into(),
        until: Some(at(3)),
    };
    tx.put_waiver(&waiver("first")).expect("writes");
    tx.put_waiver(&waiver("second")).expect("writes");
    assert_eq!(tx.waivers().expect("reads"), [waiver("second")]);
    let scope = Scope { check: Some("black".into()), asset: Some("a\nb=c".into()), ..Scope::default() };
    let of_check = WaiverRow { scope, until: None, ..waiver("creative intent") };
    tx.put_waiver(&of_check).expect("writes");
    assert_eq!(tx.waivers().expect("reads"), [of_check, waiver("second")]);
}

fn asset(n: i64) -> Asset {
    Asset {
        id: format!("a{n}"),
        title: "t".into(),
        role: Role::Audio,
        location: format!("file:/m/{n}"),
        path: n.to_string(),
        bytes: Some(1),
        hash: None,
        declared: None,
    }
}

pub(crate) fn failures_after(tx: &mut dyn Tx) {
    let jobs = [tx.insert_job(&job("a")).expect("inserts"), tx.insert_job(&job("b")).expect("inserts")];
    for no in jobs {
        let page: Vec<(u64, Asset)> = (0..3).map(|n| (n as u64, asset(n))).collect();
        tx.append_listing(no, true, &page).expect("appends");
        tx.insert_partitions(no, &[partition(1, "t", "a0", "a1", 2), partition(2, "t", "a2", "a2", 1)])
            .expect("inserts");
        let dead = UnitRow { state: UnitState::Dead, epoch: 1, attempt: 1, due_at: None, duration_us: 0 };
        tx.put_units(no, StepNo(0), &[(1, dead), (2, dead)]).expect("writes");
        let failed = |n: i64, message: &str| (format!("a{n}"), Failure::permanent("r", message));
        tx.put_failures(unit(no, 1), &[failed(0, "a/0 is missing"), failed(1, "a/1 is missing")]).expect("writes");
        tx.put_failures(unit(no, 2), &[(String::new(), Failure::permanent("r", "the tool broke"))]).expect("writes");
    }
    let names = |rows: &[FailureRow]| {
        rows.iter().map(|row| (row.unit.job.0, row.unit.part, row.asset.clone())).collect::<Vec<_>>()
    };
    let of_first = tx.failures_after(Some(jobs[0]), None, None, 9).expect("reads");
    let first = jobs[0].0;
    assert_eq!(names(&of_first), [(first, 1, "a0".into()), (first, 1, "a1".into()), (first, 2, String::new())]);
    assert_eq!((of_first[0].role.as_str(), of_first[0].title.as_str(), of_first[2].role.as_str()), ("audio", "t", ""));
    assert_eq!(of_first[0].state, UnitState::Dead);
    let cause = fingerprint(&of_first[0].failure);
    assert_eq!(cause, fingerprint(&of_first[1].failure), "only the path differs");
    let missing = tx.failures_after(None, Some(&cause), None, 9).expect("reads");
    assert_eq!(missing.len(), 4);
    let after = Some((missing[1].unit, missing[1].asset.as_str()));
    assert_eq!(names(&tx.failures_after(None, Some(&cause), after, 1).expect("reads")), [(jobs[1].0, 1, "a0".into())]);
    let within = Some((unit(jobs[1], 1), "a0"));
    assert_eq!(names(&tx.failures_after(None, None, within, 9).expect("reads")).len(), 2);
}

pub(crate) fn losses(tx: &mut dyn Tx) {
    let no = tx.insert_job(&job("a")).expect("inserts");
    let loss = |part: i64, epoch: u32, worker: &str, alone: bool| LossRow {
        unit: unit(no, part),
        epoch,
        worker: worker.into(),
        alone,
        at: at(epoch.into()),
    };
    let all = [loss(1, 1, "v", false), loss(1, 2, "w", true), loss(2, 1, "v", false), loss(2, 3, "v", false)];
    tx.put_losses(&all).expect("writes");
    tx.put_losses(&[loss(1, 1, "other", true)]).expect("a repeated one is ignored");
    let asked = [unit(no, 2), unit(no, 1), unit(no, 9)];
    assert_eq!(tx.losses(&asked).expect("reads"), all);
    assert_eq!(tx.suspects(2, 9).expect("reads"), [unit(no, 1)], "one worker lost twice is one worker");
    assert_eq!(tx.suspects(1, 1).expect("reads"), [unit(no, 1)]);
    tx.forget_losses(&[unit(no, 1)]).expect("forgets");
    assert_eq!(tx.losses(&asked).expect("reads"), all[2..]);
}

pub(crate) fn workers(tx: &mut dyn Tx) {
    let row = |name: &str, heard: i64| WorkerRow {
        name: name.into(),
        slots: "qc=1/2".into(),
        held: 1,
        heard_at: at(heard),
        state: "working".into(),
        order: None,
    };
    tx.put_workers(&[row("b", 1), row("a", 5)]).expect("writes");
    let order = WorkerOrder { what: "drain".into(), actor: "me".into(), reason: "it is hot".into(), at: at(2) };
    assert!(tx.put_order("a", Some(&order)).expect("writes"));
    assert!(!tx.put_order("nobody", Some(&order)).expect("writes"));
    tx.put_workers(&[row("a", 6)]).expect("writes");
    let told = WorkerRow { order: Some(order), ..row("a", 6) };
    assert_eq!(tx.workers().expect("reads"), [told, row("b", 1)]);
    assert!(tx.put_order("a", None).expect("writes"));
    tx.forget_workers(at(2)).expect("forgets");
    assert_eq!(tx.workers().expect("reads"), [row("a", 6)]);
}

pub(crate) fn corrections(tx: &mut dyn Tx) {
    let no = tx.insert_job(&job("a")).expect("inserts");
    tx.append_listing(no, true, &[(1, asset(1)), (2, asset(2))]).expect("appends");
    let parts = [partition(1, "t", "a1", "a2", 2)];
    tx.insert_partitions(no, &parts).expect("inserts");
    let moved =
        AssetCorrection { asset: "a1".into(), location: Some("file:/new".into()), ..AssetCorrection::default() };
    let known = AssetCorrection { asset: "a2".into(), hash: Some("md5:x".into()), bytes: Some(9), location: None };
    let unknown = AssetCorrection { asset: "nothing".into(), ..AssetCorrection::default() };
    tx.correct_assets(no, &[moved, known, unknown]).expect("writes");
    let members = tx.members(no, &parts).expect("reads").remove(0);
    let first = Asset { location: "file:/new".into(), ..asset(1) };
    assert_eq!(members, [first, Asset { hash: Some("md5:x".into()), bytes: Some(9), ..asset(2) }]);
}
