//! Conformance tests that every store passes: costs, withheld steps, speculative copies and slices.
use super::{
    CostRow, MultipartRow, MultipartState, SliceRow, Speculation, SpeculationState, WithheldRow,
};
use crate::testing::fixture::{Check, STEP, add_job};
use crate::tx::Tx;
use protocol::id::{Kind, SliceNo, StepNo, UnitId};
use protocol::rules::storage::multipart::Slice;
use protocol::rules::unit::transition::UnitState;
use protocol::time::Timestamp;

pub(crate) const CHECKS: &[Check] = &[(
    "costs, withheld steps and speculative copies read back",
    schedule,
)];

fn schedule(tx: &mut dyn Tx) {
    let job = add_job(tx);
    let cost = |kind, size, us| {
        let mut sketch = protocol::rules::schedule::cost::Sketch::default();
        sketch.note(us);
        CostRow { kind, size, sketch }
    };
    let costs = [
        cost(Kind::Transfer, 20, 5),
        cost(Kind::Transfer, 100, 7),
        cost(Kind::Noop, 3, 9),
    ];
    tx.put_costs(&costs[1..]).expect("writes");
    tx.put_costs(&[cost(Kind::Transfer, 100, 1), costs[0].clone()])
        .expect("writes");
    tx.put_costs(&costs[1..2]).expect("replaces");
    assert_eq!(tx.costs().expect("reads"), costs);
    let reason = protocol::rules::schedule::wait_reason::WaitReason::TenantShare;
    let row = |step, until| WithheldRow {
        step: StepNo(step),
        reason,
        since: Timestamp(3),
        until,
    };
    tx.put_withheld(job, &[row(1, Some(Timestamp(8))), row(0, None)])
        .expect("writes");
    assert_eq!(
        tx.withheld(job).expect("reads"),
        [row(0, None), row(1, Some(Timestamp(8)))]
    );
    tx.put_withheld(job, &[row(1, None)]).expect("replaces");
    assert_eq!(tx.withheld(job).expect("reads"), [row(1, None)]);
    tx.put_withheld(job, &[]).expect("clears");
    assert_eq!(tx.withheld(job).expect("reads"), []);
    let unit = |part| UnitId::new(job, STEP, part);
    let both = Speculation {
        older: 1,
        newer: 2,
        state: SpeculationState::Both,
    };
    tx.put_speculation(unit(7), Some(both)).expect("writes");
    tx.put_speculation(unit(5), Some(both)).expect("writes");
    let older = Speculation {
        state: SpeculationState::Older,
        ..both
    };
    tx.put_speculation(unit(7), Some(older)).expect("replaces");
    assert_eq!(tx.speculation(unit(7)).expect("reads"), Some(older));
    assert_eq!(
        tx.speculations(job).expect("reads"),
        [(unit(5), both), (unit(7), older)]
    );
    let slice = |number, state, receipt: Option<&str>| SliceRow {
        slice: Slice {
            number: SliceNo::new(number).expect("a slice"),
            first: u64::from(number) * 10,
            bytes: 10,
        },
        state,
        epoch: 2,
        attempt: 1,
        due_at: (state == UnitState::Retrying).then_some(Timestamp(9)),
        receipt: receipt.map(str::to_owned),
    };
    let cut = [
        slice(1, UnitState::Ready, None),
        slice(2, UnitState::Retrying, None),
    ];
    tx.put_slices(unit(7), &cut).expect("writes");
    tx.put_slices(unit(7), &[slice(2, UnitState::Succeeded, Some("etag"))])
        .expect("replaces");
    let found = tx.slices(unit(7)).expect("reads");
    assert_eq!(
        found,
        [cut[0].clone(), slice(2, UnitState::Succeeded, Some("etag"))]
    );
    assert_eq!(tx.slices(unit(5)).expect("reads"), []);
    let open_upload = protocol::wire::step::multipart::OpenUpload {
        asset: "a".into(),
        bytes: 1 << 40,
        part_bytes: 1 << 23,
        slice_bytes: 1 << 30,
        measured: true,
        upload: "u".into(),
        version: protocol::wire::step::multipart::SourceVersion {
            tag: "t".into(),
            id: Some("v".into()),
        },
    };
    let row = |part, state| MultipartRow {
        unit: unit(part),
        state,
        open_uploads: vec![open_upload.clone()],
    };
    for (part, state) in [
        (7, MultipartState::Open),
        (5, MultipartState::Open),
        (7, MultipartState::Discarding),
        (5, MultipartState::Closed),
    ] {
        tx.put_multipart(&row(part, state)).expect("writes");
    }
    let of_job = |tx: &mut dyn Tx| {
        let units = tx
            .multipart_units()
            .expect("reads")
            .into_iter()
            .filter(|unit| unit.job == job);
        let cuts = units.map(|unit| tx.multipart(unit).expect("reads").expect("it is listed"));
        cuts.collect::<Vec<_>>()
    };
    assert_eq!(
        of_job(tx),
        [
            row(5, MultipartState::Closed),
            row(7, MultipartState::Discarding)
        ]
    );
    tx.forget_multipart(unit(7)).expect("forgets");
    assert_eq!(of_job(tx), [row(5, MultipartState::Closed)]);
    assert_eq!(tx.multipart(unit(7)).expect("reads"), None);
    assert_eq!(tx.slices(unit(7)).expect("reads"), []);
    tx.put_speculation(unit(7), None).expect("forgets");
    assert_eq!(tx.speculation(unit(7)).expect("reads"), None);
}
