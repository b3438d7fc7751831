//! Conformance tests that every store passes: counters of steps.
use super::StepDelta;
use crate::testing::fixture::{Check, STEP, add_job};
use crate::tx::Tx;
use protocol::rules::unit::transition::UnitState;

pub(crate) const CHECKS: &[Check] = &[("counters add up", counters)];

fn counters(tx: &mut dyn Tx) {
    let job = add_job(tx);
    let mut delta = StepDelta {
        total: 5,
        ..StepDelta::default()
    };
    delta.add(StepDelta::transition(None, UnitState::Retrying));
    tx.add_to_step(job, STEP, delta).expect("adds");
    tx.add_to_step(
        job,
        STEP,
        StepDelta::transition(Some(UnitState::Retrying), UnitState::Succeeded),
    )
    .expect("adds");
    tx.set_cursor(job, STEP, 4).expect("moves");
    let found = tx.steps(job).expect("reads");
    assert_eq!(found.len(), 2);
    assert_eq!(
        (
            found[0].total,
            found[0].succeeded,
            found[0].live,
            found[0].retrying,
            found[0].cursor
        ),
        (5, 1, 0, 0, 4)
    );
}
